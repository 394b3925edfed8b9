//! What went on at an endpoint of late, from the differences of the kernel's counters.

use std::time::{Duration, Instant};

use super::Count;
use super::number::float;

/// How fast the rates follow: they are mostly those of the last second.
const RATE: Duration = Duration::from_millis(500);
/// For how long new connections count when endpoints are ordered by use.
const USE: Duration = Duration::from_secs(10);
/// Answers come later than questions; within a second they are there.
const ANSWER: Duration = Duration::from_secs(1);
/// A tick that comes late tells nothing of how long the next will take.
const LONGEST: Duration = Duration::from_secs(2);

/// How much of an average is replaced after `elapsed`.
pub fn weight(elapsed: Duration, time_constant: Duration) -> f64 {
    1.0 - (-elapsed.as_secs_f64() / time_constant.as_secs_f64()).exp()
}

/// What went on at an endpoint of late.
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    last: Option<(Count, Instant)>,
    /// Connections so far, as well as can be told.
    seen: u64,
    /// New connections per second.
    pub per_second: f64,
    /// Connections that ended, per second.
    endings: f64,
    /// New connections of the last seconds, those of long ago counting less.
    pub used: f64,
    /// Since when there has been no new connection.
    quiet: Instant,
    new: u64,
    answers: u64,
    since: Option<Instant>,
}

/// What changed since the last tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moved {
    /// New connections.
    pub new: u64,
    /// Connections of clients that came back, besides those.
    pub returns: u64,
    /// The most that the kernel may have counted meanwhile.
    pub peak: u32,
    /// How many new connections are expected until the next tick.
    pub arrivals: f64,
    /// How many connections are expected to end until then.
    pub endings: f64,
    /// How the endpoint answers, once for every second.
    pub answer: Option<Answer>,
}

/// How an endpoint answered to the connections of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It sent at least one packet for each new connection.
    Well,
    /// It sent fewer packets than it got connections.
    Poor,
    /// It sent nothing.
    None,
}

impl Recent {
    /// Of an endpoint at which the kernel counts this already, if that is known.
    pub fn new(count: Option<Count>, now: Instant) -> Self {
        Self {
            last: count.map(|count| (count, now)),
            seen: count.map_or(0, |count| count.connections),
            per_second: 0.0,
            endings: 0.0,
            used: 0.0,
            quiet: now,
            new: 0,
            answers: 0,
            since: None,
        }
    }

    /// What the kernel counted last.
    pub fn count(&self) -> Option<&Count> {
        self.last.as_ref().map(|(count, _)| count)
    }

    /// Since when there has been no new connection.
    pub fn quiet(&self) -> Instant {
        self.quiet
    }

    /// Takes new counts in.
    pub fn see(&mut self, count: &Count, now: Instant) -> Moved {
        let Some((before, at)) = self.last.replace((*count, now)) else {
            // It may have got any number of connections before it was looked at.
            self.since = Some(now);
            self.seen = count.connections;
            self.quiet = now;
            return Moved {
                peak: u32::MAX,
                ..Moved::default()
            };
        };
        let elapsed = now.saturating_duration_since(at);
        let started_anew = count.connections < before.connections;
        // The kernel sums its counters up only every two seconds (`ip_vs_est.c`), but the numbers
        // of connections are those of this moment: if there are more, so many are new at least.
        let more = u64::from(count.total().saturating_sub(before.total()));
        let seen = (self.seen + more).max(count.connections);
        // Counters that go back are those of another life of the real server.
        let new = if started_anew { 0 } else { seen - self.seen };
        self.seen = if started_anew {
            count.connections
        } else {
            seen
        };
        let returns = count.returns.saturating_sub(before.returns);
        let ended = (new + u64::from(before.active)).saturating_sub(u64::from(count.active));
        let ended = if started_anew { 0 } else { ended };
        let sent = count.out_packets.saturating_sub(before.out_packets);

        let seconds = elapsed.as_secs_f64();
        if seconds > 0.0 {
            let follow = weight(elapsed, RATE);
            self.per_second += (float(new) / seconds - self.per_second) * follow;
            self.endings += (float(ended) / seconds - self.endings) * follow;
            self.used = self.used * (1.0 - weight(elapsed, USE)) + float(new + returns);
        }
        if new > 0 {
            self.quiet = now;
        }
        let next = elapsed.min(LONGEST).as_secs_f64();
        let met = u64::from(before.total()) + new;
        Moved {
            new,
            returns,
            peak: u32::try_from(met).unwrap_or(u32::MAX),
            arrivals: self.per_second * next,
            endings: self.endings * next,
            // Only what is counted with the same delay can be compared.
            answer: self.answer(
                count.connections.saturating_sub(before.connections),
                sent,
                now,
            ),
        }
    }

    fn answer(&mut self, new: u64, sent: u64, now: Instant) -> Option<Answer> {
        self.new += new;
        self.answers += sent;
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) < ANSWER {
            return None;
        }
        let (new, answers) = (self.new, self.answers);
        (self.new, self.answers, self.since) = (0, 0, Some(now));
        match answers {
            _ if new == 0 => None,
            0 => Some(Answer::None),
            some if some < new => Some(Answer::Poor),
            _ => Some(Answer::Well),
        }
    }
}
