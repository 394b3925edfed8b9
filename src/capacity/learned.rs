//! The capacity of an endpoint of which nobody said any, from how it answers.
//!
//! Crude by intent: an endpoint that is at its limit and answers gets a little more, one that does
//! not answer gets a fifth less. It finds out where an endpoint stops to accept, not where it gets
//! slow. Each node learns for itself, so what it learns is a budget: its own part already.

use super::recent::Answer;

const START: f64 = 32.0;
const LEAST: f64 = 8.0;
const MOST: f64 = 4096.0;
/// A twentieth a second doubles it in a quarter of a minute.
const RAISE: f64 = 0.05;
const LOWER: f64 = 0.8;

/// A learned capacity, in connections at a time: from 8 to 4096, at first 32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned(f64);

impl Default for Learned {
    fn default() -> Self {
        Self(START)
    }
}

impl Learned {
    /// What it is now.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Takes in how the endpoint answered for a second, and whether it was at its limit.
    pub fn learn(&mut self, answer: Answer, at_limit: bool) {
        let capacity = match answer {
            Answer::Well if at_limit => self.0 + (self.0 * RAISE).max(1.0),
            Answer::Well => self.0,
            Answer::Poor | Answer::None => self.0 * LOWER,
        };
        self.0 = capacity.clamp(LEAST, MOST);
    }
}
