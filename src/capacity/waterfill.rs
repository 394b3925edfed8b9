//! How the nodes divide the capacity of the pods, without a leader.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use super::number::float;
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

/// What a node may have beyond its part where a pod is used up, since reports lag.
const HEAD_ROOM: f64 = 1.1;

/// The part of each pod's capacity that the node of that name may use.
///
/// Every node computes this from the same table and comes to an answer that fits the others': the
/// parts of one pod are together at most 1.1 times its capacity.
///
/// 1. Demand is served on its own node, what is left in its zone, and what is still left in the
///    cluster. At each step all nodes of a place get the same fraction of what they want, spread
///    over the pods there in proportion to their room.
/// 2. Room that nobody wants now is handed out, too, or a node whose demand grows would spill until
///    the others hear of it: half to the pod's own node, the other half to all, more to those that
///    want much.
/// 3. A part of a pod that is used up is raised by a tenth, but not beyond its capacity.
///
/// Demand that finds no room shows in no part; each node sees for itself that everything is full.
pub fn water_fill(reports: &[Report], pods: &[Pod], node: &str) -> Budgets {
    let mut table = Table::new(reports, pods);
    let me = table.nodes.iter().position(|one| one.name == node);
    for scope in [Scope::Node, Scope::Zone, Scope::Cluster] {
        table.serve(scope, me);
    }
    table.hand_out(me);
    table
        .pods
        .iter()
        .map(|pod| {
            let part = (pod.mine * HEAD_ROOM).max(pod.mine + pod.spare);
            (pod.pod.address(), part.min(capacity(pod.pod)))
        })
        .collect::<BTreeMap<_, _>>()
        .into()
}

impl From<BTreeMap<Address, f64>> for Budgets {
    fn from(of: BTreeMap<Address, f64>) -> Self {
        Self { of }
    }
}

fn capacity(pod: &Pod) -> f64 {
    f64::from(pod.capacity.get())
}

/// Where demand is served.
#[derive(Clone, Copy)]
enum Scope {
    Node,
    Zone,
    Cluster,
}

impl Scope {
    /// The place, if it is known; demand meets pods in the same place.
    fn place<'a>(self, node: Option<&'a str>, zone: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Node => node,
            Self::Zone => zone,
            Self::Cluster => Some(""),
        }
    }
}

/// Demand and room at one place.
#[derive(Clone, Copy, Default)]
struct Place {
    demand: f64,
    room: f64,
}

impl Place {
    /// The fraction of the demand that there is room for.
    fn served(self) -> f64 {
        if self.demand > 0.0 {
            (self.room / self.demand).min(1.0)
        } else {
            0.0
        }
    }

    /// The fraction of the room that is used.
    fn used(self) -> f64 {
        if self.room > 0.0 {
            (self.demand / self.room).min(1.0)
        } else {
            0.0
        }
    }
}

struct NodeRow<'a> {
    name: &'a str,
    zone: Option<&'a str>,
    demand: f64,
    /// Demand that is not served yet.
    left: f64,
}

struct PodRow<'a> {
    pod: &'a Pod,
    /// Room that is not used yet.
    left: f64,
    /// What the node in question gets for its demand.
    mine: f64,
    /// What it gets beyond.
    spare: f64,
}

/// All nodes and pods, in an order that does not depend on that of the reports: sums of floating
/// point numbers differ with it, and then the nodes' answers would.
struct Table<'a> {
    nodes: Vec<NodeRow<'a>>,
    pods: Vec<PodRow<'a>>,
}

impl<'a> Table<'a> {
    fn new(reports: &'a [Report], pods: &'a [Pod]) -> Self {
        let mut nodes: Vec<NodeRow<'a>> = reports
            .iter()
            .map(|report| {
                let sane = report.demand.is_finite() && report.demand > 0.0;
                let demand = if sane { report.demand } else { 0.0 };
                NodeRow {
                    name: &report.node,
                    zone: report.zone.as_deref(),
                    demand,
                    left: demand,
                }
            })
            .collect();
        nodes.sort_by(|a, b| {
            let names = (a.name, a.zone).cmp(&(b.name, b.zone));
            names.then(b.demand.total_cmp(&a.demand))
        });
        nodes.dedup_by(|a, b| a.name == b.name);
        let mut pods: Vec<PodRow<'a>> = pods
            .iter()
            .map(|pod| PodRow {
                pod,
                left: capacity(pod),
                mine: 0.0,
                spare: 0.0,
            })
            .collect();
        pods.sort_by_key(|row| (row.pod.address(), row.pod.capacity));
        pods.dedup_by_key(|row| row.pod.address());
        Self { nodes, pods }
    }

    fn serve(&mut self, scope: Scope, me: Option<usize>) {
        let mut places: BTreeMap<&str, Place> = BTreeMap::new();
        for node in &self.nodes {
            if let Some(place) = scope.place(Some(node.name), node.zone) {
                places.entry(place).or_default().demand += node.left;
            }
        }
        let of_pod = |pod: &'a Pod| scope.place(pod.node.as_deref(), pod.zone.as_deref());
        for row in &self.pods {
            if let Some(place) = of_pod(row.pod) {
                places.entry(place).or_default().room += row.left;
            }
        }
        let mine = me.and_then(|me| self.nodes.get(me)).and_then(|node| {
            let place = scope.place(Some(node.name), node.zone)?;
            Some((place, node.left * places.get(place)?.served()))
        });
        for row in &mut self.pods {
            let Some(place) = of_pod(row.pod) else {
                continue;
            };
            let here = places.get(place).copied().unwrap_or_default();
            if let Some((my_place, served)) = mine
                && my_place == place
                && here.room > 0.0
            {
                row.mine += served * row.left / here.room;
            }
            row.left *= 1.0 - here.used();
        }
        for node in &mut self.nodes {
            if let Some(place) = scope.place(Some(node.name), node.zone) {
                let here = places.get(place).copied().unwrap_or_default();
                node.left *= 1.0 - here.served();
            }
        }
    }

    fn hand_out(&mut self, me: Option<usize>) {
        let Some(node) = me.and_then(|me| self.nodes.get(me)) else {
            return;
        };
        let all: f64 = self.nodes.iter().map(|node| node.demand).sum();
        let count = float(self.nodes.len() as u64);
        // One connection more, so that this is a number where nobody wants anything.
        let even = (all + 1.0) / count;
        let share = (node.demand + even) / (all + even * count);
        for row in &mut self.pods {
            let host = row.pod.node.as_deref();
            let known = |name: &str| {
                let found = self.nodes.binary_search_by(|node| node.name.cmp(name));
                found.is_ok()
            };
            row.spare = row.left
                * match host {
                    Some(host) if host == node.name => 0.5 + 0.5 * share,
                    Some(host) if known(host) => 0.5 * share,
                    Some(_) | None => share,
                };
        }
    }
}
