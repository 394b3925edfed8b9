//! The ranks of a virtual server: endpoints that are filled together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::saturation::Saturation;
use super::sum::Sum;
use super::{Pace, RankState};
use crate::model::Level;
use crate::plan::{RealServer, Style, VirtualServer};

/// One rank.
#[derive(Clone, Debug)]
pub struct Rank {
    /// The levels of its endpoints, nearest first.
    pub parts: Vec<Part>,
    pub saturation: Saturation,
    /// When it had a connection last.
    pub busy: Option<Instant>,
}

/// The endpoints of a rank that are of one level and cluster.
#[derive(Clone, Debug)]
pub struct Part {
    pub level: Level,
    /// The cluster, if it is another one.
    pub cluster: Option<Arc<str>>,
    /// What happened to it since the virtual server is known.
    pub total: Total,
}

/// What happened to the endpoints of a level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// New connections, also of clients that came back.
    pub connections: u64,
    /// Those of them that came past a nearer rank.
    pub spilled: u64,
    /// For how long their rank was saturated.
    pub saturated: Duration,
}

impl Part {
    fn is(&self, level: Level, cluster: Option<&Arc<str>>) -> bool {
        self.level == level && self.cluster.as_ref() == cluster
    }

    /// Whether an endpoint is one of it.
    pub fn has(&self, endpoint: &Endpoint) -> bool {
        self.is(endpoint.level, endpoint.cluster.as_ref())
    }
}

impl Rank {
    /// The ranks of a plan whose real servers have these places. One goes on as it was if it begins
    /// with the same level and cluster; what is counted of a level goes on in any rank.
    pub fn of(plan: &VirtualServer, places: &[usize], before: &[Self]) -> Vec<Self> {
        let count = places.iter().max().map_or(0, |last| last + 1);
        let counted = |level, cluster| {
            let mut parts = before.iter().flat_map(|rank| &rank.parts);
            let known = parts.find(|part| part.is(level, cluster));
            known.map(|part| part.total).unwrap_or_default()
        };
        let mut all: Vec<Vec<Part>> = vec![Vec::new(); count];
        for (real, place) in plan.reals.iter().zip(places) {
            let (level, cluster) = (real.level, real.cluster.as_ref());
            let parts = &mut all[*place];
            if !parts.iter().any(|part| part.is(level, cluster)) {
                parts.push(Part {
                    level,
                    cluster: cluster.cloned(),
                    total: counted(level, cluster),
                });
            }
        }
        let ranks = all.into_iter().filter_map(|mut parts| {
            parts.sort_by(|a, b| (a.level, &a.cluster).cmp(&(b.level, &b.cluster)));
            let first = parts.first()?;
            let known = before.iter().find(|rank| {
                let begins = rank.parts.first();
                begins.is_some_and(|part| part.is(first.level, first.cluster.as_ref()))
            });
            let (saturation, busy) = known
                .map(|rank| (rank.saturation, rank.busy))
                .unwrap_or_default();
            Some(Self {
                parts,
                saturation,
                busy,
            })
        });
        ranks.collect()
    }

    /// Counts the new connections of its endpoints, and whether they came past a nearer rank.
    pub fn count<'a>(&mut self, endpoints: impl Iterator<Item = &'a Endpoint>, spilled: bool) {
        for endpoint in endpoints {
            if let Some(part) = self.parts.iter_mut().find(|part| part.has(endpoint)) {
                part.total.connections += endpoint.moved.new + endpoint.moved.returns;
                part.total.spilled += if spilled { endpoint.moved.new } else { 0 };
            }
        }
    }

    /// It was saturated for so long.
    pub fn spend(&mut self, elapsed: Duration) {
        for part in &mut self.parts {
            part.total.saturated += elapsed;
        }
    }

    /// What it does, as of `now`.
    pub fn state(&self, sum: &Sum, pace: &Pace, now: Instant) -> RankState {
        let busy = |at: Instant| now.saturating_duration_since(at) < pace.idle_after;
        if let Some(state) = self.saturation.state(pace, now) {
            state
        } else if !self.busy.is_some_and(busy) {
            RankState::Idle
        } else if sum.slow > 0 {
            RankState::SlowStart
        } else {
            RankState::Serving
        }
    }
}

/// The place of each real server's rank, without gaps. Where weights mean shares, ranks are levels.
pub fn places(plan: &VirtualServer) -> Vec<usize> {
    let rank = |real: &RealServer| match plan.style {
        Style::Ladder => (real.rank, None),
        Style::Share => (0, Some(real.level)),
    };
    let ranks: BTreeSet<(u8, Option<Level>)> = plan.reals.iter().map(rank).collect();
    plan.reals
        .iter()
        .map(|real| ranks.range(..rank(real)).count())
        .collect()
}
