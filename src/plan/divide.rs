//! How connections divide among the endpoints that serve: which of them are programmed, in which
//! ranks, and with which weights.
//!
//! | mode | no endpoint can be full | some can |
//! |---|---|---|
//! | `spill` | only the nearest level | a ladder of levels |
//! | `prefer` | by the weights of the levels | the same, with thresholds |
//! | `balance` | evenly | the same, with thresholds |
//!
//! Other clusters, where they are a fallback, are programmed if no nearer endpoint is there, or if
//! all of those can be full; they are then the last rungs of a ladder.

use std::num::NonZeroU32;

use super::endpoints::Candidate;
use super::ladder::{Ladder, Rung, gcd};
use super::routing::{Affinity, Routing};
use super::{Here, Limits, RealServer, Style, order};
use crate::model::{Capacity, Level, Mode, Protocol, RemoteUse, Scheduler};

/// The most endpoints of a rank beyond the first: a scheduler looks at all of them for every new
/// connection (about 10 ns each).
const FAR: usize = 256;
/// The same for UDP: an idle endpoint costs nothing to `wlc`, so each gets one flow per time-out.
const FAR_UDP: usize = 8;
/// The same for a hash, where a farther endpoint always has its turns, or as many as there are in
/// the first rank.
const FAR_HASH: usize = 4;
/// The turns of an endpoint of the first rank and of the second of more than two: the kernel halves
/// all weights until the largest has at most six bits (`ip_vs_mh_shift_weight`).
const NEAR_TURNS: u32 = 63;
const NEXT_TURNS: u32 = 2;
/// The most steps of a round of `wrr`, which looks at every real server in each, with a lock held
/// (about 4 ns each: 1 ms).
const WRR_STEPS: u64 = 250_000;
/// What is let in above an eighth more than the capacity of an endpoint before an idle farther one
/// comes first. The thresholds keep active connections, which are all that counts to `sed`, below
/// that: what they admit beyond a budget is head-room and what comes and ends within a tick. Once
/// all are full they admit more, but then no farther endpoint is idle.
const MARGIN: u32 = 16;
/// More connections at a time than any endpoint has.
const ENDLESS: u32 = 1 << 24;
/// The most that is learned of an endpoint whose capacity is `auto`.
const LEARNED: u32 = 4_096;

/// Real servers with what the kernel is told of them.
pub struct Division {
    pub scheduler: Scheduler,
    pub style: Style,
    pub affinity: Option<NonZeroU32>,
    pub reals: Vec<RealServer>,
}

/// Divides connections of a protocol among candidates.
pub fn divide(
    candidates: Vec<Candidate>,
    protocol: Protocol,
    routing: &Routing<'_>,
    here: &Here,
) -> Division {
    let own = candidates.iter().any(|one| one.level == Level::Own);
    let ranked = rank(candidates, routing);
    let ladder = matches!(ranked.style, Style::Ladder);
    // Before itself a client has nothing to choose, so that it has no use for a scheduler by name.
    let named = routing.scheduler_for(protocol).filter(|_| !own);
    // Where a client leaves an endpoint that is full, the scheduler has to know which one it had: it
    // tells clients by their addresses alone.
    let hashed = matches!(routing.affinity, Affinity::Yielding(_)) && ranked.is_limited();
    let named = if hashed {
        Some(Scheduler::MaglevHash)
    } else {
        named
    };
    let scheduler = scheduler(ladder, protocol, named, here);
    // A scheduler that somebody chose may know nothing of ladders.
    let style = match scheduler {
        Scheduler::ShortestExpectedDelay
        | Scheduler::WeightedLeastConnection
        | Scheduler::MaglevHash => ranked.style,
        _ => Style::Share,
    };
    let candidates = match style {
        Style::Ladder => ranked.candidates,
        Style::Share => without_fallbacks(ranked.candidates, routing),
    };
    let candidates = nearby(candidates, protocol, scheduler, here);
    let steps: Vec<(u8, u32)> = match (style, scheduler) {
        (Style::Share, _) => share(&candidates, scheduler, routing),
        (Style::Ladder, Scheduler::MaglevHash) => turns(&candidates),
        (Style::Ladder, _) => ladder_of(&candidates, routing),
    };
    let reals = candidates
        .into_iter()
        .zip(steps)
        .map(|((_, candidate), (rank, weight))| RealServer {
            ip: candidate.ip,
            port: candidate.port,
            level: candidate.level,
            local: candidate.local,
            cluster: candidate.cluster,
            rank,
            capacity: candidate.capacity,
            masquerade: candidate.masquerade,
            weight,
            limits: Limits::default(),
        })
        .collect();
    Division {
        scheduler,
        style,
        affinity: routing.affinity.seconds().filter(|_| !hashed),
        reals,
    }
}

/// Candidates with their ranks, 0 first and without gaps.
struct Ranked {
    style: Style,
    candidates: Vec<(u8, Candidate)>,
}

impl Ranked {
    /// Whether any of them can be full.
    fn is_limited(&self) -> bool {
        let mut all = self.candidates.iter();
        all.any(|(_, one)| one.capacity != Capacity::Unlimited)
    }
}

fn rank(candidates: Vec<Candidate>, routing: &Routing<'_>) -> Ranked {
    let place = |one: &Candidate| {
        let (level, cluster) = routing.place(one.level, one.cluster.as_ref());
        match (routing.mode, one.level, routing.remote) {
            (_, Level::Own, _) => (0, 0),
            (Mode::Spill, ..) => (level, cluster),
            // All that is not a fallback is one rank.
            (_, Level::Remote, RemoteUse::Fallback) => (2, cluster),
            _ => (1, 0),
        }
    };
    let mut groups: Vec<((usize, usize), Vec<Candidate>)> = Vec::new();
    for candidate in candidates {
        let place = place(&candidate);
        match groups.iter_mut().find(|(one, _)| *one == place) {
            Some((_, group)) => group.push(candidate),
            None => groups.push((place, vec![candidate])),
        }
    }
    groups.sort_by_key(|(place, _)| *place);

    // Nothing gets past a rank that is never full.
    let endless = |(_, group): &(_, Vec<Candidate>)| {
        group.iter().any(|one| one.capacity == Capacity::Unlimited)
    };
    let used = groups
        .iter()
        .position(endless)
        .map_or(groups.len(), |at| at + 1);
    groups.truncate(used);

    let limited = groups
        .iter()
        .flat_map(|(_, group)| group)
        .any(|one| one.capacity != Capacity::Unlimited);
    let one_by_one = groups.len() > 1 || routing.mode == Mode::Spill;
    Ranked {
        style: if one_by_one && limited {
            Style::Ladder
        } else {
            Style::Share
        },
        candidates: (0..=u8::MAX)
            .zip(groups)
            .flat_map(|(rank, (_, group))| group.into_iter().map(move |one| (rank, one)))
            .collect(),
    }
}

fn scheduler(ladder: bool, protocol: Protocol, named: Option<Scheduler>, here: &Here) -> Scheduler {
    match (named, protocol) {
        (Some(named), _) => named,
        // The kernel never takes a flow of UDP for active, so `sed` would see all of them idle.
        (None, Protocol::Udp) if ladder => Scheduler::WeightedLeastConnection,
        (None, _) if ladder => Scheduler::ShortestExpectedDelay,
        (None, _) => here.scheduler.over(protocol),
    }
}

/// Leaves out what is a fallback, as long as there is anything else: where weights are shares, all
/// that is programmed gets some.
fn without_fallbacks(
    candidates: Vec<(u8, Candidate)>,
    routing: &Routing<'_>,
) -> Vec<(u8, Candidate)> {
    let first = |(rank, one): &(u8, Candidate)| (is_fallback(one, routing), *rank);
    let Some(best) = candidates.iter().map(first).min() else {
        return candidates;
    };
    let mut kept = candidates;
    kept.retain(|one| match first(one) {
        (false, _) => true,
        // One cluster after the other.
        fallback => fallback == best,
    });
    kept
}

/// Whether it is to serve only if nearer endpoints have no room or are gone.
fn is_fallback(candidate: &Candidate, routing: &Routing<'_>) -> bool {
    candidate.level == Level::Remote && routing.remote == RemoteUse::Fallback
}

/// Leaves out all but a few endpoints of far ranks, others on every node.
fn nearby(
    candidates: Vec<(u8, Candidate)>,
    protocol: Protocol,
    scheduler: Scheduler,
    here: &Here,
) -> Vec<(u8, Candidate)> {
    let near = || candidates.iter().filter(|(rank, _)| *rank == 0).count();
    let most = match (scheduler, protocol) {
        (Scheduler::MaglevHash, _) => near().clamp(FAR_HASH, FAR),
        (_, Protocol::Udp) => FAR_UDP,
        (_, Protocol::Tcp | Protocol::Sctp) => FAR,
    };
    let mut far: Vec<(u8, u64, usize)> = candidates
        .iter()
        .enumerate()
        .filter(|(_, (rank, _))| *rank > 0)
        .map(|(index, (rank, one))| (*rank, order::place(&here.node, one.ip, one.port), index))
        .collect();
    far.sort_unstable();
    let mut kept = vec![true; candidates.len()];
    for rank in far.chunk_by(|(one, ..), (other, ..)| one == other) {
        for (.., index) in rank.iter().skip(most) {
            kept[*index] = false;
        }
    }
    candidates
        .into_iter()
        .zip(kept)
        .filter_map(|(one, kept)| kept.then_some(one))
        .collect()
}

/// Weights in proportion to those of the levels.
fn share(
    candidates: &[(u8, Candidate)],
    scheduler: Scheduler,
    routing: &Routing<'_>,
) -> Vec<(u8, u32)> {
    let weights: Vec<u32> = candidates
        .iter()
        .map(|(_, one)| preference(one, routing).get())
        .collect();
    let weights = match scheduler {
        Scheduler::WeightedRoundRobin => within_a_round(weights),
        // To it, weights are how many connections an endpoint takes before it refuses.
        Scheduler::Overflow => weights.into_iter().map(|one| ENDLESS + one).collect(),
        _ => weights,
    };
    weights.into_iter().map(|weight| (0, weight)).collect()
}

fn preference(candidate: &Candidate, routing: &Routing<'_>) -> NonZeroU32 {
    match routing.mode {
        Mode::Prefer => routing.weights.of(candidate.level).into(),
        Mode::Spill | Mode::Balance => NonZeroU32::MIN,
    }
}

/// Brings weights so close together that a round of `wrr` stays short.
fn within_a_round(mut weights: Vec<u32>) -> Vec<u32> {
    let divisor = weights.iter().fold(0, |all, one| gcd(all, (*one).into()));
    let most = u64::from(weights.iter().copied().max().unwrap_or(1));
    let allowed = (WRR_STEPS / weights.len().max(1) as u64).max(1);
    if most / divisor.max(1) > allowed {
        for weight in &mut weights {
            let scaled = u64::from(*weight) * allowed / most;
            *weight = u32::try_from(scaled).unwrap_or(u32::MAX).max(1);
        }
    }
    weights
}

/// Turns at Maglev's table.
fn turns(candidates: &[(u8, Candidate)]) -> Vec<(u8, u32)> {
    let last = candidates.iter().map(|(rank, _)| *rank).max().unwrap_or(0);
    candidates
        .iter()
        .map(|(rank, _)| {
            let turns = match (*rank, last) {
                (_, 0) => 1,
                (0, _) => NEAR_TURNS,
                (1, 2..) => NEXT_TURNS,
                _ => 1,
            };
            (*rank, turns)
        })
        .collect()
}

fn ladder_of(candidates: &[(u8, Candidate)], routing: &Routing<'_>) -> Vec<(u8, u32)> {
    let capacity_of = |one: &Candidate| match one.capacity {
        Capacity::Connections(connections) => connections.get(),
        Capacity::Auto => LEARNED,
        // It only occurs in the last rank, which is never full.
        Capacity::Unlimited => 0,
    };
    let last = candidates.iter().map(|(rank, _)| *rank).max();
    let in_last = candidates.iter().filter(|(rank, _)| Some(*rank) == last);
    let most = in_last.map(|(_, one)| capacity_of(one)).max().unwrap_or(0);
    let rungs: Vec<Rung> = candidates
        .iter()
        .map(|(rank, one)| {
            let capacity = capacity_of(one);
            // Whoever accepts any number gets no less than others of its rank.
            let part = if capacity == 0 { most } else { capacity };
            Rung {
                rank: *rank,
                part: match (routing.mode, NonZeroU32::new(part)) {
                    (Mode::Spill, Some(part)) => part,
                    _ => preference(one, routing),
                },
                admitted: capacity + capacity / 8 + MARGIN,
                fallback: is_fallback(one, routing),
            }
        })
        .collect();
    Ladder::new(&rungs).steps().collect()
}
