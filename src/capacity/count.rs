//! What goes in and out of the control loop at a tick.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::Address;
use crate::plan::Limits;

/// What the kernel counts at one real server. Counters start at 0 when a real server is added,
/// unless the kernel still had it in its trash; then they go on from where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The real server's address.
    pub ip: IpAddr,
    /// The real server's port.
    pub port: NonZeroU16,
    /// Connections that are open. Never any for UDP.
    pub active: u32,
    /// Connections that are over but not forgotten, and all UDP flows.
    pub inactive: u32,
    /// Connections since it was added.
    pub connections: u64,
    /// Packets from clients since it was added.
    pub in_packets: u64,
    /// Packets to clients since it was added.
    pub out_packets: u64,
    /// Connections of clients with session affinity that came back to it. The kernel does not count
    /// them at the virtual server, so that no threshold holds them back.
    pub returned: Held,
    /// How many clients came back since it was added.
    pub returns: u64,
}

/// Connections that the kernel knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Those that are open. Never any for UDP.
    pub active: u32,
    /// Those that are over but not forgotten, and all UDP flows.
    pub inactive: u32,
}

impl Held {
    /// All of them.
    pub fn total(self) -> u32 {
        self.active.saturating_add(self.inactive)
    }
}

impl Count {
    /// Whose counts these are.
    pub fn address(&self) -> Address {
        (self.ip, self.port)
    }

    /// What the kernel compares with the thresholds.
    pub fn total(&self) -> u32 {
        self.active.saturating_add(self.inactive)
    }
}

/// What the kernel shall hold for one real server from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The real server's address.
    pub ip: IpAddr,
    /// The real server's port.
    pub port: NonZeroU16,
    /// Its weight, never 0.
    pub weight: u32,
    /// Its thresholds.
    pub limits: Limits,
}

/// What one node wants of a virtual server, for the other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// Connections at a time (UDP: flows), on all ranks together: what had to go far is wanted
    /// near. Rises at once and falls with a time constant of about five seconds.
    pub connections: f64,
    /// New connections per second.
    pub per_second: f64,
}

/// This node's part of the capacity of each endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budgets {
    /// Connections at a time, by endpoint. Need not be whole; an endpoint that is left out gets
    /// the equal share.
    pub of: BTreeMap<Address, f64>,
}
