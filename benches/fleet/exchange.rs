//! Demand reports between nodes, with delay and loss, and the summaries that keepers make of them.

use spillway::capacity::{Budgets, Coarse, Pod, Report, Summary};

use super::engine::{Micros, micros};
use super::node::Node;

/// A report that was not renewed for so long is void, in seconds.
const LASTS: f64 = 10.0;
/// What a summary must move by to be told before it is time, as keepers have it.
const MOVED: f64 = 0.05;
/// When it is time, in seconds.
const OFTEN: f64 = 5.0;
/// What a node's demand must have moved by to be said before it is time: a part of it, and
/// connections.
const CHANGED: (f64, f64) = (0.1, 1.0);
/// What fits into a datagram.
const COARSE: Coarse = Coarse {
    zones: 16,
    listed: 200,
    bits: 10,
};

/// What a node says of a service.
#[derive(Clone, Copy)]
pub struct Said {
    /// Connections at a time that it wants.
    pub demand: f64,
    /// Connections at a time that the pods on it accept.
    pub capacity: u32,
}

impl Said {
    /// Whether it is said now, after what was said last, by the agents' rule.
    pub fn is_due(self, sent: Option<(Self, Micros)>, now: Micros) -> bool {
        sent.is_none_or(|(sent, at)| {
            let by = (self.demand - sent.demand).abs();
            let moved = by > CHANGED.1 && by > CHANGED.0 * sent.demand;
            now - at >= micros(OFTEN) || moved || self.capacity != sent.capacity
        })
    }
}

/// How many keepers a node has; it goes by the one that knows of the most nodes.
const KEEPERS: usize = 2;

/// What a keeper has received, by service and node, with the time when it was.
type Rows = Vec<Vec<Option<(Said, Micros)>>>;

/// Nodes with the same keepers, which have received the same reports. To let each of 5,000 nodes
/// have keepers of its own would take a table for each; a few differ enough.
pub struct View {
    keepers: [Rows; KEEPERS],
    /// By service and cluster: what was told last, and when.
    told: Vec<Vec<Option<(Summary, Micros)>>>,
}

impl View {
    pub fn new(services: usize, clusters: usize, nodes: usize) -> Self {
        Self {
            keepers: std::array::from_fn(|_| vec![vec![None; nodes]; services]),
            told: vec![vec![None; clusters]; services],
        }
    }

    /// Receives the reports of a moment, but those that get lost.
    pub fn receive(
        &mut self,
        reports: &[Vec<Option<Said>>],
        now: Micros,
        loss: f64,
        rng: &mut fastrand::Rng,
    ) {
        for keeper in &mut self.keepers {
            let rows = keeper.iter_mut().flatten();
            for (row, said) in rows.zip(reports.iter().flatten()) {
                if let Some(said) = said
                    && (loss <= 0.0 || rng.f64() >= loss)
                {
                    *row = Some((*said, now));
                }
            }
        }
    }

    /// What the keepers tell the nodes of a cluster about a service.
    pub fn summary(
        &mut self,
        service: usize,
        nodes: &[Node],
        (number, cluster): (usize, &str),
        now: Micros,
    ) -> &Summary {
        let known = |keeper: &Rows| -> Vec<(Report, u32)> {
            let rows = nodes.iter().zip(&keeper[service]);
            let here = rows.filter(|(node, _)| &*node.place.cluster == cluster);
            here.filter_map(|(node, row)| {
                let (said, _) = row.filter(|(_, at)| now - at <= micros(LASTS))?;
                Some((report(node, said.demand), said.capacity))
            })
            .collect()
        };
        let all = self.keepers.iter().map(known);
        let reports = all.max_by_key(Vec::len).unwrap_or_default();
        let summary = Summary::of_hosts(&reports, COARSE);
        let told = &mut self.told[service][number];
        let lasts = told
            .take()
            .filter(|(told, at)| now - at < micros(OFTEN) && !summary.differs(told, MOVED));
        &told.insert(lasts.unwrap_or((summary, now))).0
    }
}

fn report(node: &Node, demand: f64) -> Report {
    Report {
        node: node.place.node.clone(),
        zone: Some(node.place.zone.clone()),
        demand,
    }
}

/// A node's budgets by what its keepers say and its own demand, which it knows as it is now.
pub fn budgets(node: &Node, service: usize, summary: &Summary, pods: &[Pod]) -> Budgets {
    summary.budgets(&report(node, node.demand(service)), pods)
}
