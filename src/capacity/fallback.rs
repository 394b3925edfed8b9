//! A node's part of an endpoint's capacity when the other nodes say nothing: an equal share that
//! grows while it is too small and the endpoint answers, and is halved when it does not (AIMD, as
//! in TCP's congestion control, RFC 5681).

use super::recent::Answer;

/// What the share grows by in a second, as a part of the capacity.
const RAISE: f64 = 0.05;

/// One node's share without reports, in connections at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallback(f64);

impl Fallback {
    /// Starts with what the node has already, so that neither a restart of the agent nor the loss
    /// of the others' reports is a step for its clients; `of` then keeps it between bounds.
    pub fn new(has: f64) -> Self {
        Self(has)
    }

    /// The share of an endpoint with this capacity among so many agents: from an equal one to all.
    pub fn of(self, capacity: f64, peers: f64) -> f64 {
        self.0.max(capacity / peers).min(capacity)
    }

    /// Takes in how the endpoint answered for a second. The share grows only where it is the
    /// limit: else all nodes' shares would grow to the whole capacity in quiet times.
    pub fn learn(&mut self, answer: Answer, at_limit: bool, capacity: f64, peers: f64) {
        let now = self.of(capacity, peers);
        let next = match answer {
            Answer::None => now / 2.0,
            Answer::Well if at_limit => now + capacity * RAISE,
            Answer::Well | Answer::Poor => now,
        };
        self.0 = Self(next).of(capacity, peers);
    }
}
