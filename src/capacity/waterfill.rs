//! How the nodes divide the capacity of the pods, without a leader.
//!
//! In two steps, so that not every node must hear of every other: a [`Summary`] of all reports,
//! which somebody makes once, and each node's budgets, which it computes from the summary, its own
//! demand and the pods that it knows.

mod hosts;
mod place;
mod summary;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use super::{Address, Budgets};
pub use hosts::Hosts;
pub use place::Place;
pub use summary::{Coarse, Summary};

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
/// Every node computes this from the same table and comes to an answer that fits the others': the
/// parts of one pod are together at most its capacity.
///
/// 1. Demand is served on its own node, what is left in its zone, and what is still left in the
///    cluster. At each step all nodes of a place get the same fraction of what they want, spread
///    over the pods there in proportion to their room.
/// 2. Room that nobody wants now is handed out, too, or a node whose demand grows would spill until
///    the others hear of it: half to the pod's own node, the other half to all, more to those that
///    want much. Of a pod whose node is not known, all of it to all.
///
/// Demand that finds no room shows in no part; each node sees for itself that everything is full.
pub fn water_fill(reports: &[Report], pods: &[Pod], node: &str) -> Budgets {
    let summary = Summary::of(reports, pods);
    let own = in_order(reports).into_iter().find(|one| *one.node == *node);
    match own {
        Some(own) => summary.budgets(own, pods),
        None => pods
            .iter()
            .map(|pod| (pod.address(), 0.0))
            .collect::<BTreeMap<_, _>>()
            .into(),
    }
}

/// One report of each node, in an order that does not depend on that of the reports: sums of
/// floating point numbers differ with it, and then the nodes' answers would.
fn in_order(reports: &[Report]) -> Vec<&Report> {
    let mut reports: Vec<&Report> = reports.iter().collect();
    reports.sort_by(|a, b| {
        let names = (&a.node, &a.zone).cmp(&(&b.node, &b.zone));
        names.then(b.demand.total_cmp(&a.demand))
    });
    reports.dedup_by(|a, b| a.node == b.node);
    reports
}

/// Every pod once, in an order that does not depend on that of the list.
fn pods_in_order(pods: &[Pod]) -> Vec<&Pod> {
    let mut pods: Vec<&Pod> = pods.iter().collect();
    pods.sort_by_key(|pod| (pod.address(), pod.capacity));
    pods.dedup_by_key(|pod| pod.address());
    pods
}

impl From<BTreeMap<Address, f64>> for Budgets {
    fn from(of: BTreeMap<Address, f64>) -> Self {
        Self { of }
    }
}

#[cfg(test)]
mod tests;
