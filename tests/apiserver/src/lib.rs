//! An in-memory Kubernetes API server for tests and demonstrations.
//!
//! It speaks the real protocol as far as clients that list, watch and write objects can tell:
//! resource versions, bookmarks, streaming lists, selectors, chunked lists, conflicts, RBAC. It knows a
//! fixed table of [kinds] but no schemas: nothing is validated, defaulted or allocated, no
//! controller runs, and namespaces need not exist.
//!
//! What it has over the real one: it starts in a millisecond, records every request, and
//! [misbehaves](Fault) on command, through its [`Handle`] or by HTTP (see [`admin`]).
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use apiserver::{Action, Config, Fault, Server, Verb};
//!
//! let server = Server::bind("127.0.0.1:0", Config::default())?;
//! let api = server.handle();
//! api.apply_yaml("{apiVersion: v1, kind: Service, metadata: {name: web}}")?;
//! api.misbehave(Fault::on(Verb::List, "services", Action::refuse(503)).times(2));
//! api.cut_watches();
//! # Ok(()) }
//! ```

mod access;
pub mod admin;
mod discovery;
mod error;
mod fault;
mod handle;
pub mod kinds;
mod list;
mod merge;
mod object;
mod record;
mod request;
mod selector;
mod serve;
mod server;
mod shared;
mod store;
mod verbs;
mod watch;
mod write;

pub use access::{Grant, User};
pub use error::Refusal;
pub use fault::{Action, Fault, Match};
pub use handle::Handle;
pub use record::Recorded;
pub use request::Verb;
pub use server::Server;
pub use shared::Config;
