//! Those that nothing but weights keeps from getting too much: in a ladder the last rank, where
//! weights are shares whoever has room for longest.

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

/// Where weights are shares, an endpoint loses its threshold if it has room for this part of the
/// time that the best has, and gets one again below the other: little, since whoever has no
/// threshold fills on until the next tick, and not the same, since every turn is an edit.
const JOINS: f64 = 15.0 / 16.0;
const LEAVES: f64 = 7.0 / 8.0;
/// The part of its budget that counts as room of a full endpoint: of those that are full a large one
/// can best do with all that comes until the next tick.
const BEYOND: f64 = 1.0 / 8.0;

impl Server {
    /// Weighs the endpoints of the last rank by their budgets, which the scheduler then fills evenly:
    /// nothing else keeps one of them from getting what many nodes have no room for between two
    /// ticks. On nearer rungs whoever has no budget at all is a last resort.
    pub fn weigh(&mut self, at: Moment<'_>) {
        // Elsewhere a weight apart from all others would make rounds long, and a hash anew.
        let fills = self.style == Style::Ladder && self.scheduler != Scheduler::MaglevHash;
        let factor = self.lift.factor();
        let mut last: Vec<&mut Endpoint> = Vec::new();
        for endpoint in &mut self.endpoints {
            let shut = fills && endpoint.is_shut(factor, at);
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
            .filter_map(|one| one.fill(factor, at))
            .fold(0.0, f64::max);
        // In steps, or one budget that moves would move all weights.
        let scale = f64::from(heaviest) / most.max(LEAST).log2().ceil().exp2();
        for endpoint in last {
            let fill = endpoint.fill(factor, at);
            endpoint.lend(fill.map(|fill| nearest(fill * scale).max(1)));
        }
    }

    /// Endpoints of the last rank at their budget get the least weight for as long as anybody has
    /// room; by hash they get what they get, or clients would not stay where they are.
    pub fn lower(&mut self, at: Moment<'_>) {
        let room = self.style == Style::Ladder
            && !self.lift.is_full()
            && self.scheduler != Scheduler::MaglevHash;
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

    /// Where weights are shares, a level does not say who is full first. So all have thresholds but
    /// those that have room for longest at their shares: nobody gets over its budget while they have
    /// room, and what finds nobody with room until the next tick is not refused.
    pub fn reserve(&mut self, at: Moment<'_>) {
        if self.style != Style::Share || self.shed {
            return;
        }
        let factor = self.lift.factor();
        let by_weight = self.weighs();
        let lasts = |endpoint: &Endpoint| {
            let weight = if by_weight { endpoint.base() } else { 1 };
            let room = endpoint.room(factor, at)? + BEYOND * f64::from(endpoint.budget(at)?);
            Some(room / f64::from(weight.max(1)))
        };
        // One that accepts any number lasts longer than all.
        let longest = self.endpoints.iter().map(lasts);
        let longest = longest
            .map(|one| one.unwrap_or(f64::INFINITY))
            .fold(0.0, f64::max);
        for endpoint in &mut self.endpoints {
            let Some(time) = lasts(endpoint) else {
                continue;
            };
            let is_open = matches!(endpoint.gate, Gate::Last { .. });
            let bound = if is_open { LEAVES } else { JOINS };
            let opens = !self.scheduler.passes_over() || time >= longest * bound;
            match (opens, is_open) {
                (true, false) => endpoint.gate = Gate::Last { lowered: false },
                (false, true) => endpoint.close(factor, at),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Whether weights count.
    fn weighs(&self) -> bool {
        !matches!(
            self.scheduler,
            Scheduler::RoundRobin | Scheduler::LeastConnection
        )
    }
}
