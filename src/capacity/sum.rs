//! Endpoints together.

use super::endpoint::{Endpoint, Moment};
use super::gate::Gate;

/// Endpoints together.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    pub count: usize,
    pub load: f64,
    /// Their budgets. None if any is unlimited.
    pub budget: Option<f64>,
    /// Their budgets without slow start. None if any is unlimited.
    pub part: Option<f64>,
    pub new: u64,
    pub per_second: f64,
    /// How many met their threshold since the last tick, as far as is known.
    pub closed: usize,
    /// How many are in slow start.
    pub slow: usize,
}

impl Sum {
    pub fn of<'a>(endpoints: impl Iterator<Item = &'a Endpoint>, at: Moment<'_>) -> Self {
        let mut sum = Self {
            count: 0,
            load: 0.0,
            budget: Some(0.0),
            part: Some(0.0),
            new: 0,
            per_second: 0.0,
            closed: 0,
            slow: 0,
        };
        for endpoint in endpoints {
            sum.count += 1;
            sum.load += f64::from(endpoint.load(at.unit));
            let budget = endpoint.budget(at).map(f64::from);
            sum.budget = sum.budget.zip(budget).map(|(sum, one)| sum + one);
            sum.part = sum
                .part
                .zip(endpoint.part(at))
                .map(|(sum, one)| sum + one.max(1.0));
            sum.new += endpoint.moved.new;
            sum.per_second += endpoint.recent.per_second;
            if let Gate::Threshold(threshold) = endpoint.gate {
                let met = endpoint.moved.peak >= threshold.limits().upper;
                sum.closed += usize::from(met || threshold.is_full());
            }
            sum.slow += usize::from(endpoint.budget(at).is_some() && endpoint.slow(at) < 1.0);
        }
        sum
    }
}
