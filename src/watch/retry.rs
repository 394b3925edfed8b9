//! When to ask the API server again after it failed. Pure; time is an argument.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use kube::core::Status;
use kube::runtime::watcher;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait for a server that cannot answer: changes apply within 2 s of its return.
const UNAVAILABLE: Duration = Duration::from_millis(1500);
/// The longest wait for a server that says no, which may ask for less load or stand until somebody
/// corrects a mistake.
const REFUSED: Duration = Duration::from_secs(15);
/// After this long without a failure the next one is a first one.
const QUIET: Duration = Duration::from_mins(1);

/// The failures of one watch.
#[derive(Debug, Default)]
pub struct Retry {
    failures: u32,
    last: Option<Instant>,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long to wait.
    pub duration: Duration,
    /// Whether the failure is worth a word: the first, second, fourth, eighth... in a row.
    pub tell: bool,
}

impl Retry {
    /// Notes a failure. Waits double, and half of each is left to chance, so that the agents of a
    /// cluster do not all come back at once.
    pub fn failed(&mut self, error: &watcher::Error, now: Instant) -> Wait {
        if self.last.is_some_and(|last| now - last > QUIET) {
            self.failures = 0;
        }
        self.last = Some(now);
        self.failures = self.failures.saturating_add(1);
        let status = status(error);
        let longest = match status {
            Some(status) if (400..500).contains(&status.code) => REFUSED,
            _ => UNAVAILABLE,
        };
        let doublings = (self.failures - 1).min(16);
        let longest = (FIRST * 2_u32.pow(doublings)).min(longest);
        let asked = status
            .and_then(|status| status.details.as_ref())
            .map_or(0, |details| details.retry_after_seconds);
        let asked = Duration::from_secs(asked.into()).min(REFUSED);
        Wait {
            duration: longest.mul_f64(f64::midpoint(1.0, chance())).max(asked),
            tell: self.failures.is_power_of_two(),
        }
    }

    /// Notes that the watch works.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// What the API server itself said, if it said anything.
pub fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// A time and up to a quarter of it, left to chance, so that the agents of a cluster spread.
pub fn spread(time: Duration) -> Duration {
    time.mul_f64(1.0 + chance() / 4.0)
}

/// A random number from 0 to 1. The standard library's only source of chance is its hasher's key.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, retry_after: u32) -> watcher::Error {
        let details = serde_json::json!({"retryAfterSeconds": retry_after});
        let status = serde_json::json!({"code": code, "details": details});
        watcher::Error::WatchStartFailed(kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    fn after(failures: u32, error: &watcher::Error) -> Wait {
        let mut retry = Retry::default();
        let now = Instant::now();
        for _ in 1..failures {
            retry.failed(error, now);
        }
        retry.failed(error, now)
    }

    fn between(wait: Wait, longest: Duration) {
        assert!(
            wait.duration >= longest / 2 && wait.duration <= longest,
            "{wait:?}"
        );
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        between(after(1, &watcher::Error::NoResourceVersion), FIRST);
        between(after(3, &watcher::Error::NoResourceVersion), 4 * FIRST);
        between(after(1000, &watcher::Error::NoResourceVersion), UNAVAILABLE);
        between(after(1000, &answered(503, 0)), UNAVAILABLE);
        let longest = after(1000, &answered(503, 0)).duration;
        assert!(longest < Duration::from_secs(2), "{longest:?}");
    }

    #[test]
    fn a_refusal_is_repeated_less_often() {
        between(after(1000, &answered(403, 0)), REFUSED);
    }

    #[test]
    fn a_server_that_names_a_time_is_given_it_within_reason() {
        assert_eq!(after(1, &answered(429, 7)).duration, Duration::from_secs(7));
        assert_eq!(after(1, &answered(429, 3600)).duration, REFUSED);
    }

    #[test]
    fn failures_are_told_ever_less_often() {
        let told: Vec<u32> = (1..=20)
            .filter(|&failures| after(failures, &watcher::Error::NoResourceVersion).tell)
            .collect();
        assert_eq!(told, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn success_or_a_quiet_minute_starts_anew() {
        let error = watcher::Error::NoResourceVersion;
        let start = Instant::now();
        let mut retry = Retry::default();
        for _ in 0..5 {
            retry.failed(&error, start);
        }
        between(retry.failed(&error, start + QUIET + FIRST), FIRST);
        retry.failed(&error, start + QUIET + FIRST);
        retry.succeeded();
        between(retry.failed(&error, start + QUIET + FIRST), FIRST);
    }
}
