//! All that happened under a load, event by event, and what follows from it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::traffic::Failure;

/// Something that happened to one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, from the start.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A pod answered a new one.
    Opened {
        /// The pod's name.
        pod: String,
        /// When the client had begun to connect, from the start.
        begun: Duration,
    },
    /// The client closed one.
    Closed {
        /// The pod's name.
        pod: String,
    },
    /// An open one was cut.
    Cut {
        /// The pod's name.
        pod: String,
        /// How the client noticed.
        failure: Failure,
    },
    /// A new one got no answer.
    Failed(Failure),
}

/// All events under a load, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The events.
    pub events: Vec<Event>,
}

/// What happened within one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins.
    pub from: Duration,
    /// New connections, by pod.
    pub new: BTreeMap<String, usize>,
    /// The most connections that were open at one moment, by pod.
    pub most: BTreeMap<String, usize>,
    /// The connections that are open at the end, by pod.
    pub open: BTreeMap<String, usize>,
    /// Connections that failed or were cut, by reason.
    pub failures: BTreeMap<Failure, usize>,
}

impl Recording {
    /// The recording in stretches of the same length.
    pub fn buckets(&self, width: Duration) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = Vec::new();
        let mut open = BTreeMap::new();
        let next = |open: &BTreeMap<String, usize>, buckets: &mut Vec<Bucket>| {
            let number = u32::try_from(buckets.len()).unwrap_or(u32::MAX);
            buckets.push(Bucket {
                from: width * number,
                most: open.clone(),
                open: open.clone(),
                ..Bucket::default()
            });
        };
        for event in &self.events {
            while buckets.last().is_none_or(|it| it.from + width <= event.at) {
                next(&open, &mut buckets);
            }
            event.what.count(&mut open);
            if let Some(bucket) = buckets.last_mut() {
                bucket.add(&event.what, &open);
            }
        }
        buckets
    }

    /// How many connections failed or were cut, by reason.
    pub fn failures(&self) -> BTreeMap<Failure, usize> {
        let mut failures = BTreeMap::new();
        for event in &self.events {
            if let What::Cut { failure, .. } | What::Failed(failure) = &event.what {
                *failures.entry(failure.clone()).or_default() += 1;
            }
        }
        failures
    }

    /// How many connections were answered.
    pub fn opened(&self) -> usize {
        let opened = |event: &&Event| matches!(event.what, What::Opened { .. });
        self.events.iter().filter(opened).count()
    }
}

impl What {
    /// Keeps count of the open connections of each pod.
    pub(super) fn count(&self, open: &mut BTreeMap<String, usize>) {
        match self {
            Self::Opened { pod, .. } => *open.entry(pod.clone()).or_default() += 1,
            Self::Closed { pod } | Self::Cut { pod, .. } => {
                if let Some(open) = open.get_mut(pod) {
                    *open = open.saturating_sub(1);
                }
            }
            Self::Failed(_) => {}
        }
    }
}

impl Bucket {
    fn add(&mut self, what: &What, open: &BTreeMap<String, usize>) {
        self.open.clone_from(open);
        match what {
            What::Opened { pod, .. } => {
                *self.new.entry(pod.clone()).or_default() += 1;
                let most = self.most.entry(pod.clone()).or_default();
                *most = (*most).max(open.get(pod).copied().unwrap_or(0));
            }
            What::Cut { failure, .. } | What::Failed(failure) => {
                *self.failures.entry(failure.clone()).or_default() += 1;
            }
            What::Closed { .. } => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn at(tenths: u64, what: What) -> Event {
        let at = Duration::from_millis(tenths * 100);
        Event { at, what }
    }

    pub fn opened(tenths: u64, pod: &str) -> Event {
        let begun = Duration::from_millis(tenths * 100);
        let pod = pod.to_owned();
        at(tenths, What::Opened { pod, begun })
    }

    pub fn closed(tenths: u64, pod: &str) -> Event {
        let pod = pod.to_owned();
        at(tenths, What::Closed { pod })
    }

    #[test]
    fn buckets_count_the_new_the_most_and_those_left_open() {
        let recording = Recording {
            events: vec![
                opened(1, "a"),
                opened(2, "a"),
                closed(3, "a"),
                at(4, What::Failed(Failure::Refused)),
                opened(21, "b"),
            ],
        };
        let buckets = recording.buckets(Duration::from_secs(1));
        let counts = |of: fn(&Bucket) -> &BTreeMap<String, usize>| -> Vec<_> {
            let count = |it, pod: &str| of(it).get(pod).copied().unwrap_or(0);
            let both = |it| [count(it, "a"), count(it, "b")];
            buckets.iter().map(both).collect()
        };
        assert_eq!(counts(|bucket| &bucket.new), [[2, 0], [0, 0], [0, 1]]);
        assert_eq!(counts(|bucket| &bucket.most), [[2, 0], [1, 0], [1, 1]]);
        assert_eq!(counts(|bucket| &bucket.open), [[1, 0], [1, 0], [1, 1]]);
        assert_eq!(buckets[0].failures, [(Failure::Refused, 1)].into());
        assert_eq!(recording.failures(), buckets[0].failures);
        assert_eq!(recording.opened(), 3);
    }
}
