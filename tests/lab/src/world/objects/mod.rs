//! Kubernetes objects as JSON, with as few words as a test needs.

mod bulk;
mod endpoint;
mod family;
mod import;
mod node;
mod port;
mod service;
mod slices;

pub use bulk::bulk;
pub use endpoint::Endpoint;
pub use family::Families;
pub use import::Import;
pub use node::node;
pub use port::Port;
pub use service::Service;
