//! The annotations that tune Spillway: their names, where each may stand, and what its value means.
//!
//! Pure and total: any text either has a meaning or has none. The configuration file writes its
//! defaults in the same words.

pub mod value;

use std::num::NonZeroU32;

use crate::model::{
    Capacity, Evacuation, Level, Mode, Reach, Remote, Scheduler, SliceCapacity, Weight,
};

/// What the names of all of them begin with.
pub const PREFIX: &str = "spillway.io/";

/// An annotation with values of one type.
#[derive(Debug)]
pub struct Annotation<T> {
    /// Its name, with the prefix.
    pub name: &'static str,
    /// What is to be said of a value without a meaning.
    pub remedy: &'static str,
    /// What a value means, if it means anything.
    pub read: fn(&str) -> Option<T>,
}

/// What an annotation can stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// A Service.
    Service,
    /// A `ServiceImport`, which has those of the Services that it stands for.
    Import,
    /// An `EndpointSlice`.
    Slice,
    /// A Node.
    Node,
}

/// `routing`
pub const ROUTING: Annotation<Mode> = Annotation {
    name: "spillway.io/routing",
    remedy: "use prefer, spill or balance",
    read: value::mode,
};

/// `weights`
pub const WEIGHTS: Annotation<Vec<(Level, Weight)>> = Annotation {
    name: "spillway.io/weights",
    remedy: "give levels a weight from 1 to 65535, each once, like node=100,zone=30,remote=1",
    read: value::weights,
};

/// `levels`
pub const LEVELS: Annotation<Vec<Level>> = Annotation {
    name: "spillway.io/levels",
    remedy: "name node, zone, cluster or remote, nearest first and each once, like node,cluster; \
             perhaps after self",
    read: value::levels,
};

/// `capacity`, but on an `EndpointSlice`
pub const CAPACITY: Annotation<Capacity> = Annotation {
    name: "spillway.io/capacity",
    remedy: "give a number of connections from 1 to 1000000, unlimited or auto",
    read: value::capacity,
};

/// `capacity` on an `EndpointSlice`
pub const SLICE_CAPACITY: Annotation<SliceCapacity> = Annotation {
    name: CAPACITY.name,
    remedy: "give a number of connections from 1 to 1000000, unlimited or auto, or one for each \
             address, like 10.1.1.5=100,10.1.1.6=50,*=80",
    read: value::slice_capacity,
};

/// `capacity-factor`
pub const CAPACITY_FACTOR: Annotation<NonZeroU32> = Annotation {
    name: "spillway.io/capacity-factor",
    remedy: "give a number from 0.01 to 100 with at most two decimal places, like 0.5",
    read: value::percent,
};

/// `remote`
pub const REMOTE: Annotation<Remote> = Annotation {
    name: "spillway.io/remote",
    remedy: "use fallback, always or never, and perhaps an order of clusters, like fallback:b,c",
    read: value::remote,
};

/// `scheduler`
pub const SCHEDULER: Annotation<Scheduler> = Annotation {
    name: "spillway.io/scheduler",
    remedy: "use rr, wrr, lc, wlc, sed, nq, fo, ovf, sh, dh, lblc, lblcr or mh",
    read: value::scheduler,
};

/// `drain`
pub const DRAIN: Annotation<Evacuation> = Annotation {
    name: "spillway.io/drain",
    remedy: "name levels, or clusters as cluster:ID, like zone,cluster:b",
    read: value::evacuation,
};

/// `shed`
pub const SHED: Annotation<bool> = flag("spillway.io/shed");

/// `affinity-yield`
pub const AFFINITY_YIELD: Annotation<bool> = flag("spillway.io/affinity-yield");

/// `drain-back`
pub const DRAIN_BACK: Annotation<bool> = flag("spillway.io/drain-back");

/// `global`
pub const GLOBAL: Annotation<bool> = flag("spillway.io/global");

/// `reach`
pub const REACH: Annotation<Reach> = Annotation {
    name: "spillway.io/reach",
    remedy: "use direct or host",
    read: value::reach,
};

const fn flag(name: &'static str) -> Annotation<bool> {
    Annotation {
        name,
        remedy: "use true or false",
        read: value::flag,
    }
}

/// What Services, `ServiceImports` and Nodes can have.
const COMMON: [&str; 9] = [
    ROUTING.name,
    WEIGHTS.name,
    LEVELS.name,
    CAPACITY.name,
    REMOTE.name,
    SCHEDULER.name,
    SHED.name,
    AFFINITY_YIELD.name,
    DRAIN_BACK.name,
];

impl Bearer {
    /// Whether an annotation of this name means something here.
    pub fn can_have(self, name: &str) -> bool {
        let common = || COMMON.contains(&name);
        match self {
            Self::Service => common() || name == GLOBAL.name,
            Self::Import => common(),
            Self::Slice => [SLICE_CAPACITY.name, REACH.name].contains(&name),
            Self::Node => common() || [CAPACITY_FACTOR.name, DRAIN.name].contains(&name),
        }
    }

    /// What is to be said of one that means nothing here.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Service => {
                "a Service can have routing, weights, levels, capacity, remote, scheduler, shed, \
                 affinity-yield, drain-back and global"
            }
            Self::Import => {
                "a ServiceImport can have routing, weights, levels, capacity, remote, scheduler, \
                 shed, affinity-yield and drain-back"
            }
            Self::Slice => "an EndpointSlice can have capacity and reach",
            Self::Node => {
                "a Node can have routing, weights, levels, capacity, remote, scheduler, shed, \
                 affinity-yield, drain-back, capacity-factor and drain"
            }
        }
    }
}

#[cfg(test)]
mod tests;
