//! The ranks of a virtual server: endpoints that are filled together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::saturation::Saturation;
use super::sum::Sum;
use super::{Pace, RankState};
use crate::model::Level;
use crate::plan::{RealServer, Style, VirtualServer};

/// One rank.
#[derive(Clone, Debug)]
pub struct Rank {
    pub level: Level,
    /// The cluster of all its endpoints, if it is one other.
    pub cluster: Option<Arc<str>>,
    pub saturation: Saturation,
    /// When it had a connection last.
    pub busy: Option<Instant>,
    /// What happened to it since the virtual server is known.
    pub total: Total,
}

/// What happened to a rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// New connections.
    pub connections: u64,
    /// Those of them that came past a nearer rank.
    pub spilled: u64,
    /// For how long it was saturated.
    pub saturated: Duration,
}

impl Rank {
    /// The ranks of a plan whose real servers have these places. One goes on as it was if it has
    /// the same level and cluster.
    pub fn of(plan: &VirtualServer, places: &[usize], before: &[Self]) -> Vec<Self> {
        let count = places.iter().max().map_or(0, |last| last + 1);
        let members = |place: usize| {
            let reals = plan.reals.iter().zip(places);
            reals
                .filter(move |(_, of)| **of == place)
                .map(|(real, _)| real)
        };
        let rank = |place: usize| {
            let member = members(place).next()?;
            let same = members(place).all(|real| real.cluster == member.cluster);
            let cluster = member.cluster.clone().filter(|_| same);
            let known = before
                .iter()
                .find(|rank| rank.level == member.level && rank.cluster == cluster);
            Some(known.cloned().unwrap_or_else(|| Self {
                level: member.level,
                cluster,
                saturation: Saturation::default(),
                busy: None,
                total: Total::default(),
            }))
        };
        (0..count).filter_map(rank).collect()
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
