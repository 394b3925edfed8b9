//! How fast the control loop reacts, and how far it may go.

use std::time::Duration;

/// The constants of the control loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Between two ticks.
    pub tick: Duration,
    /// Between two ticks of a virtual server whose thresholds may not last for a whole `tick`.
    pub fast_tick: Duration,
    /// After a change at a virtual server that goes by hash, for so long there is no other.
    pub hash_rests: Duration,
    /// For so long after its first endpoints those of a virtual server are not new: what is known of
    /// a Service arrives slice by slice.
    pub gather: Duration,
    /// How long a new endpoint takes to its whole budget.
    pub slow_start: Duration,
    /// The part of its budget that a new endpoint starts with.
    pub slow_start_from: f64,
    /// A rank is saturated when its load is this part of its budget.
    pub enter: f64,
    /// A saturated rank has recovered when its load is no more than this part of its budget.
    pub leave: f64,
    /// For so long a rank is at `enter` at every tick before it counts as saturated.
    pub enter_after: Duration,
    /// For so long a rank is at `leave` at every tick before it counts as recovered.
    pub leave_after: Duration,
    /// For so long a rank has no connection at any tick before it counts as idle.
    pub idle_after: Duration,
    /// For so long a smaller lift would have done at every tick before it is taken.
    pub sink_after: Duration,
    /// A rank is primary if its budget is at least this part of the demand.
    pub primary: f64,
    /// How old all connections of a farther endpoint must be before they are called back.
    pub call_back: Duration,
    /// Budgets older than this are not trusted any more.
    pub budgets_last: Duration,
}

impl Default for Pace {
    /// Tick 500 ms (100 ms under churn), 2 s between edits of a hash, gather 5 s, slow start 30 s
    /// from 10 %, enter at 1.0 for 1 s, leave at 0.75 for 10 s, idle after 10 s, a lift sinks after
    /// 1.5 s, primary from 20 % of demand, called back after 30 s, budgets last 10 s.
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(500),
            fast_tick: Duration::from_millis(100),
            hash_rests: Duration::from_secs(2),
            gather: Duration::from_secs(5),
            slow_start: Duration::from_secs(30),
            slow_start_from: 0.1,
            enter: 1.0,
            leave: 0.75,
            enter_after: Duration::from_secs(1),
            leave_after: Duration::from_secs(10),
            idle_after: Duration::from_secs(10),
            sink_after: Duration::from_millis(1500),
            primary: 0.2,
            call_back: Duration::from_secs(30),
            budgets_last: Duration::from_secs(10),
        }
    }
}
