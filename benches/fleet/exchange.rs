//! Demand reports between nodes, with delay and loss.

use spillway::capacity::{Report, water_fill};

use super::engine::{Micros, micros};
use super::node::Node;

/// A report that was not renewed for so long is void.
const LASTS: f64 = 10.0;

/// Nodes that have received the same reports. To let each of 5,000 nodes lose reports of its own
/// would take a table for each; a few dozen differ enough.
pub struct View {
    /// By service and node: the demand, and when it was received.
    rows: Vec<Vec<Option<(f64, Micros)>>>,
}

impl View {
    pub fn new(services: usize, nodes: usize) -> Self {
        Self {
            rows: vec![vec![None; nodes]; services],
        }
    }

    /// Receives the reports of a moment, but those that get lost.
    pub fn receive(
        &mut self,
        demands: &[Vec<Option<f64>>],
        now: Micros,
        loss: f64,
        rng: &mut fastrand::Rng,
    ) {
        for (rows, demands) in self.rows.iter_mut().zip(demands) {
            for (row, demand) in rows.iter_mut().zip(demands) {
                if let Some(demand) = demand
                    && (loss <= 0.0 || rng.f64() >= loss)
                {
                    *row = Some((*demand, now));
                }
            }
        }
    }

    /// What a node's cluster wants of a service, as far as it is known here.
    pub fn table(
        &self,
        service: usize,
        nodes: &[Node],
        cluster: &str,
        now: Micros,
    ) -> (Vec<Report>, Vec<Option<usize>>) {
        let mut reports = Vec::with_capacity(nodes.len());
        let mut places = vec![None; nodes.len()];
        for (number, node) in nodes.iter().enumerate() {
            let row = self.rows[service][number];
            let fresh = row.filter(|(_, at)| now - at <= micros(LASTS));
            if let Some((demand, _)) = fresh.filter(|_| &*node.place.cluster == cluster) {
                places[number] = Some(reports.len());
                reports.push(report(node, demand));
            }
        }
        (reports, places)
    }
}

fn report(node: &Node, demand: f64) -> Report {
    Report {
        node: node.place.node.clone(),
        zone: Some(node.place.zone.clone()),
        demand,
    }
}

/// A node's budgets by the reports that it has, of which its own is always fresh.
pub fn budgets(
    node: &Node,
    service: usize,
    reports: &mut Vec<Report>,
    place: Option<usize>,
    pods: &[spillway::capacity::Pod],
) -> spillway::capacity::Budgets {
    let own = node.demand(service);
    let name = &node.place.node;
    if let Some(place) = place {
        let before = std::mem::replace(&mut reports[place].demand, own);
        let budgets = water_fill(reports, pods, name);
        reports[place].demand = before;
        budgets
    } else {
        reports.push(report(node, own));
        let budgets = water_fill(reports, pods, name);
        reports.pop();
        budgets
    }
}
