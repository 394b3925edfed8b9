//! Kubernetes API → events for the snapshot.

mod event;

pub use event::{Change, Event};
