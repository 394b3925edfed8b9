//! IPVS over generic netlink: virtual servers ("services") and real servers ("destinations"), as
//! `include/uapi/linux/ip_vs.h` has them.
//!
//! ```text
//! Command ──► wire::Message ──► Client (batches, dumps) ──► kernel
//! ServiceEntry, DestinationEntry ◄── wire::Message ◄──┘
//! ```
//!
//! The words here are the kernel's: this module knows nothing of Spillway's plans and holds no
//! state but a socket.

mod attribute;
mod batch;
mod client;
mod command;
mod config;
mod destination;
mod error;
mod family;
mod name;
mod service;
mod stats;
#[cfg(test)]
mod tests;
pub mod wire;

pub use batch::Batch;
pub use client::Client;
pub use command::Command;
pub use config::{Info, Timeouts};
pub use destination::{Destination, DestinationEntry, Forwarding, Tunnel, TunnelFlags};
pub use error::{Cause, Error, Failure, Failures, SubmitError};
pub use name::Name;
pub use service::{Service, ServiceEntry, ServiceFlags, ServiceKey};
pub use stats::Stats;
