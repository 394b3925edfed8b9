//! What this agent itself has to say of a virtual server, and what it has heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{Entry, single};
use super::exchange::{Asked, News};
use crate::capacity::Summary;

/// How soon a demand that moved is reported again.
pub const SOON: Duration = Duration::from_secs(1);
/// How often everything is reported or summed up, so that it is not forgotten.
pub const OFTEN: Duration = Duration::from_secs(5);
/// After how long a summary is not used any more, as in the control loop (`Pace::budgets_last`).
const LASTS: Duration = Duration::from_secs(10);
/// For how long a summary is as good as a newer one: a little more than [`OFTEN`].
pub const FRESH: Duration = Duration::from_secs(6);
/// What a demand must move by, as a part of itself and in connections, to be worth a report.
const MOVED: (f32, f32) = (0.1, 1.0);

/// A virtual server that this agent has a demand for, or pods of.
#[derive(Debug)]
pub struct Wanted {
    asked: Asked,
    /// Who keeps its reports, the first keeper first.
    pub keepers: Vec<Arc<str>>,
    sent: Option<(Entry, Instant)>,
    heard: BTreeMap<Arc<str>, Heard>,
    /// What was handed on last: by whom, and when it came.
    told: Option<(Arc<str>, Instant)>,
}

#[derive(Debug)]
struct Heard {
    summary: Arc<Summary>,
    stamp: u64,
    at: Instant,
}

impl Wanted {
    pub fn new(asked: Asked, keepers: Vec<Arc<str>>) -> Self {
        Self {
            asked,
            keepers,
            sent: None,
            heard: BTreeMap::new(),
            told: None,
        }
    }

    /// Wants another number of connections.
    pub fn ask(&mut self, asked: Asked) {
        self.asked = asked;
    }

    /// Others keep its reports, who know nothing yet.
    pub fn keep(&mut self, keepers: Vec<Arc<str>>) {
        if self.keepers != keepers {
            self.keepers = keepers;
            self.sent = None;
        }
    }

    /// What to report now. Nothing if it was reported lately and has not moved, or if nothing is
    /// wanted and no pod is here.
    pub fn report(&mut self, key: u64, now: Instant) -> Option<Entry> {
        let entry = Entry {
            key,
            demand: single(self.asked.demand).clamp(0.0, f32::MAX),
            capacity: self.asked.capacity,
        };
        let due = self.sent.is_none_or(|(sent, at)| {
            let age = now.saturating_duration_since(at);
            let by = (entry.demand - sent.demand).abs();
            let (part, connections) = MOVED;
            let moved = by > connections && by > part * sent.demand;
            age >= OFTEN || (age >= SOON && (moved || entry.capacity != sent.capacity))
        });
        let silent = entry.demand < 0.5 && entry.capacity == 0;
        if !due || silent {
            return None;
        }
        self.sent = Some((entry, now));
        Some(entry)
    }

    /// Takes a keeper's summary.
    pub fn hear(&mut self, keeper: &Arc<str>, summary: Arc<Summary>, stamp: u64, at: Instant) {
        let known = self.heard.get(keeper);
        if known.is_none_or(|known| known.stamp < stamp) {
            let heard = Heard { summary, stamp, at };
            self.heard.insert(keeper.clone(), heard);
        }
    }

    /// The best summary, if it was not handed on yet.
    ///
    /// That is one that knows of the most nodes: a keeper that has just started, or that is cut off
    /// from some, knows of fewer. Of two that know the same, the first keeper's, so that this node
    /// does not go to and fro between them.
    pub fn news(&mut self, now: Instant) -> Option<News> {
        let age = |heard: &Heard| now.saturating_duration_since(heard.at);
        self.heard.retain(|_, heard| age(heard) < LASTS);
        let rank = |keeper: &Arc<str>| {
            let place = self.keepers.iter().position(|one| one == keeper);
            std::cmp::Reverse(place.unwrap_or(usize::MAX))
        };
        let (keeper, heard) = self.heard.iter().max_by_key(|(keeper, heard)| {
            (age(heard) < FRESH, heard.summary.nodes, rank(keeper))
        })?;
        let this = (keeper.clone(), heard.at);
        if self.told.as_ref() == Some(&this) {
            return None;
        }
        self.told = Some(this);
        Some(News {
            key: self.asked.key.clone(),
            summary: heard.summary.clone(),
            at: heard.at,
        })
    }
}
