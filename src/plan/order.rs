//! The order of real servers.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::RealServer;

/// Puts real servers into an order that is steady on one node and differs between nodes.
///
/// Round-robin schedulers start at the head of the list. With the same order everywhere, the first
/// connection of every node meets at the same endpoint (kubernetes/kubernetes#121591).
pub fn shuffle(reals: &mut [RealServer], node: &str) {
    reals.sort_by_cached_key(|real| {
        let mut hasher = DefaultHasher::new();
        (node, real.ip, real.port).hash(&mut hasher);
        hasher.finish()
    });
}
