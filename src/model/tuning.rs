//! What people ask for by annotations with the prefix `spillway.io/`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Level, Scheduler, Weight};

/// The value of one annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Said<T> {
    /// It is not there.
    #[default]
    Nothing,
    /// It is there and has a meaning.
    Valid(T),
    /// It is there and means nothing; what it said before goes on being true.
    Invalid,
}

impl<T> Said<T> {
    /// What was said.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Valid(value) => Some(value),
            Self::Nothing | Self::Invalid => None,
        }
    }

    /// Where this is invalid, what it said before.
    pub fn or_before(&mut self, before: &Self)
    where
        T: Clone,
    {
        if matches!(self, Self::Invalid) {
            *self = match before {
                Self::Valid(value) => Self::Valid(value.clone()),
                Self::Nothing | Self::Invalid => Self::Nothing,
            };
        }
    }
}

/// `routing`: how new connections divide among the levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In proportion to weights that favour nearer levels.
    #[default]
    Prefer,
    /// To the nearest level that has room.
    Spill,
    /// Evenly, as kube-proxy does.
    Balance,
}

impl Mode {
    /// Its name in annotations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::Spill => "spill",
            Self::Balance => "balance",
        }
    }
}

/// `capacity`: concurrent connections that an endpoint accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capacity {
    /// Any number: the endpoint is never full.
    Unlimited,
    /// So many; at most [`Capacity::MOST`].
    Connections(NonZeroU32),
    /// Learned from how the endpoint behaves.
    Auto,
}

impl Capacity {
    /// The most that can be asked for: beyond it, the weights of two levels no longer fit into the
    /// kernel's 31 bits.
    pub const MOST: u32 = 1_000_000;

    /// So many percent of a capacity, within 1 and [`Self::MOST`].
    pub fn scaled(connections: NonZeroU32, percent: NonZeroU32) -> Self {
        let scaled = u64::from(connections.get()) * u64::from(percent.get()) / 100;
        let scaled = u32::try_from(scaled).unwrap_or(Self::MOST).min(Self::MOST);
        Self::Connections(NonZeroU32::new(scaled).unwrap_or(NonZeroU32::MIN))
    }
}

/// `capacity` on an `EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceCapacity {
    /// Of the endpoints that are not named.
    pub default: Option<Capacity>,
    /// Of single endpoints, by address, sorted.
    pub of: Vec<(IpAddr, Capacity)>,
}

impl SliceCapacity {
    /// What is said of an endpoint.
    pub fn of(&self, ip: IpAddr) -> Option<Capacity> {
        let named = self.of.binary_search_by_key(&ip, |(ip, _)| *ip);
        named.map_or(self.default, |index| {
            self.of.get(index).map(|(_, capacity)| *capacity)
        })
    }
}

/// `remote`: when endpoints of other clusters are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RemoteUse {
    /// When the nearer levels have no room, or are gone.
    #[default]
    Fallback,
    /// Like any other level.
    Always,
    /// Not at all.
    Never,
}

/// `remote`, with its order of clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// When they are used.
    pub when: RemoteUse,
    /// Cluster ids, nearest first; clusters that are not named come after these, together.
    pub order: Vec<Arc<str>>,
}

/// `drain` on a Node: what new connections of this node are to leave alone, unless nothing else
/// serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evacuation {
    /// Whole levels.
    pub levels: BTreeSet<Level>,
    /// Other clusters, by id.
    pub clusters: BTreeSet<Arc<str>>,
}

/// `reach` on an `EndpointSlice` of another cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The addresses are those of pods, which see their clients' addresses.
    #[default]
    Direct,
    /// The addresses are those of hosts, which cannot answer a pod of this cluster: the client
    /// shows as this node.
    Host,
}

/// What a Service or a Node asks for. A Service's word goes before its node's, and that before the
/// configuration file's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// `routing`
    pub routing: Said<Mode>,
    /// `weights`: the levels that are named, each once
    pub weights: Said<Vec<(Level, Weight)>>,
    /// `levels`: the levels to use, nearest first, each once and at least one
    pub levels: Said<Vec<Level>>,
    /// `capacity`
    pub capacity: Said<Capacity>,
    /// `remote`
    pub remote: Said<Remote>,
    /// `scheduler`
    pub scheduler: Said<Scheduler>,
    /// `shed`: whether connections are refused when every endpoint is at its budget
    pub shed: Said<bool>,
    /// `affinity-yield`: whether clients with session affinity leave an endpoint that is over its
    /// budget
    pub affinity_yield: Said<bool>,
    /// `drain-back`: whether old connections are ended that went far only for want of room
    pub drain_back: Said<bool>,
}

impl Tuning {
    /// Keeps what was said before wherever this is invalid.
    pub fn or_before(&mut self, before: &Self) {
        self.routing.or_before(&before.routing);
        self.weights.or_before(&before.weights);
        self.levels.or_before(&before.levels);
        self.capacity.or_before(&before.capacity);
        self.remote.or_before(&before.remote);
        self.scheduler.or_before(&before.scheduler);
        self.shed.or_before(&before.shed);
        self.affinity_yield.or_before(&before.affinity_yield);
        self.drain_back.or_before(&before.drain_back);
    }
}

/// What a Node asks for, beyond what a Service can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTuning {
    /// What is true of all Services that do not say otherwise.
    pub all: Tuning,
    /// `capacity-factor`: scales the capacity of the pods on this node, in percent (1 to 10,000).
    pub capacity_percent: Said<NonZeroU32>,
    /// `drain`
    pub drain: Said<Evacuation>,
}

/// What a Node says of the capacity of the pods on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCapacity {
    /// `capacity`, where neither slice nor Service says one.
    pub capacity: Option<Capacity>,
    /// `capacity-factor`, in percent.
    pub percent: Option<NonZeroU32>,
}

impl NodeTuning {
    /// What it says of the pods on the node.
    pub fn pods(&self) -> HostCapacity {
        HostCapacity {
            capacity: self.all.capacity.get().copied(),
            percent: self.capacity_percent.get().copied(),
        }
    }

    /// Keeps what was said before wherever this is invalid.
    pub fn or_before(&mut self, before: &Self) {
        self.all.or_before(&before.all);
        self.capacity_percent.or_before(&before.capacity_percent);
        self.drain.or_before(&before.drain);
    }
}
