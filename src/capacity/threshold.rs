//! The threshold of one real server, and when it is worth an edit.
//!
//! The kernel compares the threshold with *all* connections that it knows, also those that are
//! over (120 s in `TIME_WAIT`). So it has to move with these:
//!
//! ```text
//! upper = budget + inactive + churn + margin
//! lower = upper
//! ```
//!
//! `margin` is for what nobody foresaw, and `churn` are the connections that will end before the
//! next tick, judged by those that ended before this one: each of them turns from an active into an
//! inactive one and makes room that the kernel does not see. Without it an endpoint with short
//! connections would be closed for most of each tick, idle.
//!
//! Both together stay below the `ceiling`, which is the only head-room that there is. Only what
//! comes and ends within one tick may be let in beyond it: it is over before anybody could count it.
//!
//! UDP flows are never active: all of them are inactive, and that *is* the load. So `upper` is the
//! budget and needs no correction.

use super::number::{float, nearest, up};
use crate::plan::Limits;

/// What counts against a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Open connections.
    Connections,
    /// All flows that the kernel has not forgotten.
    Flows,
}

/// What the threshold of one real server depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// What counts against the budget.
    pub unit: Unit,
    /// Connections at a time that the endpoint may have.
    pub budget: u32,
    /// Connections at a time that it must not get beyond.
    pub ceiling: u32,
    /// Active connections in the kernel.
    pub active: u32,
    /// Inactive connections in the kernel.
    pub inactive: u32,
    /// The most that it may have counted since the last tick.
    pub peak: u32,
    /// How many new connections are expected until the next tick.
    pub arrivals: f64,
    /// How many of its connections are expected to end until the next tick.
    pub endings: f64,
}

impl Situation {
    /// What counts against the budget now.
    pub fn load(&self) -> u32 {
        match self.unit {
            Unit::Connections => self.active,
            Unit::Flows => self.total(),
        }
    }

    fn total(&self) -> u32 {
        self.active.saturating_add(self.inactive)
    }

    /// How much of its budget it uses, 0 to 1.
    fn used(&self) -> f64 {
        (f64::from(self.load()) / f64::from(self.budget.max(1))).min(1.0)
    }

    /// What there is above the budget; nothing for flows, whose number is known exactly.
    fn head_room(&self) -> u32 {
        match self.unit {
            Unit::Connections => self.ceiling.saturating_sub(self.budget),
            Unit::Flows => 0,
        }
    }

    /// Twice what is expected to come, as far as there is head-room. Near the budget, where it would
    /// be used for connections that stay, less and less of it, down to 1: what one unforeseen ending
    /// needs.
    fn margin(&self) -> u32 {
        let most = f64::from(self.head_room());
        up((2.0 * self.arrivals).min(most) * (1.0 - self.used())).max(self.head_room().min(1))
    }

    /// An idle endpoint is given twice the endings that are expected, since the number of short
    /// connections may grow; one at its budget four fifths of these, since what comes
    /// may stay, and all of it may come before any of these has ended. No more than there is
    /// head-room for, but for what comes and ends within the tick.
    fn churn(&self) -> u32 {
        let churn = match self.unit {
            Unit::Connections => self.endings * (2.0 - 1.2 * self.used()),
            Unit::Flows => 0.0,
        };
        nearest(churn).min(self.head_room() + nearest(churn * self.fleeting()))
    }

    /// The part of the connections of a tick that end within it, if they come evenly and last as
    /// those before them.
    fn fleeting(&self) -> f64 {
        let turns = self.endings / f64::from(self.active).max(0.5);
        if turns > 0.0 {
            1.0 - (1.0 - (-turns).exp()) / turns
        } else {
            0.0
        }
    }

    /// What is let in beyond the budget.
    fn beyond(&self) -> u32 {
        self.churn().max(
            self.head_room()
                .min(self.margin().saturating_add(self.churn())),
        )
    }

    /// The total at which the endpoint has just its budget.
    fn exact(&self) -> u32 {
        match self.unit {
            Unit::Connections => self.budget.saturating_add(self.inactive),
            Unit::Flows => self.budget,
        }
    }

    /// The thresholds that would be right.
    pub fn limits(&self) -> Limits {
        let upper = self
            .exact()
            .saturating_add(self.beyond())
            .clamp(1, i32::MAX.unsigned_abs());
        // No hysteresis in the kernel: below the upper limit there is room. Kernels of 2026 take
        // their mark back at an edit only below the lower limit (`ip_vs_dest_update_overload`), so
        // that with a lower one an endpoint would stay shut until it is far emptier.
        Limits {
            upper,
            lower: upper,
        }
    }

    /// The thresholds of a real server that has just been added and is taken for empty.
    pub fn unseen(&self) -> Limits {
        let arrivals = match self.unit {
            Unit::Connections => float(u64::from(self.budget)),
            Unit::Flows => 0.0,
        };
        Self {
            unit: Unit::Connections,
            ceiling: self.budget + self.head_room(),
            active: 0,
            inactive: 0,
            peak: 0,
            arrivals,
            endings: 0.0,
            ..*self
        }
        .limits()
    }

    /// Whether there is room enough to let an endpoint that was full have connections again: a
    /// twentieth of its budget.
    ///
    /// This is all the hysteresis there is at one endpoint. To wait until it is below 80 % for
    /// three ticks would leave a fifth of the near capacity unused while connections go far. And
    /// an edit more or less does no harm: nothing that people see turns with it, since ranks are
    /// called saturated and recovered by a slower rule of their own.
    fn has_room(&self) -> bool {
        let room = self.budget.saturating_add(self.churn());
        room.saturating_sub(self.load()) >= (self.budget / 20).max(1)
    }

    /// By how much the upper limit may be too high: what is left of the head-room, or half of that
    /// once the endpoint is half full and may fill up before the next tick.
    fn tolerance(&self) -> u32 {
        let left = self.head_room().saturating_sub(self.beyond());
        if self.load() < self.budget / 2 {
            left
        } else {
            left / 2
        }
    }
}

/// The smallest change of a limit that is worth an edit.
fn step(budget: u32) -> u32 {
    (budget / 10).max(4)
}

/// The threshold that the kernel holds for one real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    limits: Limits,
    /// Whether the kernel may have marked the real server as overloaded. It does not say.
    full: bool,
    /// Whether it behaves as if it had, whatever the counts say.
    suspect: bool,
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    None,
    /// The limits that the threshold has now.
    Set,
    /// First these lower ones, and then the limits that the threshold has now: the kernel takes
    /// its mark back only when the upper limit rises.
    Reopen(Limits),
}

impl Threshold {
    /// Of a real server that the kernel may have marked as overloaded or not.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            full: true,
            suspect: false,
        }
    }

    /// The limits that the kernel holds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the endpoint gets no more connections, as far as is known.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The kernel behaves as if it had marked the real server, whatever the counts say: they are
    /// read now and then, and what came and went in between does not show.
    pub fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Moves to what is right in this situation, if that is worth an edit.
    pub fn follow(&mut self, situation: &Situation) -> Edit {
        let total = situation.total();
        self.full |= situation.peak >= self.limits.upper;
        // Somebody left below the lower limit, upon which the kernel took its mark back.
        self.full &= total >= self.limits.lower;
        self.full |= std::mem::take(&mut self.suspect);

        let right = situation.limits();
        let rises = right.upper > self.limits.upper;
        if self.full {
            // Only if it does not run into the limit at once: raising the limit of an endpoint
            // over its budget would let one more in at every tick.
            if total < right.upper && situation.has_room() {
                return self.reopen(right, rises);
            }
            if rises || right.upper == self.limits.upper {
                return Edit::None;
            }
        }
        let off = right.upper.abs_diff(self.limits.upper);
        let worth = if rises {
            off > step(situation.budget) || self.limits.upper < situation.exact()
        } else {
            off > situation.tolerance()
        };
        if worth {
            self.limits = right;
            self.full &= !rises;
            Edit::Set
        } else {
            Edit::None
        }
    }

    fn reopen(&mut self, right: Limits, rises: bool) -> Edit {
        self.limits = right;
        self.full = false;
        if rises {
            return Edit::Set;
        }
        let upper = right.upper.saturating_sub(1);
        Edit::Reopen(Limits {
            upper,
            lower: right.lower.min(upper),
        })
    }
}
