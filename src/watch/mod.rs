//! Kubernetes API → events for the snapshot.
//!
//! Objects are decoded into slim types that keep only the fields used ([`objects`]), checked and
//! turned into the words of the model ([`parse`]), and handed on at once: nothing is stored here.

mod absence;
mod attempts;
mod client;
mod event;
mod kinds;
mod lenient;
mod manifests;
mod names;
mod newer;
pub mod objects;
pub mod parse;
mod passed_over;
mod path;
mod retry;
mod stream;
mod unknown;

pub use client::{ClientError, client};
pub use event::{Change, Event, Finding};
pub use manifests::{ManifestError, read as read_manifests};
pub use names::Names;
pub use parse::{ObjectName, Problem};
pub use stream::run;
