//! The last rank, which nothing keeps from getting too much but its weights.

use super::endpoint::{Endpoint, Moment};
use super::gate::Gate;
use super::number::nearest;
use super::server::Server;
use crate::model::Scheduler;
use crate::plan::Style;

/// What the heaviest endpoint of the last rank must weigh for weights to tell budgets apart.
const FINEST: u32 = 64;
/// Parts of a connection below this are told apart no more.
const LEAST: f64 = 1.0 / 64.0;

impl Server {
    /// Weighs the endpoints of the last rank by their budgets, which the scheduler then fills evenly:
    /// nothing else keeps one of them from getting what many nodes have no room for between two
    /// ticks. Elsewhere whoever has no budget at all is a last resort.
    pub fn weigh(&mut self, at: Moment<'_>) {
        let fills = self.style == Style::Ladder && self.scheduler != Scheduler::MaglevHash;
        let mut last: Vec<&mut Endpoint> = Vec::new();
        for endpoint in &mut self.endpoints {
            let shut = endpoint.budget(at) == Some(0);
            endpoint.lend(shut.then_some(1));
            if fills && matches!(endpoint.gate, Gate::Last { .. }) {
                last.push(endpoint);
            }
        }
        let heaviest = last.iter().map(|one| one.base()).max().unwrap_or(0);
        if heaviest < FINEST {
            return;
        }
        let most = last
            .iter()
            .filter_map(|one| one.fill(at))
            .fold(0.0, f64::max);
        // In steps, or one budget that moves would move all weights.
        let scale = f64::from(heaviest) / most.max(LEAST).log2().ceil().exp2();
        for endpoint in last {
            let fill = endpoint.fill(at);
            endpoint.lend(fill.map(|fill| nearest(fill * scale).max(1)));
        }
    }

    /// Endpoints of the last rank at their budget get the least weight for as long as anybody has
    /// room; by hash they get what they get, or clients would not stay where they are.
    pub fn lower(&mut self, at: Moment<'_>) {
        let room = !self.lift.is_full() && self.scheduler != Scheduler::MaglevHash;
        for endpoint in &mut self.endpoints {
            let load = f64::from(endpoint.load(at.unit));
            let budget = endpoint.budget(at);
            if let (Gate::Last { lowered }, Some(budget)) = (&mut endpoint.gate, budget) {
                let bound = if *lowered {
                    at.pace.leave
                } else {
                    at.pace.enter
                };
                *lowered = room && load >= f64::from(budget) * bound;
            }
        }
    }
}
