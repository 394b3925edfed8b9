//! Whether a rank is full, with hysteresis, so that nothing flaps that people see.

use super::{Pace, RankState};

/// A Schmitt trigger over ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saturation {
    saturated: bool,
    /// For how many ticks in a row the load has been beyond the bound at which this turns.
    ticks: u32,
}

impl Saturation {
    /// Takes one tick in: the load, the budget, and whether every endpoint was closed at some
    /// moment since the last tick.
    pub fn see(&mut self, load: f64, budget: f64, closed: bool, pace: &Pace) {
        let (beyond, ticks) = if self.saturated {
            (load <= budget * pace.leave, pace.leave_ticks)
        } else {
            (load >= budget * pace.enter || closed, pace.enter_ticks)
        };
        self.ticks = if beyond { self.ticks + 1 } else { 0 };
        if self.ticks >= ticks {
            self.saturated = !self.saturated;
            self.ticks = 0;
        }
    }

    /// Whether it is saturated and has not recovered.
    pub fn is_saturated(self) -> bool {
        self.saturated
    }

    /// Its state, if it is or was saturated.
    pub fn state(self) -> Option<RankState> {
        match (self.saturated, self.ticks) {
            (true, 0) => Some(RankState::Saturated),
            (true, _) => Some(RankState::Recovering),
            (false, _) => None,
        }
    }
}
