//! What a keeper knows of the virtual servers that it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{Entry, coarse};
use super::local::{OFTEN, SOON};
use crate::capacity::{Report, Summary};

/// After how long a report that was not renewed is forgotten: one may be lost, and the next be late.
pub const LASTS: Duration = Duration::from_secs(11);
/// For how long a keeper only listens after it has first heard of a virtual server: until everybody
/// has reported once. The other keeper speaks meanwhile, if it is not new as well.
const LISTENS: Duration = Duration::from_secs(6);
/// How many nodes are told of one virtual server in a second, so that a large cluster costs a
/// keeper no more than a middle-sized one.
const TOLD: f64 = 1_000.0;
/// What a summary must move by to be told before it is time.
const MOVED: f64 = 0.05;

/// The reports of all virtual servers that this agent keeps.
#[derive(Debug, Default)]
pub struct Table {
    of: BTreeMap<u64, Kept>,
}

/// The reports of one virtual server.
#[derive(Debug)]
struct Kept {
    /// Since when it is listened for.
    since: Instant,
    rows: BTreeMap<Arc<str>, Row>,
    looked: Option<Instant>,
    /// What all were told last, and when.
    told: Option<(Arc<Summary>, Instant)>,
}

#[derive(Debug)]
struct Row {
    zone: Option<Arc<str>>,
    entry: Entry,
    stamp: u64,
    at: Instant,
    /// Whether it was told a summary since it is here.
    told: bool,
}

/// A summary, and the nodes that are to be told.
#[derive(Clone, Debug)]
pub struct Due {
    pub key: u64,
    pub summary: Arc<Summary>,
    pub to: Vec<Arc<str>>,
}

impl Table {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Only listens for a while again: nobody was heard for so long that all are forgotten, and
    /// those that are heard first are not all.
    pub fn listen(&mut self, now: Instant) {
        for kept in self.of.values_mut() {
            kept.since = now;
        }
    }

    /// Takes what a node says, unless something newer is known.
    pub fn take(
        &mut self,
        node: &Arc<str>,
        zone: Option<&str>,
        entry: Entry,
        stamp: u64,
        now: Instant,
    ) {
        let kept = self.of.entry(entry.key).or_insert_with(|| Kept {
            since: now,
            rows: BTreeMap::new(),
            looked: None,
            told: None,
        });
        let known = kept.rows.get(node);
        if known.is_some_and(|row| row.stamp >= stamp) {
            return;
        }
        let told = known.is_some_and(|row| row.told);
        let same = known.and_then(|row| row.zone.clone());
        let zone = match same {
            Some(same) if zone == Some(&*same) => Some(same),
            _ => zone.map(Arc::from),
        };
        let row = Row {
            zone,
            entry,
            stamp,
            at: now,
            told,
        };
        kept.rows.insert(node.clone(), row);
    }

    /// Forgets what was not renewed, and says what is to be told to whom; summaries that are small
    /// enough for a body of so many bytes.
    pub fn tick(&mut self, space: usize, now: Instant) -> Vec<Due> {
        for kept in self.of.values_mut() {
            let age = |row: &Row| now.saturating_duration_since(row.at);
            kept.rows.retain(|_, row| age(row) < LASTS);
        }
        self.of.retain(|_, kept| !kept.rows.is_empty());
        let all = self.of.iter_mut();
        all.filter_map(|(key, kept)| kept.due(*key, space, now))
            .collect()
    }
}

impl Kept {
    fn due(&mut self, key: u64, space: usize, now: Instant) -> Option<Due> {
        let since = |at: Instant| now.saturating_duration_since(at);
        let nodes = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let pause = Duration::from_secs_f64(f64::from(nodes) / TOLD).clamp(SOON, OFTEN);
        if since(self.since) < LISTENS || self.looked.is_some_and(|at| since(at) < pause) {
            return None;
        }
        self.looked = Some(now);
        let all = self.told.as_ref().is_none_or(|(_, at)| since(*at) >= OFTEN);
        let summary = Arc::new(self.summary(space));
        let moved = |(told, _): &(Arc<Summary>, Instant)| summary.differs(told, MOVED);
        let all = all || self.told.as_ref().is_some_and(moved);
        if all {
            self.told = Some((summary.clone(), now));
        }
        let mut to = Vec::new();
        for (node, row) in &mut self.rows {
            if all || !row.told {
                row.told = true;
                to.push(node.clone());
            }
        }
        (!to.is_empty()).then_some(Due { key, summary, to })
    }

    fn summary(&self, space: usize) -> Summary {
        let zones: BTreeSet<&str> = self
            .rows
            .values()
            .filter_map(|row| row.zone.as_deref())
            .collect();
        let reports: Vec<(Report, u32)> = self
            .rows
            .iter()
            .map(|(node, row)| {
                let report = Report {
                    node: node.clone(),
                    zone: row.zone.clone(),
                    demand: row.entry.demand.into(),
                };
                (report, row.entry.capacity)
            })
            .collect();
        Summary::of_hosts(&reports, coarse(zones.len(), space))
    }
}
