use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;
use proptest::{option, sample};

use super::*;
use crate::model::RemoteUse;
use crate::model::example::ip;

fn means<T: Debug + PartialEq>(annotation: &Annotation<T>, text: &str, meaning: T) {
    assert_eq!((annotation.read)(text), Some(meaning), "{text:?}");
}

fn means_nothing<T: Debug + PartialEq>(annotation: &Annotation<T>, texts: &[&str]) {
    for text in texts {
        assert_eq!((annotation.read)(text), None, "{text:?}");
    }
}

fn weight(number: u16) -> Weight {
    Weight::new(number).unwrap()
}

fn connections(number: u32) -> Capacity {
    Capacity::Connections(NonZeroU32::new(number).unwrap())
}

#[test]
fn routing_is_one_of_three_words() {
    means(&ROUTING, "prefer", Mode::Prefer);
    means(&ROUTING, "spill", Mode::Spill);
    means(&ROUTING, " balance\n", Mode::Balance);
    means_nothing(&ROUTING, &["", "Spill", "spill,prefer"]);
}

#[test]
fn weights_name_some_levels() {
    means(
        &WEIGHTS,
        "node=100, zone = 30,cluster=10,remote=1",
        vec![
            (Level::Node, weight(100)),
            (Level::Zone, weight(30)),
            (Level::Cluster, weight(10)),
            (Level::Remote, weight(1)),
        ],
    );
    means(&WEIGHTS, "zone=65535", vec![(Level::Zone, weight(65_535))]);
    means_nothing(
        &WEIGHTS,
        &[
            "",
            "node",
            "node=",
            "node=0",
            "node=65536",
            "node=-1",
            "node=+1",
            "node=1.5",
            "rack=1",
            "node=1,",
            "node=1,node=1",
            "node=1;zone=2",
        ],
    );
}

#[test]
fn levels_are_an_order_and_a_choice() {
    means(&LEVELS, "node", vec![Level::Node]);
    means(&LEVELS, "remote, node", vec![Level::Remote, Level::Node]);
    means(&LEVELS, "self,node", vec![Level::Own, Level::Node]);
    // Most clients are no endpoint: without another level they would get nothing.
    means_nothing(&LEVELS, &["self", "node,self", "self,self,node"]);
    means_nothing(&LEVELS, &["", "rack", "node,,zone", "node,node", "Node"]);
}

#[test]
fn a_capacity_is_a_number_or_a_word() {
    means(&CAPACITY, "1", connections(1));
    means(&CAPACITY, "1000000", connections(Capacity::MOST));
    means(&CAPACITY, "unlimited", Capacity::Unlimited);
    means(&CAPACITY, "auto", Capacity::Auto);
    means_nothing(
        &CAPACITY,
        &[
            "",
            "0",
            "1000001",
            "99999999999",
            "-1",
            "+1",
            "1e3",
            "10.1.1.5=1",
        ],
    );
}

#[test]
fn the_capacity_of_a_slice_may_differ_by_address() {
    means(
        &SLICE_CAPACITY,
        "80",
        SliceCapacity {
            default: Some(connections(80)),
            of: vec![],
        },
    );
    means(
        &SLICE_CAPACITY,
        "10.1.1.6=50, 10.1.1.5=100, *=unlimited, ::ffff:10.1.1.4=auto",
        SliceCapacity {
            default: Some(Capacity::Unlimited),
            of: vec![
                (ip("10.1.1.4"), Capacity::Auto),
                (ip("10.1.1.5"), connections(100)),
                (ip("10.1.1.6"), connections(50)),
            ],
        },
    );
    means(
        &SLICE_CAPACITY,
        "fd00::5=7",
        SliceCapacity {
            default: None,
            of: vec![(ip("fd00::5"), connections(7))],
        },
    );
    means_nothing(
        &SLICE_CAPACITY,
        &[
            "",
            "80,90",
            "10.1.1.5=0",
            "10.1.1=1",
            "web-1=1",
            "10.1.1.5=1,10.1.1.5=1",
            "10.1.1.5=1,::ffff:10.1.1.5=1",
            "*=1,*=2",
            "10.1.1.5=1,80",
        ],
    );
}

#[test]
fn a_capacity_factor_has_at_most_two_decimal_places() {
    for (text, percent) in [
        ("0.5", 50),
        ("0.50", 50),
        ("2", 200),
        ("1.25", 125),
        ("0.01", 1),
        ("100", 10_000),
    ] {
        means(&CAPACITY_FACTOR, text, NonZeroU32::new(percent).unwrap());
    }
    means_nothing(
        &CAPACITY_FACTOR,
        &[
            "", ".", ".5", "2.", "0", "0.0", "0.001", "100.01", "-1", "1,5", "50%", "99999999",
        ],
    );
}

#[test]
fn remote_is_a_word_and_perhaps_an_order() {
    let remote = |when, order: &[&str]| Remote {
        when,
        order: order.iter().copied().map(Arc::from).collect(),
    };
    means(&REMOTE, "fallback", remote(RemoteUse::Fallback, &[]));
    means(&REMOTE, "never", remote(RemoteUse::Never, &[]));
    means(
        &REMOTE,
        "always: west, eu-1.example",
        remote(RemoteUse::Always, &["west", "eu-1.example"]),
    );
    let long = format!("always:{}", "a".repeat(128));
    means_nothing(
        &REMOTE,
        &[
            "",
            "b,c",
            "fallback:",
            "fallback:b,",
            "always:b,b",
            "always:B",
            "always:-b",
            &long,
        ],
    );
}

#[test]
fn every_scheduler_of_ipvs_can_be_named() {
    for scheduler in Scheduler::ALL {
        means(&SCHEDULER, scheduler.name(), scheduler);
        assert!(SCHEDULER.remedy.contains(scheduler.name()));
    }
    means_nothing(&SCHEDULER, &["", "ip_vs_rr", "twos"]);
}

#[test]
fn a_drain_names_levels_and_clusters() {
    let drain = |levels: &[Level], clusters: &[&str]| Evacuation {
        levels: levels.iter().copied().collect(),
        clusters: clusters.iter().copied().map(Arc::from).collect(),
    };
    means(&DRAIN, "", drain(&[], &[]));
    means(
        &DRAIN,
        "zone, cluster:b,cluster",
        drain(&[Level::Zone, Level::Cluster], &["b"]),
    );
    means_nothing(&DRAIN, &[",", "rack", "cluster:", "zone:b", "zone,"]);
}

#[test]
fn flags_and_reach_are_two_words_each() {
    for flag in [&SHED, &AFFINITY_YIELD, &GLOBAL] {
        means(flag, "true", true);
        means(flag, "false", false);
        means_nothing(flag, &["", "True", "1", "yes"]);
    }
    means(&REACH, "direct", Reach::Direct);
    means(&REACH, "host", Reach::Host);
    means_nothing(&REACH, &["", "gateway"]);
}

#[test]
fn a_remedy_names_just_what_an_object_can_have() {
    let all = [
        &COMMON[..],
        &[CAPACITY_FACTOR.name, DRAIN.name, GLOBAL.name, REACH.name],
    ]
    .concat();
    for bearer in [Bearer::Service, Bearer::Import, Bearer::Slice, Bearer::Node] {
        let (_, list) = bearer.remedy().split_once("can have ").unwrap();
        let mut named: Vec<_> = list
            .split(", ")
            .flat_map(|one| one.split(" and "))
            .collect();
        let mut known: Vec<_> = all
            .iter()
            .filter(|name| bearer.can_have(name))
            .filter_map(|name| name.strip_prefix(PREFIX))
            .collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known, "{bearer:?}");
    }
}

fn a_level() -> impl Strategy<Value = Level> {
    sample::select(&Level::USUAL[..])
}

fn a_capacity() -> impl Strategy<Value = Capacity> {
    prop_oneof![
        Just(Capacity::Unlimited),
        Just(Capacity::Auto),
        (1..=Capacity::MOST).prop_map(connections),
    ]
}

fn a_cluster() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]{1,4})?".prop_map(Arc::from)
}

/// How a person writes a capacity.
fn capacity_text(capacity: Capacity) -> String {
    match capacity {
        Capacity::Unlimited => "unlimited".into(),
        Capacity::Auto => "auto".into(),
        Capacity::Connections(number) => number.to_string(),
    }
}

fn list(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(",")
}

/// Texts that are nearly right, besides those of any kind.
fn a_text() -> impl Strategy<Value = String> {
    let word = sample::select(
        &[
            "node",
            "zone",
            "cluster",
            "remote",
            "cluster:",
            "fallback",
            "always:",
            "auto",
            "10.1.1.5",
            "fd00::1",
            "*",
            "=",
            ",",
            ":",
            ".",
            " ",
            "0",
            "1",
            "65536",
            "4294967296",
            "-",
            "é",
            "spill",
        ][..],
    );
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(word, 0..8).prop_map(|words| words.concat()),
    ]
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in a_text()) {
        let _ = (ROUTING.read)(&text);
        let _ = (CAPACITY.read)(&text);
        let _ = (CAPACITY_FACTOR.read)(&text);
        let _ = (SCHEDULER.read)(&text);
        let _ = (SHED.read)(&text);
        let _ = (REACH.read)(&text);
        if let Some(weights) = (WEIGHTS.read)(&text) {
            prop_assert!((1..=4).contains(&weights.len()));
        }
        if let Some(levels) = (LEVELS.read)(&text) {
            prop_assert!((1..=4).contains(&levels.len()));
        }
        if let Some(capacity) = (SLICE_CAPACITY.read)(&text) {
            prop_assert!(capacity.of.is_sorted_by(|(one, _), (other, _)| one < other));
        }
        let _ = (REMOTE.read)(&text);
        let _ = (DRAIN.read)(&text);
    }

    #[test]
    fn weights_and_levels_are_read_as_they_are_written(
        weights in btree_map(a_level(), any::<Weight>(), 1..=4),
        levels in btree_set(a_level(), 1..=4).prop_map(Vec::from_iter).prop_shuffle(),
    ) {
        let text = list(weights.iter().map(|(level, weight)| format!("{level}={weight}")));
        prop_assert_eq!((WEIGHTS.read)(&text), Some(weights.into_iter().collect()));
        let text = list(levels.iter().map(ToString::to_string));
        prop_assert_eq!((LEVELS.read)(&text), Some(levels));
    }

    #[test]
    fn capacities_are_read_as_they_are_written(
        capacity in a_capacity(),
        default in option::of(a_capacity()),
        of in btree_map(any::<IpAddr>().prop_map(|ip| ip.to_canonical()), a_capacity(), 1..5),
        percent in 1_u32..=10_000,
    ) {
        prop_assert_eq!((CAPACITY.read)(&capacity_text(capacity)), Some(capacity));
        prop_assert_eq!(capacity.to_string(), capacity_text(capacity));
        let parts = of.iter().map(|(ip, one)| format!("{ip}={}", capacity_text(*one)));
        let others = default.map(|one| format!("*={}", capacity_text(one)));
        let text = list(parts.chain(others));
        let of = of.into_iter().collect();
        prop_assert_eq!((SLICE_CAPACITY.read)(&text), Some(SliceCapacity { default, of }));
        let text = format!("{}.{:02}", percent / 100, percent % 100);
        prop_assert_eq!((CAPACITY_FACTOR.read)(&text), NonZeroU32::new(percent));
    }

    #[test]
    fn clusters_are_read_as_they_are_written(
        when in sample::select(&[
            ("fallback", RemoteUse::Fallback),
            ("always", RemoteUse::Always),
            ("never", RemoteUse::Never),
        ][..]),
        clusters in btree_set(a_cluster(), 0..4),
        levels in btree_set(a_level(), 0..4),
    ) {
        let order: Vec<_> = clusters.iter().cloned().collect();
        let colon = if order.is_empty() { "" } else { ":" };
        let text = format!("{}{colon}{}", when.0, order.join(","));
        let remote = Remote { when: when.1, order };
        prop_assert_eq!(remote.to_string(), text.as_str());
        prop_assert_eq!((REMOTE.read)(&text), Some(remote));
        let named = clusters.iter().map(|id| format!("cluster:{id}"));
        let text = list(levels.iter().map(ToString::to_string).chain(named));
        let drain = Evacuation { levels, clusters };
        prop_assert_eq!(drain.to_string(), text.as_str());
        prop_assert_eq!((DRAIN.read)(&text), Some(drain));
    }
}
