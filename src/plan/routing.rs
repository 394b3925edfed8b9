//! What holds for one Service on this node: its own word goes before the node's, and that before
//! the configuration file's.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{By, Here};
use crate::model::{
    Capacity, Endpoint, EndpointSlice, HostCapacity, Level, Mode, Protocol, Remote, RemoteUse,
    Said, Scheduler, Service, Tuning, Weights,
};

/// All that decides where a Service's connections go, besides its endpoints.
#[derive(Debug)]
pub struct Routing<'a> {
    here: &'a Here,
    /// How new connections divide among the levels.
    pub mode: Mode,
    /// The weights of mode `prefer`.
    pub weights: Weights,
    /// Which levels are used, nearest first.
    pub levels: &'a [Level],
    /// When other clusters are used, and in which order.
    pub remote: RemoteUse,
    order: &'a [Arc<str>],
    /// The scheduler that was asked for by name.
    pub scheduler: Option<Scheduler>,
    /// Whether a client stays with its endpoint.
    pub affinity: Affinity,
    /// Whether connections are refused when every endpoint is at its budget.
    pub shed: bool,
    /// Whether old connections are ended that went far only for want of room.
    pub drain_back: bool,
    /// Of endpoints of which nothing else is said.
    capacity: Option<Capacity>,
}

/// Whether a client stays with its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Every connection on its own.
    None,
    /// For so many seconds after its last new connection, while the endpoint is there, however many
    /// connections that has.
    Firm(NonZeroU32),
    /// The same, but only while the endpoint has room.
    Yielding(NonZeroU32),
}

impl Affinity {
    /// For how many seconds, if at all.
    pub fn seconds(self) -> Option<NonZeroU32> {
        match self {
            Self::None => None,
            Self::Firm(seconds) | Self::Yielding(seconds) => Some(seconds),
        }
    }
}

impl<'a> Routing<'a> {
    /// What holds for a Service.
    pub fn of(service: &'a Service, here: &'a Here) -> Self {
        let voices = Voices::of(service, here);
        let remote = voices.first(|tuning| &tuning.remote);
        let named = voices.first(|tuning| &tuning.weights);
        let yields = voices.first(|tuning| &tuning.affinity_yield);
        Self {
            here,
            mode: voices
                .first(|tuning| &tuning.routing)
                .copied()
                .unwrap_or_default(),
            weights: named
                .into_iter()
                .flatten()
                .fold(here.weights, |weights, (level, weight)| {
                    weights.with(*level, *weight)
                }),
            levels: voices
                .first(|tuning| &tuning.levels)
                .map_or(&Level::USUAL, Vec::as_slice),
            remote: remote.map_or_else(RemoteUse::default, |remote: &Remote| remote.when),
            order: remote.map_or(&[], |remote| &remote.order),
            scheduler: voices.first(|tuning| &tuning.scheduler).copied(),
            affinity: match (service.affinity_seconds.and_then(NonZeroU32::new), yields) {
                (None, _) => Affinity::None,
                (Some(seconds), Some(true)) => Affinity::Yielding(seconds),
                (Some(seconds), _) => Affinity::Firm(seconds),
            },
            shed: voices
                .first(|tuning| &tuning.shed)
                .copied()
                .unwrap_or(false),
            drain_back: voices
                .first(|tuning| &tuning.drain_back)
                .copied()
                .unwrap_or(false),
            capacity: service.tuning.capacity.get().copied(),
        }
    }

    /// The scheduler that was asked for by name, as far as it is one for this protocol.
    pub fn scheduler_for(&self, protocol: Protocol) -> Option<Scheduler> {
        Some(self.scheduler?.over(protocol))
    }

    /// The capacity of an endpoint: what its slice says of it, else its Service, else the node that
    /// it runs on, else the configuration file.
    pub fn capacity(&self, slice: &EndpointSlice, endpoint: &Endpoint, level: Level) -> Capacity {
        let (_, capacity) = self.capacity_by(Some((slice, endpoint)), level);
        match (capacity, self.host(endpoint, level).percent) {
            (Capacity::Connections(connections), Some(percent)) => {
                Capacity::scaled(connections, percent)
            }
            _ => capacity,
        }
    }

    /// What the node that an endpoint runs on says of its pods, as far as that is known here.
    fn host(&self, endpoint: &Endpoint, level: Level) -> HostCapacity {
        let name = endpoint.node.as_ref();
        match level {
            Level::Own | Level::Node => self.here.tuning.pods(),
            Level::Zone | Level::Cluster => name
                .and_then(|name| self.here.neighbours.get(name).copied())
                .unwrap_or_default(),
            Level::Remote => HostCapacity::default(),
        }
    }

    /// What is said of the capacity of an endpoint, and by whom; without one, of any that may come.
    pub fn capacity_by(
        &self,
        endpoint: Option<(&EndpointSlice, &Endpoint)>,
        level: Level,
    ) -> (By, Capacity) {
        let slices = || {
            let (slice, endpoint) = endpoint?;
            slice.capacity.get()?.of(endpoint.ip)
        };
        let nodes = || self.host(endpoint?.1, level).capacity;
        let node = match level {
            Level::Own | Level::Node => By::Node,
            Level::Zone | Level::Cluster | Level::Remote => By::Host,
        };
        let defaults = || self.here.defaults.capacity.get().copied();
        let by = |by: By| move |capacity: Capacity| (by, capacity);
        slices()
            .map(by(By::Slice))
            .or_else(|| self.capacity.map(by(By::Service)))
            .or_else(|| nodes().map(by(node)))
            .or_else(|| defaults().map(by(By::Configuration)))
            .unwrap_or((By::Configuration, Capacity::Unlimited))
    }

    /// The nearest level in use that an endpoint at `level` belongs to: a pod on this node is also
    /// one in its zone and one of the cluster.
    pub fn level(&self, level: Level) -> Option<Level> {
        let holds = |wider: &&Level| match level {
            Level::Remote => **wider == Level::Remote,
            _ => **wider >= level && **wider != Level::Remote,
        };
        self.levels.iter().filter(holds).min().copied()
    }

    /// The place of a level, and among other clusters of a cluster, in the order in which they are
    /// filled.
    pub fn place(&self, level: Level, cluster: Option<&Arc<str>>) -> (usize, usize) {
        let level = self.levels.iter().position(|one| *one == level);
        let cluster = cluster.map_or(0, |id| {
            let named = self.order.iter().position(|one| one == id);
            named.unwrap_or(self.order.len())
        });
        (level.unwrap_or(self.levels.len()), cluster)
    }

    /// Whether new connections are to leave a level, or a cluster, alone.
    pub fn is_evacuated(&self, level: Level, cluster: Option<&Arc<str>>) -> bool {
        let drain = self.here.tuning.drain.get();
        drain.is_some_and(|drain| {
            drain.levels.contains(&level)
                || cluster.is_some_and(|cluster| drain.clusters.contains(cluster))
        })
    }
}

/// Those who can speak of all endpoints of a Service; the first one that does has the last word.
#[derive(Clone, Copy, Debug)]
pub struct Voices<'a>([(By, &'a Tuning); 3]);

impl<'a> Voices<'a> {
    /// Those who can speak of a Service on this node.
    pub fn of(service: &'a Service, here: &'a Here) -> Self {
        Self([
            (By::Service, &service.tuning),
            (By::Node, &here.tuning.all),
            (By::Configuration, &here.defaults),
        ])
    }

    /// What the first one says, if anybody does.
    pub fn first<T: 'a>(self, field: impl Fn(&'a Tuning) -> &'a Said<T>) -> Option<&'a T> {
        self.0
            .into_iter()
            .find_map(|(_, tuning)| field(tuning).get())
    }

    /// Who that is; where nobody says anything, what is so without a configuration.
    pub fn by<T: 'a>(self, field: impl Fn(&'a Tuning) -> &'a Said<T>) -> By {
        let mut voices = self.0.into_iter();
        let first = voices.find(|(_, tuning)| field(tuning).get().is_some());
        first.map_or(By::Configuration, |(by, _)| by)
    }
}
