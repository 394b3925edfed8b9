use std::fmt;
use std::num::NonZeroU16;

/// How near an endpoint is to this node; nearer levels order before farther ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The client itself: a pod that calls a service which it belongs to. Only where asked for.
    Own,
    /// On this node.
    Node,
    /// In this node's zone (`topology.kubernetes.io/zone`).
    Zone,
    /// Elsewhere in this cluster.
    Cluster,
    /// In another cluster.
    Remote,
}

impl Level {
    /// All levels, nearest first.
    pub const ALL: [Self; 5] = [
        Self::Own,
        Self::Node,
        Self::Zone,
        Self::Cluster,
        Self::Remote,
    ];

    /// Those in use where nothing else is said, nearest first.
    pub const USUAL: [Self; 4] = [Self::Node, Self::Zone, Self::Cluster, Self::Remote];

    /// Its name in annotations, tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Node => "node",
            Self::Zone => "zone",
            Self::Cluster => "cluster",
            Self::Remote => "remote",
        }
    }

    /// Levels as one writes them in an annotation: `node,zone`.
    pub fn list(levels: &[Self]) -> String {
        let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
        names.join(",")
    }

    /// The level of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An endpoint's part of the new connections in mode `prefer`, relative to its neighbours'.
///
/// Never zero, which to IPVS means "no new connections" and is the drain's word, not the plan's.
pub type Weight = NonZeroU16;

/// The weight that an endpoint has in mode `prefer`, by its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Of endpoints on this node.
    pub node: Weight,
    /// Of endpoints in this node's zone.
    pub zone: Weight,
    /// Of the cluster's other endpoints.
    pub cluster: Weight,
    /// Of endpoints in other clusters, where they are used always and not as a fallback.
    pub remote: Weight,
}

impl Weights {
    /// The weight of an endpoint at `level`. A client shares itself with nobody, so that its own
    /// level needs no weight of its own.
    pub const fn of(&self, level: Level) -> Weight {
        match level {
            Level::Own | Level::Node => self.node,
            Level::Zone => self.zone,
            Level::Cluster => self.cluster,
            Level::Remote => self.remote,
        }
    }

    /// The same with another weight at `level`.
    #[must_use]
    pub const fn with(mut self, level: Level, weight: Weight) -> Self {
        match level {
            Level::Own => {}
            Level::Node => self.node = weight,
            Level::Zone => self.zone = weight,
            Level::Cluster => self.cluster = weight,
            Level::Remote => self.remote = weight,
        }
        self
    }
}

impl Default for Weights {
    /// 100, 30, 10 and 1: each level at most a third of the nearer one.
    fn default() -> Self {
        const fn weight(value: u16) -> Weight {
            match Weight::new(value) {
                Some(weight) => weight,
                None => Weight::MIN,
            }
        }
        Self {
            node: weight(100),
            zone: weight(30),
            cluster: weight(10),
            remote: weight(1),
        }
    }
}
