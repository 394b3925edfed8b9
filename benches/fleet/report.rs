//! The table for people, the verdict, and the time series as CSV.

use std::fmt::Write as _;

use spillway::model::Level;

use super::measure::{Measure, ServiceRecord};
use super::scenario::{OVER, Scenario};

impl ServiceRecord {
    /// The part of its connections that a level served while all was steady, in percent.
    fn share(&self, level: Level) -> f64 {
        let all: u64 = self.by_level.iter().sum();
        part(self.by_level[level as usize], all) * 100.0
    }

    /// Mean of the samples' means between two moments.
    fn mean(&self, from: f64, to: f64) -> f64 {
        let within = |at: f64| at >= from && at < to;
        let means: Vec<f64> = self
            .samples
            .iter()
            .filter(|sample| within(sample.at))
            .map(|sample| sample.mean)
            .collect();
        means.iter().sum::<f64>() / count(means.len()).max(1.0)
    }
}

/// A part of a whole, 0 of nothing.
pub fn part(of: u64, all: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let part = of as f64 / all.max(1) as f64;
    part
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Changes of state at one service of one watched node, per minute.
fn flaps(number: usize, record: &ServiceRecord, measure: &Measure) -> f64 {
    let watched = measure.watched.get(number).copied().unwrap_or(0);
    part(record.changes, 1) / count(watched).max(1.0) / measure.steady_minutes().max(1e-6)
}

/// One line for each service.
pub fn table(measure: &Measure, scenario: &Scenario) -> String {
    let mut text = String::from(
        "service   pods capacity  load mean steady  peak   node  zone cluster remote  \
         flaps/min refused   lost broken over 1.3 handed admits\n",
    );
    let steady_to = if scenario.dead_zone_at > 0.0 {
        scenario.dead_zone_at
    } else {
        scenario.end
    };
    for (number, record) in measure.services.iter().enumerate() {
        let _ = writeln!(
            text,
            "service-{number} {:5} {:8.0} {:10.2} {:6.2} {:5.2}  {:4.1}% {:4.1}% {:6.1}% {:5.1}% \
             {:10.2} {:7} {:6} {:6} {:6.1} s {:6.2} {:6.2}",
            record.pods,
            record.capacity,
            record.mean(scenario.warm, steady_to),
            record.steady,
            record.peak,
            record.share(Level::Node),
            record.share(Level::Zone),
            record.share(Level::Cluster),
            record.share(Level::Remote),
            flaps(number, record, measure),
            record.refused,
            record.lost,
            record.broken,
            record.over,
            record.handed_out,
            record.admitted,
        );
    }
    text
}

/// What the run shows that it must not.
pub fn complaints(measure: &Measure, scenario: &Scenario) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, record) in measure.services.iter().enumerate() {
        let mut complain = |wrong: bool, what: String| {
            if wrong {
                complaints.push(format!("service-{number}: {what}"));
            }
        };
        let bounds = &scenario.bounds;
        complain(
            record.steady > bounds.steady,
            format!(
                "a pod has {:.2} of its capacity in steady state, more than {:.2}",
                record.steady, bounds.steady
            ),
        );
        complain(
            record.over > bounds.over,
            format!(
                "a pod has more than {OVER} of its capacity for {:.1} s, longer than {:.1} s",
                record.over, bounds.over
            ),
        );
        complain(
            record.refused > 0,
            format!("{} connections are refused", record.refused),
        );
        let flaps = flaps(number, record, measure);
        complain(
            flaps > bounds.flaps,
            format!(
                "levels change their state {flaps:.1} times a minute, more than {:.1}",
                bounds.flaps
            ),
        );
    }
    complaints
}

/// One line for each service and sample.
pub fn csv(measure: &Measure) -> String {
    let mut text = String::from(
        "seconds,service,active,load_mean,load_p99,load_max,node,zone,cluster,remote,refused,lost\n",
    );
    for (number, record) in measure.services.iter().enumerate() {
        for sample in &record.samples {
            let [_, node, zone, cluster, remote] = sample.by_level;
            let _ = writeln!(
                text,
                "{:.1},service-{number},{:.0},{:.4},{:.4},{:.4},{node},{zone},{cluster},{remote},{},{}",
                sample.at,
                sample.active,
                sample.mean,
                sample.p99,
                sample.most,
                sample.refused,
                sample.lost,
            );
        }
    }
    text
}
