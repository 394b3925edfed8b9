//! Whether a rank is full, with hysteresis, so that nothing flaps that people see.
//!
//! In time, not in ticks: these come five times as fast where connections are short.

use std::time::Instant;

use super::{Pace, RankState};

/// A Schmitt trigger over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saturation {
    saturated: bool,
    /// Since when the load has been beyond the bound at which this turns.
    beyond: Option<Instant>,
}

impl Saturation {
    /// Takes one tick in: the load, the budget, and whether every endpoint was closed at some
    /// moment since the last tick.
    pub fn see(&mut self, load: f64, budget: f64, closed: bool, pace: &Pace, now: Instant) {
        let (beyond, after) = if self.saturated {
            // Who has no budget at all does not recover by having no connections.
            (
                budget > 0.0 && load <= budget * pace.leave,
                pace.leave_after,
            )
        } else {
            (load >= budget * pace.enter || closed, pace.enter_after)
        };
        if !beyond {
            self.beyond = None;
            return;
        }
        let since = *self.beyond.get_or_insert(now);
        if now.saturating_duration_since(since) >= after {
            self.saturated = !self.saturated;
            self.beyond = None;
        }
    }

    /// Whether it is saturated and has not recovered.
    pub fn is_saturated(self) -> bool {
        self.saturated
    }

    /// Its state, if it is or was saturated. It takes half the time to recover until anybody is told
    /// that it does: where few connections are many for a budget, the load passes any bound often.
    pub fn state(self, pace: &Pace, now: Instant) -> Option<RankState> {
        let since = |at: Instant| now.saturating_duration_since(at);
        let recovers = self
            .beyond
            .is_some_and(|at| since(at) >= pace.leave_after / 2);
        match (self.saturated, recovers) {
            (true, false) => Some(RankState::Saturated),
            (true, true) => Some(RankState::Recovering),
            (false, _) => None,
        }
    }
}
