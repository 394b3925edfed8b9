//! The wanted kernel state of one Service, as plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{Capacity, Family, Level, Scheduler, SetId};

/// What the kernel shall hold for one Service: the endpoint sets of its service ports by name. Empty
/// for a Service that is gone.
pub type ServicePlan = BTreeMap<SetId, PortPlan>;

/// What the kernel shall hold for one endpoint set of a service port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortPlan {
    /// Where clients find it, sorted.
    pub frontends: Vec<Frontend>,
    /// One for each family that has a frontend, in the order of [`Family::ALL`].
    pub servers: Vec<VirtualServer>,
    /// The addresses among the frontends that clients from outside of the cluster know, sorted: they
    /// need not be virtual, but may be a node's own.
    pub external: Vec<IpAddr>,
    /// The frontends that are not for everybody.
    pub guards: Vec<Guard>,
    /// Where this node itself answers a load balancer at its address, sorted.
    pub probes: Vec<SocketAddr>,
}

/// An address and port that only clients in these networks may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: NonZeroU16,
    /// The networks, of which no two overlap.
    pub sources: Vec<IpNet>,
}

impl PortPlan {
    /// Whether the API server gave a frontend to this Service, so that no other has it. An address
    /// for clients from outside is one that somebody wrote down.
    pub fn is_allocated(&self, frontend: Frontend) -> bool {
        match frontend {
            Frontend::Address(ip, _) => self.external.binary_search(&ip).is_err(),
            Frontend::Outside(..) => false,
            Frontend::NodePort(..) | Frontend::OutsideNodePort(..) | Frontend::Own(..) => true,
        }
    }

    /// The frontends by which the service port is known again after a restart: those that it shares
    /// with no other, if it has any.
    pub fn signs(&self) -> Vec<Frontend> {
        let (allocated, stated): (Vec<_>, Vec<_>) = self
            .frontends
            .iter()
            .partition(|frontend| self.is_allocated(**frontend));
        if allocated.is_empty() {
            stated
        } else {
            allocated
        }
    }

    /// Whether clients of this family find it anywhere.
    pub(super) fn is_found_in(&self, family: Family) -> bool {
        let mut frontends = self.frontends.iter();
        frontends.any(|frontend| frontend.family() == family)
    }

    /// The endpoints that see their clients as this node, each once.
    pub fn masqueraded(&self) -> Vec<SocketAddr> {
        let reals = self.servers.iter().flat_map(|server| &server.reals);
        reals
            .filter(|real| real.masquerade)
            .map(|real| SocketAddr::new(real.ip, real.port.get()))
            .collect()
    }

    /// The addresses of the endpoints on this node, each once.
    pub fn local_addresses(&self) -> Vec<IpAddr> {
        let reals = self.servers.iter().flat_map(|server| &server.reals);
        let mut local: Vec<IpAddr> = reals
            .filter(|real| real.local)
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
    /// A virtual address for the client at the first address alone, which goes before
    /// [`Self::Address`].
    Own(IpAddr, IpAddr, NonZeroU16),
    /// The same address as [`Self::Address`] for clients from outside of the cluster, which goes
    /// before that.
    Outside(IpAddr, NonZeroU16),
    /// The same port as [`Self::NodePort`] for clients from outside of the cluster, which goes
    /// before that.
    OutsideNodePort(Family, NonZeroU16),
}

impl Frontend {
    /// The family of the clients that use it.
    pub fn family(self) -> Family {
        match self {
            Self::Address(ip, _) | Self::Own(_, ip, _) | Self::Outside(ip, _) => Family::of(ip),
            Self::NodePort(family, _) | Self::OutsideNodePort(family, _) => family,
        }
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip, port) => SocketAddr::new(*ip, port.get()).fmt(f),
            Self::Own(client, ip, port) => {
                write!(f, "{} from {client}", SocketAddr::new(*ip, port.get()))
            }
            Self::Outside(ip, port) => {
                write!(f, "{} from outside", SocketAddr::new(*ip, port.get()))
            }
            Self::NodePort(Family::V4, port) => write!(f, "*:{port}"),
            Self::NodePort(Family::V6, port) => write!(f, "[*]:{port}"),
            Self::OutsideNodePort(Family::V4, port) => write!(f, "*:{port} from outside"),
            Self::OutsideNodePort(Family::V6, port) => write!(f, "[*]:{port} from outside"),
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
    /// What the weights mean.
    pub style: Style,
    /// Whether connections are refused when every endpoint is at its budget.
    pub shed: bool,
    /// Whether old connections to farther endpoints are ended when nearer ones have room again.
    pub drain_back: bool,
    /// For how many seconds after its last new connection a client comes back to its endpoint; none
    /// where each connection is on its own, or where the scheduler sees to it.
    pub affinity: Option<NonZeroU32>,
    /// The endpoints, each once, in an order of this node's own: many schedulers start with the
    /// first, which must not be the same on every node.
    pub reals: Vec<RealServer>,
    /// What becomes of connections while it has no real server.
    pub unserved: Unserved,
}

/// What becomes of connections that nothing serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unserved {
    /// They are refused at once: there is nothing to wait for.
    #[default]
    Refused,
    /// They get no answer: other nodes have endpoints, to which the client's next attempt may go
    /// when its load balancer has noticed.
    Dropped,
}

impl VirtualServer {
    /// Whether any of its endpoints can be full.
    pub fn has_capacity(&self) -> bool {
        self.reals
            .iter()
            .any(|real| !matches!(real.capacity, Capacity::Unlimited))
    }

    /// The rank that takes what no other has room for.
    pub fn last_rank(&self) -> u8 {
        self.reals.iter().map(|real| real.rank).max().unwrap_or(0)
    }
}

/// What the weights of a virtual server mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// New connections divide in proportion to them.
    #[default]
    Share,
    /// A farther rank gets connections only when the nearer ones take no more.
    Ladder,
}

/// One endpoint as this node reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Its address.
    pub ip: IpAddr,
    /// Its port, which need not be the frontend's.
    pub port: NonZeroU16,
    /// How near it is, of the levels that are in use.
    pub level: Level,
    /// Whether it runs on this node, so that it may be its own client.
    pub local: bool,
    /// The cluster that it is in, if that is another one.
    pub cluster: Option<Arc<str>>,
    /// The place of its level in the order in which levels are filled, 0 first. Without gaps.
    pub rank: u8,
    /// The connections that it accepts of all nodes together.
    pub capacity: Capacity,
    /// Whether it sees its clients as this node, since it cannot answer them.
    pub masquerade: bool,
    /// Its weight in the kernel, 1 to `i32::MAX`.
    pub weight: u32,
    /// From how many connections on the kernel passes it over.
    pub limits: Limits,
}

/// The kernel's thresholds for the connections of one real server, active and inactive ones
/// together. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// With so many it gets no more; 0: no limit.
    pub upper: u32,
    /// Below so many it gets more again; at most `upper`.
    pub lower: u32,
}
