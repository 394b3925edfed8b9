//! What the table's sets and maps hold.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use ipnet::IpNet;

use super::affinity::Affinity;
use super::set::Set;
use crate::kernel::mark::Mark;
use crate::model::{Family, Protocol};

/// An element of one of the table's sets and maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// Packets to this address, protocol and port get the mark.
    Service {
        /// The virtual address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the virtual address.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// Packets of this client to this address, protocol and port get the mark, whatever all others
    /// get.
    Own {
        /// The address that they come from.
        client: IpAddr,
        /// The virtual address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the virtual address.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// Packets of clients from outside of the cluster to this address, protocol and port get the
    /// mark, whatever all others get.
    Outside {
        /// The virtual address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the virtual address.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// Packets to this port of any address of this node, other than virtual ones, get the mark.
    NodePort {
        /// The family of the clients.
        family: Family,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the node.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// Packets of clients from outside of the cluster to this port get the mark, whatever all others
    /// get.
    OutsideNodePort {
        /// The family of the clients.
        family: Family,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the node.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// A virtual address: nothing but its services can be reached at it.
    Vip(IpAddr),
    /// An address, protocol and port that clients from outside of the cluster know. The address may
    /// be virtual or a node's own.
    External {
        /// The address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port.
        port: NonZeroU16,
    },
    /// A port of a virtual address at which the host itself answers load balancers.
    Probed {
        /// The address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port.
        port: NonZeroU16,
    },
    /// An address, protocol and port that only [`Element::Allowed`] clients may use.
    Guarded {
        /// The address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port.
        port: NonZeroU16,
    },
    /// Clients in a network may use a guarded address, protocol and port. The networks of one must
    /// not overlap.
    Allowed {
        /// The address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port.
        port: NonZeroU16,
        /// The network.
        source: IpNet,
    },
    /// A local endpoint, which may be its own client.
    Hairpin(IpAddr),
    /// A real server whose connections are to come back to nearer ones. It goes by itself after
    /// [`Element::CALLED`].
    Called {
        /// Its address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// Its port.
        port: NonZeroU16,
    },
    /// What session affinity needs.
    Affinity(Affinity),
    /// A real server that cannot answer the clients of this node, only the node.
    Host {
        /// Its address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// Its port.
        port: NonZeroU16,
    },
}

impl Element {
    /// For how long a real server is [`Element::Called`]: should the agent die, its connections are
    /// safe again.
    pub const CALLED: Duration = Duration::from_secs(5);

    /// Which virtual server's clients come back, and for how many seconds, if it says so.
    pub fn lasting(&self) -> Option<(Mark, NonZeroU32)> {
        match *self {
            Self::Affinity(Affinity::Lasting { server, seconds }) => Some((server, seconds)),
            _ => None,
        }
    }

    /// The set or map that it belongs to.
    pub(super) fn set(&self) -> Set {
        match *self {
            Self::Own { ip, .. } => Set::Own(Family::of(ip)),
            Self::Service { ip, .. } => Set::Services(Family::of(ip)),
            Self::Outside { ip, .. } => Set::Outside(Family::of(ip)),
            Self::NodePort { family, .. } => Set::NodePorts(family),
            Self::OutsideNodePort { family, .. } => Set::OutsideNodePorts(family),
            Self::External { ip, .. } => Set::External(Family::of(ip)),
            Self::Probed { ip, .. } => Set::Probed(Family::of(ip)),
            Self::Guarded { ip, .. } => Set::Guarded(Family::of(ip)),
            Self::Allowed { ip, .. } => Set::Allowed(Family::of(ip)),
            Self::Vip(ip) => Set::Vips(Family::of(ip)),
            Self::Hairpin(ip) => Set::Hairpin(Family::of(ip)),
            Self::Host { ip, .. } => Set::Hosts(Family::of(ip)),
            Self::Called { ip, .. } => Set::Called(Family::of(ip)),
            Self::Affinity(affinity) => affinity.set(),
        }
    }

    /// What its key maps to, if it belongs to a map.
    pub(super) fn value(&self) -> Option<u32> {
        match *self {
            Self::Own { mark, .. }
            | Self::Service { mark, .. }
            | Self::Outside { mark, .. }
            | Self::NodePort { mark, .. }
            | Self::OutsideNodePort { mark, .. } => Some(mark.value()),
            Self::Affinity(affinity) => affinity.value(),
            Self::Vip(_)
            | Self::External { .. }
            | Self::Probed { .. }
            | Self::Guarded { .. }
            | Self::Allowed { .. }
            | Self::Hairpin(_)
            | Self::Host { .. }
            | Self::Called { .. } => None,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service {
                ip,
                protocol,
                port,
                mark,
            } => write!(f, "service {ip} {protocol} {port} with mark {mark}"),
            Self::Own {
                client,
                ip,
                protocol,
                port,
                mark,
            } => write!(
                f,
                "service {ip} {protocol} {port} for {client} with mark {mark}"
            ),
            Self::Outside {
                ip,
                protocol,
                port,
                mark,
            } => write!(
                f,
                "service {ip} {protocol} {port} from outside with mark {mark}"
            ),
            Self::NodePort {
                family,
                protocol,
                port,
                mark,
            } => write!(f, "{family} node port {protocol} {port} with mark {mark}"),
            Self::OutsideNodePort {
                family,
                protocol,
                port,
                mark,
            } => write!(
                f,
                "{family} node port {protocol} {port} from outside with mark {mark}"
            ),
            Self::External { ip, protocol, port } => {
                write!(f, "external address {ip} {protocol} {port}")
            }
            Self::Probed { ip, protocol, port } => {
                write!(f, "health check {ip} {protocol} {port}")
            }
            Self::Guarded { ip, protocol, port } => {
                write!(f, "guarded service {ip} {protocol} {port}")
            }
            Self::Allowed {
                ip,
                protocol,
                port,
                source,
            } => write!(f, "access of {source} to {ip} {protocol} {port}"),
            Self::Vip(ip) => write!(f, "virtual address {ip}"),
            Self::Hairpin(ip) => write!(f, "local endpoint {ip}"),
            Self::Affinity(affinity) => affinity.fmt(f),
            Self::Called { ip, protocol, port } => {
                write!(f, "endpoint to come back from {ip} {protocol} {port}")
            }
            Self::Host { ip, protocol, port } => {
                write!(f, "masqueraded endpoint {ip} {protocol} {port}")
            }
        }
    }
}
