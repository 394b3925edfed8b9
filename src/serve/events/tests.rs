//! Which Events are due when.

mod written;

use std::time::{Duration, Instant};

use super::pace::{Pace, fitting};
use super::write::fingerprint;
use super::*;
use crate::watch::ObjectName;

fn spill(reason: Reason, note: &str) -> Happening {
    Happening {
        subject: Subject::service(&ServiceId::new("shop", "web"), Some("u-1".into())),
        port: "http/TCP over IPv4".into(),
        reason,
        note: note.into(),
    }
}

fn named(object: &str, uid: &str) -> ObjectName {
    let (namespace, name) = object.split_once('/').unwrap_or(("", object));
    ObjectName {
        namespace: namespace.into(),
        name: name.into(),
        uid: uid.into(),
    }
}

fn bad(kind: &'static str, object: &str, key: &str) -> Happening {
    let problem = Problem {
        kind,
        object: named(object, ""),
        field: format!("metadata.annotations[spillway.io/{key}]"),
        wrong: "\"fast\" is no mode".into(),
        remedy: "write prefer, spill or balance",
    };
    Happening::of(&problem).unwrap()
}

/// A node whose turn comes at once.
fn first() -> Pace {
    let mut names = (0..).map(|number| format!("node-{number}"));
    let first = names.find(|name| fingerprint(&[name]) < u32::MAX / 1000);
    Pace::new(&first.unwrap())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reasons(due: &[Happening]) -> Vec<Reason> {
    due.iter().map(|happening| happening.reason).collect()
}

#[test]
fn only_annotations_of_ours_are_told() {
    let mut problem = Problem {
        kind: "Service",
        object: named("shop/web", "u-1"),
        field: "spec.ports[0].port".into(),
        wrong: "0 is no port".into(),
        remedy: "write 1 to 65535",
    };
    assert_eq!(Happening::of(&problem), None);
    problem.field = "metadata.annotations[spillway.io/routing]".into();
    let happening = Happening::of(&problem).unwrap();
    assert_eq!(&*happening.subject.namespace, "shop");
    assert!(happening.note.ends_with("0 is no port; write 1 to 65535"));
}

#[test]
fn a_spill_is_told_when_it_lasts_and_so_is_its_end() {
    let (mut pace, start) = (first(), Instant::now());
    pace.take(spill(Reason::Spilling, "a"), 3, start).unwrap();
    assert!(pace.due(start + seconds(4)).is_empty());
    assert_eq!(pace.next(), Some(start + seconds(5)));
    assert_eq!(reasons(&pace.due(start + seconds(5))), [Reason::Spilling]);
    let ended = start + seconds(60);
    pace.take(spill(Reason::SpillEnded, "b"), 3, ended).unwrap();
    assert_eq!(reasons(&pace.due(ended + seconds(5))), [Reason::SpillEnded]);
    assert_eq!(pace.next(), None);
}

#[test]
fn a_short_spill_is_not_told_at_all() {
    let (mut pace, start) = (first(), Instant::now());
    pace.take(spill(Reason::Spilling, "a"), 3, start).unwrap();
    pace.take(spill(Reason::SpillEnded, "b"), 3, start + seconds(2))
        .unwrap();
    assert_eq!(pace.next(), None);
    assert!(pace.due(start + seconds(60)).is_empty());
}

#[test]
fn a_short_pause_of_a_spill_is_not_told_either() {
    let mut late = Pace::new("node-17");
    let start = Instant::now();
    late.take(spill(Reason::Spilling, "a"), 5000, start)
        .unwrap();
    let told = start + seconds(250);
    assert_eq!(late.due(told).len(), 1);
    late.take(spill(Reason::SpillEnded, "b"), 5000, told)
        .unwrap();
    late.take(spill(Reason::Spilling, "c"), 5000, told).unwrap();
    assert_eq!(late.next(), None);
}

#[test]
fn saturation_is_told_after_a_spill() {
    let (mut pace, start) = (first(), Instant::now());
    pace.take(spill(Reason::Spilling, "a"), 3, start).unwrap();
    pace.due(start + seconds(5));
    pace.take(spill(Reason::Saturated, "b"), 3, start + seconds(6))
        .unwrap();
    assert_eq!(reasons(&pace.due(start + seconds(11))), [Reason::Saturated]);
}

#[test]
fn the_nodes_of_a_large_cluster_spread_their_requests() {
    let start = Instant::now();
    let mut at: Vec<u64> = (0..5000)
        .map(|number| {
            let mut pace = Pace::new(&format!("node-{number}"));
            let happening = bad("Service", "shop/web", "routing");
            pace.take(happening, 5000, start).unwrap();
            (pace.next().unwrap() - start).as_secs()
        })
        .collect();
    at.sort_unstable();
    assert!(at.last() <= Some(&250), "{:?}", at.last());
    let most = at.chunk_by(PartialEq::eq).map(<[u64]>::len).max();
    assert!(most <= Some(45), "{most:?} in one second");
}

#[test]
fn an_object_has_one_event_of_a_reason_in_half_a_minute() {
    let (mut pace, start) = (first(), Instant::now());
    let happening = || bad("Node", "east-1", "routing");
    pace.take(happening(), 3, start).unwrap();
    assert_eq!(pace.due(start).len(), 1);
    for second in 1..30 {
        let now = start + seconds(second);
        pace.take(happening(), 3, now).unwrap();
        assert!(pace.due(now).is_empty(), "{second}");
    }
    assert_eq!(pace.due(start + seconds(30)), [happening()]);
    assert_eq!(pace.next(), None);
}

#[test]
fn what_is_wrong_with_an_object_at_once_is_one_event() {
    let (mut pace, start) = (first(), Instant::now());
    for key in ["routing", "levels", "routing"] {
        pace.take(bad("Service", "shop/web", key), 3, start)
            .unwrap();
    }
    let due = pace.due(start + seconds(5));
    let notes: Vec<&str> = due.iter().flat_map(|one| one.note.lines()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn many_events_at_once_come_one_a_second() {
    let (mut pace, start) = (first(), Instant::now());
    for number in 0..100 {
        let object = format!("shop/web-{number}");
        pace.take(bad("Service", &object, "routing"), 3, start)
            .unwrap();
    }
    let start = start + seconds(5);
    assert_eq!(pace.due(start).len(), 20);
    let rest: usize = (1..=80)
        .map(|second| pace.due(start + seconds(second)).len())
        .inspect(|due| assert!(*due <= 2, "{due}"))
        .sum();
    assert_eq!(rest, 80);
}

#[test]
fn a_flood_is_turned_away() {
    let (mut pace, start) = (first(), Instant::now());
    let refused = (0..5000)
        .map(|number| bad("Service", &format!("shop/web-{number}"), "routing"))
        .filter(|happening| pace.take(happening.clone(), 3, start).is_err());
    assert_eq!(refused.count(), 5000 - 4096);
}

#[test]
fn a_note_is_cut_between_two_characters() {
    assert_eq!(fitting("short"), "short");
    let long = format!("{}ä", "x".repeat(1023));
    assert_eq!(fitting(&long).len(), 1023);
}
