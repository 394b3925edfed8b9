//! Connection tracking over netlink (ctnetlink), as `nfnetlink_conntrack.h` has it: finding UDP
//! flows and making the kernel forget them.
//!
//! A datagram has no connection that could end, so a flow stays for as long as its client sends.
//! The kernel treats all packets of a flow as it treated the first: they go where an endpoint was
//! that is gone, or past a service that had no endpoint then. Once forgotten, the next packet is a
//! first one again.

mod client;
mod flow;
mod stale;
#[cfg(test)]
mod tests;

pub use client::{Client, Error};
pub use flow::Flow;
pub use stale::{Stale, Target};
