//! Which scheduler serves, and what it can do.

use std::num::NonZeroU32;

use super::levels::{near_to_far, ranks, remote, server, spill, web, weight};
use super::*;
use crate::model::{Remote, RemoteUse, Said, Scheduler};

#[test]
fn a_round_of_wrr_stays_short_whatever_the_weights() {
    let web = web(|tuning| {
        let weight = |value| crate::model::Weight::new(value).expect("a weight");
        tuning.weights = Said::Valid(vec![
            (Level::Node, weight(65_535)),
            (Level::Cluster, weight(1)),
        ]);
    });
    let far = (0..1_000)
        .map(|n| endpoint(&format!("10.9.{}.{}", n / 250, n % 250 + 1), "b1", "b"))
        .chain([endpoint("10.1.1.5", "a1", "a")])
        .collect();
    let server = server(&web, &[slice("web-1", "web", far)]);
    let most = server.reals.iter().map(|real| real.weight).max();
    let steps = u64::from(most.unwrap_or(0)) * server.reals.len() as u64;
    assert!(steps <= 250_000, "{steps} steps in a round");
}

#[test]
fn clients_with_affinity_that_are_new_find_the_levels_of_everybody() {
    let plain = web(spill(25));
    let mut sticky = plain.clone();
    sticky.affinity_seconds = Some(60);
    let without = server(&plain, &[near_to_far()]);
    let with = server(&sticky, &[near_to_far()]);
    assert!(with.has_capacity());
    assert_eq!(with.affinity.map(NonZeroU32::get), Some(60));
    let affinity = None;
    assert_eq!(VirtualServer { affinity, ..with }, without);
}

#[test]
fn connections_of_clients_that_would_come_back_to_the_same_endpoint_are_not_ended() {
    let mut sticky = web(|tuning| {
        spill(25)(tuning);
        tuning.drain_back = Said::Valid(true);
    });
    assert!(server(&sticky, &[near_to_far()]).drain_back);
    sticky.affinity_seconds = Some(60);
    assert!(!server(&sticky, &[near_to_far()]).drain_back);
}

#[test]
fn affinity_gives_way_to_capacity_only_if_asked_to_and_then_it_hashes() {
    let mut sticky = web(spill(25));
    sticky.affinity_seconds = Some(60);
    sticky.tuning.affinity_yield = Said::Valid(true);
    let yielding = server(&sticky, &[near_to_far()]);
    assert_eq!(yielding.scheduler, Scheduler::MaglevHash);
    assert_eq!(yielding.affinity, None, "the scheduler sees to it");
    assert!(yielding.has_capacity());
    assert!(weight(&yielding, "10.1.1.5") >= 8 * weight(&yielding, "10.1.2.5"));
}

#[test]
fn affinity_leaves_everything_else_as_it_is_without_capacity() {
    for yields in [false, true] {
        for scheduler in [None, Some(Scheduler::MaglevHash)] {
            let mut plain = web(|tuning| {
                tuning.affinity_yield = Said::Valid(yields);
                tuning.scheduler = scheduler.map_or(Said::Nothing, Said::Valid);
            });
            let without = server(&plain, &[near_to_far()]);
            plain.affinity_seconds = Some(60);
            let with = server(&plain, &[near_to_far()]);
            assert_eq!(with.affinity.map(NonZeroU32::get), Some(60));
            let affinity = None;
            assert_eq!(VirtualServer { affinity, ..with }, without);
        }
    }
}

#[test]
fn a_scheduler_by_name_is_taken_and_ladders_are_only_for_those_that_know_them() {
    let named = |scheduler| {
        let web = web(|tuning| {
            spill(25)(tuning);
            tuning.scheduler = Said::Valid(scheduler);
        });
        server(&web, &[near_to_far()])
    };
    let lc = named(Scheduler::LeastConnection);
    assert_eq!(
        (lc.scheduler, lc.style),
        (Scheduler::LeastConnection, Style::Share)
    );
    assert_eq!(
        named(Scheduler::WeightedLeastConnection).style,
        Style::Ladder
    );
}

#[test]
fn a_scheduler_that_knows_no_ladders_leaves_a_fallback_alone_while_anything_else_is_there() {
    let named = |scheduler| {
        web(|tuning| {
            spill(25)(tuning);
            tuning.scheduler = Said::Valid(scheduler);
            tuning.remote = Said::Valid(Remote {
                when: RemoteUse::Fallback,
                order: vec!["west".into()],
            });
        })
    };
    let (west, north) = (remote("west", "10.2.1.5"), remote("north", "10.3.1.5"));
    for scheduler in [
        Scheduler::RoundRobin,
        Scheduler::LeastConnection,
        Scheduler::WeightedRoundRobin,
    ] {
        let web = named(scheduler);
        let near = server(&web, &[near_to_far(), west.clone(), north.clone()]);
        assert_eq!(near.style, Style::Share);
        assert_eq!(near.reals.len(), 3, "{scheduler}");
        assert!(near.reals.iter().all(|real| real.level != Level::Remote));
        let far = server(&web, &[north.clone(), west.clone()]);
        assert_eq!(ranks(&far), [(0, "10.2.1.5".into())], "one after the other");
    }
    let ladder = server(
        &named(Scheduler::WeightedLeastConnection),
        &[near_to_far(), west],
    );
    assert_eq!(ladder.reals.len(), 4);
}

#[test]
fn for_udp_a_scheduler_that_counts_active_connections_alone_is_wlc() {
    let over = |protocol, scheduler| {
        let mut web = web(|tuning| tuning.scheduler = Said::Valid(scheduler));
        web.ports = vec![service_port("http", protocol, 53)];
        server(&web, &[]).scheduler
    };
    for scheduler in [
        Scheduler::ShortestExpectedDelay,
        Scheduler::NeverQueue,
        Scheduler::Overflow,
    ] {
        assert_eq!(over(Protocol::Tcp, scheduler), scheduler);
        let udp = over(Protocol::Udp, scheduler);
        assert_eq!(udp, Scheduler::WeightedLeastConnection);
    }
    let rr = Scheduler::RoundRobin;
    assert_eq!(over(Protocol::Udp, rr), rr);
}

#[test]
fn by_hash_few_farther_endpoints_have_turns() {
    let mut sticky = web(spill(25));
    sticky.affinity_seconds = Some(60);
    sticky.tuning.affinity_yield = Said::Valid(true);
    let many = |third: u8, node: &str, zone: &str, count: u8| {
        let one = |n| endpoint(&format!("10.1.{third}.{n}"), node, zone);
        (1..=count).map(one).collect::<Vec<_>>()
    };
    let turns = |near: u8| {
        let mut all = many(1, "a1", "a", near);
        all.extend(many(2, "a2", "a", 100));
        all.extend(many(3, "b1", "b", 100));
        let server = server(&sticky, &[slice("web-1", "web", all)]);
        assert_eq!(server.scheduler, Scheduler::MaglevHash);
        let of = |near: bool| -> u32 {
            let reals = server.reals.iter();
            let reals = reals.filter(|real| (real.rank == 0) == near);
            reals.map(|real| real.weight).sum()
        };
        (of(true), of(false))
    };
    assert_eq!(turns(1), (63, 4 * 2 + 4));
    assert_eq!(turns(4), (4 * 63, 4 * 2 + 4));
    assert_eq!(turns(40), (40 * 63, 40 * 2 + 40));
}

#[test]
fn the_usual_scheduler_is_wlc_for_udp_too_if_it_counts_active_connections_alone() {
    let here = Here {
        scheduler: Scheduler::NeverQueue,
        ..here()
    };
    let mut web = web(|_| {});
    web.ports = [Protocol::Tcp, Protocol::Udp]
        .map(|protocol| service_port("dns", protocol, 53))
        .into();
    let slices = near_to_far();
    let plan = plan(&web, &[&slices], &here);
    let schedulers = plan.iter().flat_map(|(id, ports)| {
        let servers = ports.servers.iter();
        servers.map(move |server| (id.port.protocol, server.scheduler))
    });
    let schedulers: Vec<_> = schedulers.collect();
    assert_eq!(
        schedulers,
        [
            (Protocol::Tcp, Scheduler::NeverQueue),
            (Protocol::Udp, Scheduler::WeightedLeastConnection),
        ]
    );
}

#[test]
fn to_ovf_weights_are_no_bound_and_nearer_ones_weigh_more() {
    let web = web(|tuning| tuning.scheduler = Said::Valid(Scheduler::Overflow));
    let server = server(&web, &[near_to_far()]);
    assert!(server.reals.iter().all(|real| real.weight > 1_000_000));
    assert!(weight(&server, "10.1.1.5") > weight(&server, "10.1.2.5"));
}
