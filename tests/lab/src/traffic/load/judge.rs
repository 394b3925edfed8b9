//! Whether the connections under a load went where they should: near while there is room, and
//! nobody over the budget while somebody else has room.

use std::collections::BTreeMap;
use std::time::Duration;

use super::recording::{Event, Recording, What};

/// Pods that are equally near, as a test lists them: nearest tier first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// What to call it.
    pub name: String,
    /// The names of its pods.
    pub pods: Vec<String>,
    /// The connections that each of them is to have at most.
    pub budget: usize,
}

/// Open connections, by pod.
type Open = BTreeMap<String, usize>;

impl Tier {
    /// A tier of pods with one budget.
    pub fn new<'a>(
        name: &str,
        budget: usize,
        pods: impl IntoIterator<Item = &'a crate::world::Pod>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            pods: pods.into_iter().map(|pod| pod.name.clone()).collect(),
            budget,
        }
    }

    fn has(&self, pod: &str) -> bool {
        self.pods.iter().any(|name| name == pod)
    }

    /// How many connections it could take: what its pods have left, those over the budget aside.
    fn room(&self, open: &Open) -> usize {
        let used = |pod: &String| open.get(pod).copied().unwrap_or(0);
        let left = |pod| self.budget.saturating_sub(used(pod));
        self.pods.iter().map(left).sum()
    }

    /// How many of these connections are its pods'.
    pub fn part(&self, of: &BTreeMap<String, usize>) -> usize {
        self.pods.iter().filter_map(|pod| of.get(pod)).sum()
    }
}

/// A pod with more connections than it should have, while a farther one had room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// When.
    pub at: Duration,
    /// Which pod.
    pub pod: String,
    /// How many it had.
    pub open: usize,
}

/// The first moment at which a pod had more than `percent` of its budget while a farther tier had
/// room.
pub fn first_overload(recording: &Recording, tiers: &[Tier], percent: usize) -> Option<Overload> {
    let mut open = Open::new();
    for Event { at, what } in &recording.events {
        what.count(&mut open);
        let What::Opened { pod, .. } = what else {
            continue;
        };
        let Some(tier) = tiers.iter().position(|tier| tier.has(pod)) else {
            continue;
        };
        let has = open.get(pod).copied().unwrap_or(0);
        let farther = tiers[tier + 1..].iter().any(|tier| tier.room(&open) > 0);
        if farther && has * 100 > tiers[tier].budget * percent {
            return Some(Overload {
                at: *at,
                pod: pod.clone(),
                open: has,
            });
        }
    }
    None
}

/// When connections were answered farther away than needed: a nearer tier had room the whole time,
/// from `lasting` before the client began to connect until it was answered. Zero is the strictest;
/// nobody who looks twice a second can tell of room that lasted for less than that. A connection
/// takes its pod's room when its client begins: it is heard of later, and not in order.
pub fn astray(recording: &Recording, tiers: &[Tier], lasting: Duration) -> Vec<Duration> {
    let taken_from = |event: &Event| match event.what {
        What::Opened { begun, .. } => begun,
        _ => event.at,
    };
    let mut in_order: Vec<&Event> = recording.events.iter().collect();
    in_order.sort_by_key(|event| taken_from(event));
    // The room of every tier after every event.
    let mut open = Open::new();
    let mut rooms: Vec<(Duration, Vec<usize>)> = Vec::with_capacity(in_order.len());
    for event in in_order {
        event.what.count(&mut open);
        let room = tiers.iter().map(|tier| tier.room(&open)).collect();
        rooms.push((taken_from(event), room));
    }
    let went_astray = |event: &&Event| {
        let What::Opened { pod, begun } = &event.what else {
            return false;
        };
        let tier = tiers.iter().position(|tier| tier.has(pod)).unwrap_or(0);
        let since = begun.saturating_sub(lasting);
        let since = rooms.partition_point(|(at, _)| *at < since);
        let until = rooms.partition_point(|(at, _)| *at <= event.at);
        // What was true before the first event in that time, too.
        let meanwhile = &rooms[since.saturating_sub(1)..until];
        (0..tier).any(|nearer| meanwhile.iter().all(|(_, rooms)| rooms[nearer] > 0))
    };
    let all = recording.events.iter().filter(went_astray);
    all.map(|event| event.at).collect()
}

/// New connections within a stretch of time, by tier.
pub fn new_per_tier(
    recording: &Recording,
    tiers: &[Tier],
    within: std::ops::Range<Duration>,
) -> Vec<usize> {
    let mut new = vec![0; tiers.len()];
    for Event { at, what } in &recording.events {
        if let What::Opened { pod, .. } = what
            && within.contains(at)
            && let Some(tier) = tiers.iter().position(|tier| tier.has(pod))
        {
            new[tier] += 1;
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::super::recording::tests::{at, closed, opened};
    use super::*;

    fn tiers() -> [Tier; 2] {
        ["near", "far"].map(|name| Tier {
            name: name.to_owned(),
            pods: vec![format!("{name}-1"), format!("{name}-2")],
            budget: 2,
        })
    }

    fn recording(events: impl IntoIterator<Item = Event>) -> Recording {
        let events = events.into_iter().collect();
        Recording { events }
    }

    #[test]
    fn a_far_connection_is_astray_only_while_a_near_pod_has_room() {
        let near_is_full = [1, 2].map(|time| opened(time, "near-1")).into_iter();
        let near_is_full = near_is_full.chain([3, 4].map(|time| opened(time, "near-2")));
        let then = [
            opened(5, "far-1"),
            closed(6, "near-2"),
            opened(7, "far-1"),
            opened(8, "near-2"),
        ];
        let recording = recording(near_is_full.chain(then));
        let astray_at = |lasting| astray(&recording, &tiers(), lasting);
        assert_eq!(astray_at(Duration::ZERO), [Duration::from_millis(700)]);
        // The room had been there for a tenth of a second only.
        assert_eq!(astray_at(Duration::from_millis(200)), []);
        let seconds = Duration::ZERO..Duration::from_secs(1);
        assert_eq!(new_per_tier(&recording, &tiers(), seconds), [5, 2]);
    }

    #[test]
    fn room_that_comes_while_a_client_connects_blames_nobody() {
        let mut events: Vec<_> = [1, 2].map(|time| opened(time, "near-1")).into();
        events.extend([1, 2].map(|time| opened(time, "near-2")));
        events.sort_by_key(|event| event.at);
        events.push(closed(4, "near-1"));
        let (pod, begun) = ("far-1".to_owned(), Duration::from_millis(300));
        events.push(at(5, What::Opened { pod, begun }));
        assert_eq!(astray(&recording(events), &tiers(), Duration::ZERO), []);
    }

    #[test]
    fn who_connects_at_the_same_time_may_have_been_first() {
        let begun = |at_tenths, begun_tenths: u64, pod: &str| {
            let begun = Duration::from_millis(begun_tenths * 100);
            at(
                at_tenths,
                What::Opened {
                    pod: pod.to_owned(),
                    begun,
                },
            )
        };
        let near_has_one_left = [
            opened(1, "near-1"),
            opened(1, "near-1"),
            opened(2, "near-2"),
        ];
        let two = [begun(5, 4, "far-1"), begun(6, 4, "near-2")];
        let recording = recording(near_has_one_left.into_iter().chain(two));
        assert_eq!(astray(&recording, &tiers(), Duration::ZERO), []);
    }

    #[test]
    fn a_pod_is_overloaded_only_while_a_farther_one_has_room() {
        let three_near = [1, 2, 3].map(|time| opened(time, "near-1"));
        let overload = first_overload(&recording(three_near.clone()), &tiers(), 120);
        assert_eq!(
            overload.map(|it| (it.pod, it.open)),
            Some(("near-1".into(), 3))
        );
        assert_eq!(first_overload(&recording(three_near), &tiers(), 150), None);
        let far_is_full = ["far-1", "far-1", "far-2", "far-2"].map(|pod| opened(0, pod));
        let three_near = [1, 2, 3].map(|time| opened(time, "near-1"));
        let all = recording(far_is_full.into_iter().chain(three_near));
        assert_eq!(first_overload(&all, &tiers(), 120), None);
    }
}
