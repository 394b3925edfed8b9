//! When to try again what has failed. Time is an argument.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Objects that failed, each with a delay of its own that doubles with every failure in a row.
#[derive(Debug)]
pub struct Backoff<K> {
    waiting: HashMap<K, Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    due: Option<Instant>,
    delay: Duration,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Backoff<K> {
    /// It failed at `now`.
    pub fn failed(&mut self, key: K, now: Instant) {
        let wait = self
            .waiting
            .entry(key)
            .and_modify(|wait| wait.delay = LONGEST.min(wait.delay * 2))
            .or_insert(Wait {
                due: None,
                delay: FIRST,
            });
        wait.due = Some(now + wait.delay);
    }

    /// It succeeded: its next failure starts from the shortest delay.
    pub fn succeeded(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// What is due at `now`, each once until it fails again.
    pub fn take_due(&mut self, now: Instant) -> BTreeSet<K> {
        let mut due = BTreeSet::new();
        for (key, wait) in &mut self.waiting {
            if wait.due.is_some_and(|at| at <= now) {
                wait.due = None;
                due.insert(key.clone());
            }
        }
        due
    }

    /// When the next object is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.values().filter_map(|wait| wait.due).min()
    }

    /// Whether it has failed and not succeeded since.
    pub fn has(&self, key: &K) -> bool {
        self.waiting.contains_key(key)
    }

    /// How many objects have failed and not succeeded since.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_and_start_anew_after_success() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let mut delays = Vec::new();
        for _ in 0..8 {
            backoff.failed("web", start);
            delays.push(backoff.deadline().expect("a deadline") - start);
        }
        let millis: Vec<u128> = delays.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);

        backoff.succeeded(&"web");
        assert_eq!(backoff.deadline(), None);
        backoff.failed("web", start);
        assert_eq!(backoff.deadline(), Some(start + FIRST));
    }

    #[test]
    fn an_object_is_due_once_for_each_failure() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        backoff.failed("web", start);
        assert!(backoff.take_due(start).is_empty());
        assert_eq!(
            backoff
                .take_due(start + FIRST)
                .into_iter()
                .collect::<Vec<_>>(),
            ["web"]
        );
        assert!(backoff.take_due(start + LONGEST).is_empty());
    }
}
