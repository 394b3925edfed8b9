//! From how virtual servers stand to what metrics and Events say of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::capacity::{Controller, Key, RankState, Standing, StandingLevel, StandingRank};
use crate::model::EndpointSet;
use crate::serve::events::{Happening, Reason, Subject, Teller};
use crate::serve::routes::title_of;
use crate::serve::{LevelCount, Metrics};

/// How often it is worth telling.
const EVERY: Duration = Duration::from_secs(1);

/// What was told last.
#[derive(Debug, Default)]
pub struct Bulletin {
    told: BTreeMap<Key, Reason>,
    /// When it was published last.
    last: Option<Instant>,
}

impl Bulletin {
    /// Tells how things stand now: all of it to metrics, what has changed as an Event.
    /// At most once a second, since some virtual servers are looked at ten times as often, but for
    /// the end of all.
    pub fn publish(
        &mut self,
        controller: &Controller,
        metrics: &Metrics,
        teller: &Teller,
        now: Instant,
    ) {
        let last = self.last.map(|last| now.saturating_duration_since(last));
        let goes_on = controller.keys().next().is_some();
        if goes_on && last.is_some_and(|last| last < EVERY) {
            return;
        }
        self.last = Some(now);
        let mut counts = Vec::new();
        for key in controller.keys() {
            let Some(standing) = controller.standing(key) else {
                continue;
            };
            for level in standing.ranks.iter().flat_map(|rank| &rank.levels) {
                add(&mut counts, count(key, level));
            }
            if let Some((reason, note)) = self.news(key, &standing) {
                teller.tell(happening(key, reason, note));
            }
        }
        self.told.retain(|key, _| {
            let stays = controller.knows(key);
            if !stays {
                let note = "no endpoint that can be full is left".to_owned();
                teller.tell(happening(key, Reason::SpillEnded, note));
            }
            stays
        });
        metrics.levels(counts);
    }

    fn news(&mut self, key: &Key, standing: &Standing) -> Option<(Reason, String)> {
        let before = self.told.get(key).copied();
        let now = reason(standing);
        if before == now {
            return None;
        }
        let told = if let Some(reason) = now {
            self.told.insert(key.clone(), reason);
            reason
        } else {
            self.told.remove(key);
            Reason::SpillEnded
        };
        let levels = standing.ranks.iter();
        let levels = levels.map(|rank| format!("{}: {}", title(rank), rank.reason));
        Some((told, levels.collect::<Vec<_>>().join("; ")))
    }
}

fn happening(key: &Key, reason: Reason, note: String) -> Happening {
    Happening {
        subject: Subject::service(&key.id.port.service, None),
        port: place(key),
        reason,
        note,
    }
}

fn reason(standing: &Standing) -> Option<Reason> {
    let saturated = |rank: &StandingRank| rank.state == RankState::Saturated;
    if !standing.ranks.is_empty() && standing.ranks.iter().all(saturated) {
        Some(Reason::Saturated)
    } else {
        standing.spilling.then_some(Reason::Spilling)
    }
}

/// The levels of a rank.
fn title(rank: &StandingRank) -> String {
    let levels = rank.levels.iter();
    let levels = levels.map(|one| title_of(one.level.name(), one.cluster.as_deref()));
    levels.collect::<Vec<_>>().join(" and ")
}

/// Where a thing happens, within a Service.
fn place(key: &Key) -> String {
    let port = &key.id.port;
    let set = match key.id.set {
        EndpointSet::All => String::new(),
        EndpointSet::Local => " local".to_owned(),
        EndpointSet::Own(ip) => format!(" from {ip}"),
    };
    format!("{}/{}{set} over {}", port.port, port.protocol, key.family)
}

fn count(key: &Key, level: &StandingLevel) -> LevelCount {
    LevelCount {
        port: key.id.port.clone(),
        family: key.family,
        level: level.level,
        cluster: level.cluster.clone(),
        endpoints: level.endpoints as u64,
        budget: level.budget.map(u64::from),
        active: u64::from(level.load),
        new_connections: level.connections,
        spilled: level.spilled,
        saturated_seconds: level.saturated.as_secs_f64(),
    }
}

/// Adds a count to that of the same level, if there is one: the endpoint sets of a service port are
/// one to those who watch it, and have the same endpoints.
fn add(counts: &mut Vec<LevelCount>, count: LevelCount) {
    // The sets of one service port follow each other.
    let before = counts.iter_mut().rev();
    let same = before.take_while(|one| one.port == count.port).find(|one| {
        (one.family, one.level, &one.cluster) == (count.family, count.level, &count.cluster)
    });
    let Some(one) = same else {
        counts.push(count);
        return;
    };
    one.endpoints = one.endpoints.max(count.endpoints);
    one.budget = one
        .budget
        .zip(count.budget)
        .map(|(one, other)| one.max(other));
    one.active += count.active;
    one.new_connections += count.new_connections;
    one.spilled += count.spilled;
    one.saturated_seconds = one.saturated_seconds.max(count.saturated_seconds);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndpointSet, Family, Level, Protocol, ServiceId, ServicePortId, SetId};

    fn standing_level(level: Level) -> StandingLevel {
        StandingLevel {
            level,
            cluster: None,
            endpoints: 1,
            budget: Some(25),
            load: 25,
            connections: 0,
            spilled: 0,
            saturated: std::time::Duration::ZERO,
        }
    }

    fn rank(level: Level, state: RankState) -> StandingRank {
        StandingRank {
            rank: 0,
            levels: vec![standing_level(level)],
            endpoints: Vec::new(),
            state,
            reason: "as it is".to_owned(),
            primary: true,
            budget: Some(25),
            load: 25,
            per_second: 0.0,
            share: 0.0,
        }
    }

    fn web() -> Key {
        Key {
            id: SetId::all(ServicePortId {
                service: ServiceId::new("default", "web"),
                port: "http".into(),
                protocol: Protocol::Tcp,
            }),
            family: Family::V4,
        }
    }

    #[test]
    fn the_sets_of_a_service_port_are_one_to_those_who_watch_it() {
        let all = web();
        let mut own = web();
        own.id.set = EndpointSet::Own([10, 1, 1, 5].into());
        let mut local = web();
        local.id.set = EndpointSet::Local;
        let mut counts = Vec::new();
        for (key, level) in [
            (&all, Level::Node),
            (&all, Level::Cluster),
            (&local, Level::Node),
            (&own, Level::Own),
            (&own, Level::Node),
        ] {
            add(&mut counts, count(key, &standing_level(level)));
        }
        let active: Vec<_> = counts.iter().map(|one| (one.level, one.active)).collect();
        assert_eq!(
            active,
            [(Level::Node, 75), (Level::Cluster, 25), (Level::Own, 25)],
            "a series for each level, and no two of the same name"
        );
        assert_eq!(counts[0].budget, Some(25), "which they share");
        assert_eq!(place(&own), "http/TCP from 10.1.1.5 over IPv4");
        assert_eq!(place(&local), "http/TCP local over IPv4");
    }

    #[test]
    fn levels_that_fill_together_are_named_together() {
        let mut together = rank(Level::Node, RankState::Serving);
        together.levels.push(standing_level(Level::Zone));
        together.levels.push(StandingLevel {
            cluster: Some("west".into()),
            ..standing_level(Level::Remote)
        });
        assert_eq!(title(&together), "node and zone and remote west");
    }

    #[test]
    fn a_spill_is_told_once_when_it_begins_when_all_is_full_and_when_it_ends() {
        let key = web();
        let standing = |near, far, spilling| Standing {
            ranks: vec![rank(Level::Node, near), rank(Level::Cluster, far)],
            spilling,
            ..Standing::default()
        };
        let calm = standing(RankState::Serving, RankState::Idle, false);
        let spilling = standing(RankState::Saturated, RankState::Serving, true);
        let full = standing(RankState::Saturated, RankState::Saturated, true);
        let mut bulletin = Bulletin::default();
        let told: Vec<Option<Reason>> = [&calm, &spilling, &spilling, &full, &spilling, &calm]
            .into_iter()
            .map(|standing| bulletin.news(&key, standing).map(|(reason, _)| reason))
            .collect();
        assert_eq!(
            told,
            [
                None,
                Some(Reason::Spilling),
                None,
                Some(Reason::Saturated),
                Some(Reason::Spilling),
                Some(Reason::SpillEnded),
            ]
        );
    }
}
