//! The counters of a service or destination.

use super::wire::{Counter, StatsAttributes};

/// What the kernel counted since the service or destination was added or zeroed, and its estimate
/// of the present rates.
///
/// The kernel sums these up every two seconds (`ip_vs_est.c`), so they are up to that much behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets per second from clients.
    pub packet_rate_in: u64,
    /// Packets per second to clients.
    pub packet_rate_out: u64,
    /// Bytes per second from clients.
    pub byte_rate_in: u64,
    /// Bytes per second to clients.
    pub byte_rate_out: u64,
}

impl Stats {
    /// The wide counters if the kernel sent them, else the narrow ones (before Linux 4.1).
    pub(super) fn of(stats64: Option<&StatsAttributes>, stats: Option<&StatsAttributes>) -> Self {
        stats64.or(stats).map(Self::from).unwrap_or_default()
    }
}

impl From<&StatsAttributes> for Stats {
    fn from(attributes: &StatsAttributes) -> Self {
        let value = |counter: Option<Counter>| counter.map_or(0, |counter| counter.0);
        Self {
            connections: value(attributes.connections),
            packets_in: value(attributes.packets_in),
            packets_out: value(attributes.packets_out),
            bytes_in: value(attributes.bytes_in),
            bytes_out: value(attributes.bytes_out),
            connection_rate: value(attributes.connection_rate),
            packet_rate_in: value(attributes.packet_rate_in),
            packet_rate_out: value(attributes.packet_rate_out),
            byte_rate_in: value(attributes.byte_rate_in),
            byte_rate_out: value(attributes.byte_rate_out),
        }
    }
}
