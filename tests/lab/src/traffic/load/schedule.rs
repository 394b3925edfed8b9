//! What load there is to be, as data.

use std::time::Duration;

/// The load at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, in seconds from the start.
    pub at: f64,
    /// Connections that are held open.
    pub held: f64,
    /// Short connections that begin, per second.
    pub short: f64,
}

/// Load over time: straight lines between points, which are in the order of time. Nothing before
/// the first; it ends with the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    points: Vec<Point>,
    /// How long a short connection stays open.
    pub short_lasts: Duration,
}

impl Schedule {
    /// A schedule through the given points: seconds, held connections, short ones per second.
    pub fn through(points: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let point = |(at, held, short)| Point { at, held, short };
        Self {
            points: points.into_iter().map(point).collect(),
            short_lasts: Duration::ZERO,
        }
    }

    /// Lets short connections stay open for a while.
    #[must_use]
    pub fn short_lasts(self, short_lasts: Duration) -> Self {
        Self {
            short_lasts,
            ..self
        }
    }

    /// How long it takes.
    pub fn length(&self) -> Duration {
        let last = self.points.last().map_or(0.0, |point| point.at);
        Duration::from_secs_f64(last.max(0.0))
    }

    /// The load at a moment: held connections, and short ones per second.
    pub fn at(&self, moment: Duration) -> (f64, f64) {
        let at = moment.as_secs_f64();
        let after = self.points.partition_point(|point| point.at <= at);
        match (self.points[..after].last(), self.points.get(after)) {
            (None, _) => (0.0, 0.0),
            (Some(last), None) => (last.held, last.short),
            (Some(a), Some(b)) => {
                let part = (at - a.at) / (b.at - a.at);
                let between = |from: f64, to: f64| from + (to - from) * part;
                (between(a.held, b.held), between(a.short, b.short))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about((held, short): (f64, f64)) -> (u32, u32) {
        let whole = |value: f64| format!("{value:.0}").parse().expect("a small number");
        (whole(held), whole(short))
    }

    #[test]
    fn load_changes_in_straight_lines() {
        let schedule = Schedule::through([(1.0, 10.0, 0.0), (3.0, 30.0, 20.0), (4.0, 30.0, 0.0)]);
        let at = |seconds| about(schedule.at(Duration::from_secs_f64(seconds)));
        assert_eq!(at(0.5), (0, 0));
        assert_eq!(at(1.0), (10, 0));
        assert_eq!(at(2.0), (20, 10));
        assert_eq!(at(3.5), (30, 10));
        assert_eq!(at(9.0), (30, 0));
        assert_eq!(schedule.length(), Duration::from_secs(4));
    }
}
