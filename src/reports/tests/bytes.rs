use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::super::body::*;
use super::super::seal::*;
use super::*;
use crate::capacity::{Hosts, Place, Report, Summary};

const SECRET: &str = "0123456789abcdef";
const NOW: u64 = 1_767_225_600_000_000;

fn keys(text: &str) -> Keys {
    Keys::parse(text).expect("keys")
}

fn sealer(text: &str) -> Sealer {
    Sealer::new(name(1), keys(text))
}

fn open_sealer() -> Sealer {
    Sealer::new(name(1), Keys::default())
}

fn place() -> impl Strategy<Value = Place> {
    (0.0_f32..1e6, 0.0_f32..1e6).prop_map(|(demand, room)| Place {
        demand: demand.into(),
        room: room.into(),
    })
}

fn hosts() -> impl Strategy<Value = Hosts> {
    let listed = vec((any::<u32>(), 1..=u8::MAX), 0..50).prop_map(|of| (32, of));
    let folded = (1..=10_u32).prop_flat_map(|bits| {
        vec((0..(1_u32 << bits), 1..=u8::MAX), 0..50).prop_map(move |of| (bits, of))
    });
    prop_oneof![listed, folded].prop_map(|(bits, of)| {
        let mut hosts = Hosts::by(bits);
        for (prefix, steps) in of {
            hosts.note(prefix, Hosts::step(steps));
        }
        hosts
    })
}

prop_compose! {
    fn summary()(
        nodes in any::<u32>(),
        demand in 0.0_f32..1e6,
        hosts in hosts(),
        zones in btree_map(any::<u32>(), place(), 0..16),
        cluster in place(),
    ) -> Summary {
        Summary { nodes, demand: demand.into(), hosts, zones, cluster }
    }
}

prop_compose! {
    fn entry()(key in any::<u64>(), demand in 0.0_f32..1e9, capacity in any::<u32>()) -> Entry {
        Entry { key, demand, capacity }
    }
}

proptest! {
    #[test]
    fn no_input_panics(bytes in vec(any::<u8>(), 0..1_300)) {
        let _ = open_sealer().open(&bytes, NOW);
        let _ = sealer(SECRET).open(&bytes, NOW);
        let _ = read_report(&bytes);
        let _ = read_summaries(&bytes);
    }

    #[test]
    fn no_body_panics_in_the_exchange(
        kind in 0..4_u8,
        body in vec(any::<u8>(), 0..200),
    ) {
        let mut exchange = Exchange::new(name(0), Keys::default());
        exchange.peers(peers(0..2));
        let bytes = open_sealer().seal(kind, NOW, &body);
        let now = moment(Instant::now(), Duration::ZERO);
        let _ = exchange.on_datagram(address(1), &bytes, now);
        let _ = exchange.tick(now);
    }

    #[test]
    fn reports_are_read_as_they_were_written(
        zone in proptest::option::of("[a-z]{1,63}"),
        entries in vec(entry(), 0..20),
    ) {
        let mut body = Vec::new();
        write_zone(zone.as_deref(), &mut body);
        for entry in &entries {
            let before = body.len();
            write_entry(*entry, &mut body);
            prop_assert_eq!(body.len() - before, ENTRY);
        }
        prop_assert_eq!(read_report(&body), Some((zone.as_deref(), entries)));
        body.pop();
        prop_assert!(read_report(&body).is_none() || body.len() < ENTRY);
    }

    #[test]
    fn summaries_are_read_as_they_were_written(
        summaries in vec((any::<u64>(), summary()), 0..4),
    ) {
        let mut body = Vec::new();
        for (key, summary) in &summaries {
            write_summary(*key, summary, &mut body);
        }
        prop_assert_eq!(read_summaries(&body), Some(summaries));
        if body.pop().is_some() {
            prop_assert_eq!(read_summaries(&body), None);
        }
    }

    #[test]
    fn a_summary_of_any_cluster_fits_into_a_datagram(
        nodes in 1..6_000_usize,
        zones in 1..40_usize,
        long in any::<bool>(),
    ) {
        let node: Arc<str> = if long { "n".repeat(253).into() } else { name(1) };
        let space = Sealer::new(node, keys(SECRET)).space();
        let reports: Vec<(Report, u32)> = (0..nodes)
            .map(|node| {
                let report = Report {
                    node: name(node),
                    zone: Some(format!("z{}", node % zones).into()),
                    demand: 5.0,
                };
                (report, 10)
            })
            .collect();
        let summary = Summary::of_hosts(&reports, coarse(zones.min(nodes), space));
        let mut body = Vec::new();
        write_summary(1, &summary, &mut body);
        prop_assert!(body.len() <= space, "{} of {space}", body.len());
        prop_assert_eq!(read_summaries(&body).map(|summaries| summaries.len()), Some(1));
    }
}

#[test]
fn a_demand_that_is_no_number_or_negative_is_no_message() {
    for wrong in [f32::NAN, f32::INFINITY, -1.0] {
        let entry = Entry {
            key: 1,
            demand: wrong,
            capacity: 1,
        };
        let mut body = Vec::new();
        write_zone(None, &mut body);
        write_entry(entry, &mut body);
        assert_eq!(read_report(&body), None, "{wrong}");
    }
}

#[test]
fn what_was_sealed_opens_with_any_of_the_keys() {
    let sender = sealer(SECRET);
    let bytes = sender.seal(7, NOW, b"body");
    for keys in [SECRET, "another-secret-key\n0123456789abcdef\n"] {
        let opened = sealer(keys).open(&bytes, NOW + 29_000_000).expect("sealed");
        let parts = (opened.kind, opened.stamp, opened.node, opened.body);
        assert_eq!(parts, (7, NOW, "n1", &b"body"[..]));
    }
    // Who has no key yet cannot tell, and goes by the address.
    assert!(open_sealer().open(&bytes, NOW).is_ok());
}

#[test]
fn what_was_changed_unsealed_or_recorded_is_not_taken() {
    let receiver = sealer(SECRET);
    let bytes = receiver.seal(7, NOW, b"body");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(receiver.open(&changed, NOW).is_err(), "byte {at}");
    }
    let unsealed = open_sealer().seal(7, NOW, b"body");
    assert_eq!(receiver.open(&unsealed, NOW), Err(Rejected::Unsealed));
    let other = sealer("another-secret-key").seal(7, NOW, b"body");
    assert_eq!(receiver.open(&other, NOW), Err(Rejected::Unsealed));
    for late in [NOW + 30_000_001, NOW - 30_000_001] {
        assert_eq!(receiver.open(&bytes, late), Err(Rejected::Stale));
    }
}

#[test]
fn keys_that_could_be_guessed_are_none() {
    for text in ["", "\n\n", "short", "0123456789abcdef\nshort"] {
        assert!(Keys::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn stamps_of_one_sender_only_grow() {
    let mut sealer = open_sealer();
    assert_eq!([5, 5, 3, 9].map(|now| sealer.stamp(now)), [5, 6, 7, 9]);
}

#[test]
fn a_sender_whose_clock_is_set_back_far_is_heard_again_at_once() {
    const HOUR: u64 = 3_600_000_000;
    let mut sender = sealer("0123456789abcdef");
    let others = sealer("0123456789abcdef");
    sender.stamp(2 * HOUR);
    let stamp = sender.stamp(HOUR);
    let datagram = sender.seal(1, stamp, b"");
    assert!(others.open(&datagram, HOUR).is_ok());
    assert_eq!(sender.stamp(HOUR - 1), stamp + 1, "a little is no matter");
}

#[test]
fn the_layout_of_a_datagram_never_changes() {
    let mut body = Vec::new();
    write_zone(Some("a"), &mut body);
    let entry = Entry {
        key: 0x0102_0304_0506_0708,
        demand: 1.5,
        capacity: 9,
    };
    write_entry(entry, &mut body);
    let bytes = open_sealer().seal(REPORT, 1, &body);
    let wanted = [
        &[1, 1, 0][..],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[2, b'n', b'1'],
        &[1, b'a'],
        &[1, 2, 3, 4, 5, 6, 7, 8, 0x3f, 0xc0, 0, 0, 0, 0, 0, 9],
    ]
    .concat();
    assert_eq!(bytes, wanted);

    let mut hosts = Hosts::default();
    hosts.note(0x0a0b_0c0d, 1.0);
    let summary = Summary {
        nodes: 3,
        demand: 1.5,
        hosts,
        zones: BTreeMap::from([(
            7,
            Place {
                demand: 0.0,
                room: 1.5,
            },
        )]),
        cluster: Place::default(),
    };
    let mut body = Vec::new();
    write_summary(2, &summary, &mut body);
    let wanted = [
        &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0x3f, 0xc0, 0, 0][..],
        &[0; 8],
        &[1, 0, 0, 0, 7, 0, 0, 0, 0, 0x3f, 0xc0, 0, 0],
        &[32, 0, 1, 10, 11, 12, 13, 255],
    ]
    .concat();
    assert_eq!(body, wanted);
}
