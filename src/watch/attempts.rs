//! Whether an API server streams lists at all. Pure; time is an argument.

use std::time::{Duration, Instant};

use super::stream::WATCH_SECONDS;

/// How many whole watches in a row without a complete list prove that the server knows nothing of
/// streamed lists. One may be a server that is overloaded, or that went silent.
const PROOF: u32 = 2;

/// The attempts at having a list streamed.
#[derive(Debug, Default)]
pub struct Attempts {
    /// The list under way, if one is: since when.
    began: Option<Instant>,
    /// Whether it met with an error.
    failed: bool,
    /// How many whole watches in a row ended without a complete list.
    whole: u32,
}

/// How the attempt before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// As it should, or there was none, or the error has been dealt with.
    Well,
    /// The server ended it early and said nothing, as one does that is shutting down.
    Early,
    /// Often enough without a list that was complete: it will not be otherwise.
    Never,
}

impl Attempts {
    /// A list begins.
    pub fn begins(&mut self, now: Instant) -> Before {
        let before = self.began.replace(now);
        let failed = std::mem::take(&mut self.failed);
        let Some(began) = before.filter(|_| !failed) else {
            return Before::Well;
        };
        if now - began < Duration::from_secs(WATCH_SECONDS.into()) {
            return Before::Early;
        }
        self.whole += 1;
        if self.whole < PROOF {
            Before::Well
        } else {
            Before::Never
        }
    }

    /// An error came up: if the list is not complete now, that is why.
    pub fn failed(&mut self) {
        self.failed = true;
    }

    /// The list is complete.
    pub fn done(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Duration = Duration::from_secs(WATCH_SECONDS as u64);
    const PART: Duration = Duration::from_secs(1);

    #[test]
    fn a_server_that_ends_two_whole_watches_without_a_list_never_has_one() {
        let mut attempts = Attempts::default();
        let start = Instant::now();
        assert_eq!(attempts.begins(start), Before::Well);
        assert_eq!(attempts.begins(start + WHOLE), Before::Well);
        assert_eq!(attempts.begins(start + 2 * WHOLE), Before::Never);
    }

    #[test]
    fn a_list_that_is_cut_or_ended_early_proves_nothing() {
        let mut attempts = Attempts::default();
        let mut now = Instant::now();
        attempts.begins(now);
        for _ in 0..10 {
            now += PART;
            assert_eq!(attempts.begins(now), Before::Early);
            now += WHOLE;
            attempts.failed();
            assert_eq!(attempts.begins(now), Before::Well);
        }
    }

    #[test]
    fn a_complete_list_ends_all_doubt() {
        let mut attempts = Attempts::default();
        let start = Instant::now();
        attempts.begins(start);
        attempts.begins(start + WHOLE);
        attempts.done();
        assert_eq!(attempts.begins(start + 2 * WHOLE), Before::Well);
        assert_eq!(attempts.begins(start + 3 * WHOLE), Before::Well);
    }
}
