//! The order of real servers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::RealServer;

/// The place of an endpoint in an order that is steady on one node and differs between nodes.
pub fn place(node: &str, ip: IpAddr, port: NonZeroU16) -> u64 {
    let mut hasher = DefaultHasher::new();
    (node, ip, port).hash(&mut hasher);
    hasher.finish()
}

/// Puts real servers into this order.
///
/// Round-robin schedulers start at the head of the list. With the same order everywhere, the first
/// connection of every node meets at the same endpoint (kubernetes/kubernetes#121591).
pub fn shuffle(reals: &mut [RealServer], node: &str) {
    reals.sort_by_cached_key(|real| place(node, real.ip, real.port));
}
