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
const CHANGED: (f64, f64) = (0.1, 2.0);
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

/// Nodes with the same keepers, which have received the same reports. To let each of 5,000 nodes
/// have keepers of its own would take a table for each; a few differ enough.
pub struct View {
    /// By service and node, with the time when it was received.
    rows: Vec<Vec<Option<(Said, Micros)>>>,
    /// By service and cluster: what the keeper told last, and when.
    told: Vec<Vec<Option<(Summary, Micros)>>>,
}

impl View {
    pub fn new(services: usize, clusters: usize, nodes: usize) -> Self {
        Self {
            rows: vec![vec![None; nodes]; services],
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
        for (rows, reports) in self.rows.iter_mut().zip(reports) {
            for (row, said) in rows.iter_mut().zip(reports) {
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
        let mut reports = Vec::new();
        for (node, row) in nodes.iter().zip(&self.rows[service]) {
            let fresh = row.filter(|(_, at)| now - at <= micros(LASTS));
            if let Some((said, _)) = fresh.filter(|_| &*node.place.cluster == cluster) {
                reports.push((report(node, said.demand), said.capacity));
            }
        }
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
