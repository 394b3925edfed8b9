//! The wanted kernel state of one Service, as plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::model::{Family, Level, ServicePortId, Weight};

/// What the kernel shall hold for one Service: its service ports by name. Empty for a Service that
/// is gone.
pub type ServicePlan = BTreeMap<ServicePortId, PortPlan>;

/// What the kernel shall hold for one service port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortPlan {
    /// Where clients find it, sorted.
    pub frontends: Vec<Frontend>,
    /// One for each family that has a frontend, in the order of [`Family::ALL`].
    pub servers: Vec<VirtualServer>,
}

impl PortPlan {
    /// The addresses of the endpoints on this node, each once.
    pub fn local_addresses(&self) -> Vec<IpAddr> {
        let reals = self.servers.iter().flat_map(|server| &server.reals);
        let mut local: Vec<IpAddr> = reals
            .filter(|real| real.level == Level::Node)
            .map(|real| real.ip)
            .collect();
        local.sort_unstable();
        local.dedup();
        local
    }
}

/// An address and port at which clients find a service port; the protocol is that of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frontend {
    /// A virtual address, which this node takes for its own.
    Address(IpAddr, NonZeroU16),
    /// A port on every address of this node.
    NodePort(Family, NonZeroU16),
}

impl Frontend {
    /// The family of the clients that use it.
    pub fn family(self) -> Family {
        match self {
            Self::Address(ip, _) => Family::of(ip),
            Self::NodePort(family, _) => family,
        }
    }
}

/// The endpoints that serve one family of a service port, and how connections divide among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServer {
    /// The family of clients and endpoints.
    pub family: Family,
    /// How IPVS picks a real server.
    pub scheduler: Scheduler,
    /// The endpoints, each once, in an order of this node's own: many schedulers start with the
    /// first, which must not be the same on every node. Empty: connections are refused.
    pub reals: Vec<RealServer>,
}

/// One endpoint as this node reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Its address.
    pub ip: IpAddr,
    /// Its port, which need not be the frontend's.
    pub port: NonZeroU16,
    /// Its part of the new connections.
    pub weight: Weight,
    /// How near it is.
    pub level: Level,
}

/// An IPVS scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Round robin: weights do not count.
    RoundRobin,
    /// Weighted round robin: new connections divide exactly in proportion to the weights.
    #[default]
    WeightedRoundRobin,
    /// Maglev hashing of the client's address: a client stays with its real server for as long as
    /// that is there, and few clients move when another comes or goes.
    ///
    /// Session affinity is done with this and not with IPVS persistence, which does not translate
    /// ports for virtual servers that are found by mark (`ip_vs_sched_persist`: the connection goes
    /// to the port that the client asked for). The time-out of the affinity has no meaning so.
    MaglevHash,
}

impl Scheduler {
    /// The kernel's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "rr",
            Self::WeightedRoundRobin => "wrr",
            Self::MaglevHash => "mh",
        }
    }

    /// The scheduler of that name, if it is one that plans use.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::RoundRobin, Self::WeightedRoundRobin, Self::MaglevHash];
        all.into_iter().find(|one| one.name() == name)
    }
}
