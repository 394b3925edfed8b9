//! The words of Spillway as plain types: what a Service, an endpoint, a level and a weight are.
//!
//! Nothing here does I/O, reads a clock or knows Kubernetes' wire format or netlink's.

mod cluster;
mod hash;
mod level;
mod name;
mod net;
mod scheduler;
mod tuning;
mod written;

pub use cluster::{
    Conditions, Endpoint, EndpointSlice, External, Hints, Neighbour, Node, Service, ServiceCidr,
    ServicePort, Since, SlicePort, TrafficPolicy,
};
pub use hash::{mix, stable_hash};
pub use level::{Level, Weight, Weights};
pub use name::{EndpointSet, Origin, ServiceId, ServicePortId, SetId, SliceId};
pub use net::{Family, LinkName, Protocol};
pub use scheduler::Scheduler;
pub use tuning::{
    Capacity, Evacuation, HostCapacity, Mode, NodeTuning, Reach, Remote, RemoteUse, Said,
    SliceCapacity, Tuning,
};

#[cfg(test)]
pub mod example;
