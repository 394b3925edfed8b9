use std::fmt;
use std::num::NonZeroU16;

/// How near an endpoint is to this node; nearer levels order before farther ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// On this node.
    Node,
    /// In this node's zone (`topology.kubernetes.io/zone`).
    Zone,
    /// Elsewhere in this cluster.
    Cluster,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Zone => "zone",
            Self::Cluster => "cluster",
        })
    }
}

/// A real server's weight: its part of the new connections, relative to its neighbours.
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
}

impl Weights {
    /// The weight of an endpoint at `level`.
    pub const fn of(&self, level: Level) -> Weight {
        match level {
            Level::Node => self.node,
            Level::Zone => self.zone,
            Level::Cluster => self.cluster,
        }
    }
}

impl Default for Weights {
    /// 100, 30 and 10: each level about a third of the nearer one. Their common divisor keeps
    /// `wrr`'s rounds short (it scans once per weight step).
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
        }
    }
}
