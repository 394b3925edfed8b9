//! What to do when everything is full: everybody gets more than its budget by the same factor, so
//! that no rank carries the whole excess alone.

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
    /// For how many ticks in a row a smaller factor would have done.
    ticks: u32,
}

impl Default for Lift {
    fn default() -> Self {
        Self {
            factor: 1.0,
            full: false,
            ticks: 0,
        }
    }
}

impl Lift {
    /// Takes one tick in: the load and the budget of all endpoints together, without slow start.
    /// The factor rises at once and falls after `leave_ticks`.
    pub fn see(&mut self, load: f64, budget: f64, pace: &Pace) {
        self.full = load >= budget * if self.full { LEAVE } else { pace.enter };
        let wanted = if budget > 0.0 {
            (load / budget).max(1.0)
        } else {
            1.0
        };
        if wanted > self.factor {
            self.ticks = 0;
            if wanted >= self.factor + STEP {
                self.factor = wanted;
            }
        } else if wanted < self.factor - STEP || (wanted <= 1.0 && self.factor > 1.0) {
            self.ticks += 1;
            if self.ticks >= pace.leave_ticks {
                self.factor = wanted;
                self.ticks = 0;
            }
        } else {
            self.ticks = 0;
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
