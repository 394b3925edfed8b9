//! What to do when everything is full: everybody gets more than its budget by the same factor, so
//! that no rank carries the whole excess alone.

use std::time::Instant;

use super::Pace;

/// A change of the factor below this is not worth an edit of every threshold.
const STEP: f64 = 0.05;
/// Everything counts as full until the load is below this part of all budgets.
const LEAVE: f64 = 0.9;

/// By what factor the budgets are lifted.
#[derive(Clone, Copy, Debug)]
pub struct Lift {
    factor: f64,
    full: bool,
    /// Since when a smaller factor would have done at every tick.
    sinks: Option<Instant>,
}

impl Default for Lift {
    fn default() -> Self {
        Self {
            factor: 1.0,
            full: false,
            sinks: None,
        }
    }
}

impl Lift {
    /// Takes one tick in: the load and the budget of all endpoints together, without slow start.
    /// The factor rises at once and falls after [`Pace::sink_after`].
    pub fn see(&mut self, load: f64, budget: f64, pace: &Pace, now: Instant) {
        self.full = load >= budget * if self.full { LEAVE } else { pace.enter };
        let wanted = if budget > 0.0 {
            (load / budget).max(1.0)
        } else {
            1.0
        };
        if wanted < self.factor - STEP || (wanted <= 1.0 && self.factor > 1.0) {
            let since = *self.sinks.get_or_insert(now);
            if now.saturating_duration_since(since) >= pace.sink_after {
                self.factor = wanted;
                self.sinks = None;
            }
        } else {
            self.sinks = None;
            if wanted >= self.factor + STEP {
                self.factor = wanted;
            }
        }
    }

    /// The factor, 1.0 or more.
    pub fn factor(self) -> f64 {
        self.factor
    }

    /// Whether no endpoint has room.
    pub fn is_full(self) -> bool {
        self.full
    }
}
