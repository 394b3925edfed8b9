//! Given what people ask for, these endpoints are programmed in these ranks.

use std::num::NonZeroU32;

use super::*;
use crate::model::{
    Capacity, Evacuation, HostCapacity, Mode, Reach, Remote, RemoteUse, Said, Scheduler,
    SliceCapacity,
};

/// One endpoint on this node, one in its zone, one elsewhere.
pub(super) fn near_to_far() -> EndpointSlice {
    slice(
        "web-1",
        "web",
        vec![
            endpoint("10.1.1.5", "a1", "a"),
            endpoint("10.1.2.5", "a2", "a"),
            endpoint("10.1.3.5", "b1", "b"),
        ],
    )
}

/// One endpoint in another cluster.
pub(super) fn remote(cluster: &str, address: &str) -> EndpointSlice {
    EndpointSlice {
        cluster: Some(cluster.into()),
        ..slice(
            &format!("web-{cluster}"),
            "web",
            vec![endpoint(address, "x1", "a")],
        )
    }
}

pub(super) fn web(tune: impl FnOnce(&mut Tuning)) -> Service {
    let mut web = service("web", &["10.96.0.10"]);
    tune(&mut web.tuning);
    web
}

pub(super) fn connections(number: u32) -> Capacity {
    Capacity::Connections(NonZeroU32::new(number).expect("a capacity"))
}

pub(super) fn spill(capacity: u32) -> impl FnOnce(&mut Tuning) {
    move |tuning| {
        tuning.routing = Said::Valid(Mode::Spill);
        tuning.capacity = Said::Valid(connections(capacity));
    }
}

pub(super) fn server_on(here: &Here, service: &Service, slices: &[EndpointSlice]) -> VirtualServer {
    let slices: Vec<&EndpointSlice> = slices.iter().collect();
    let plan = super::plan(service, &slices, here);
    let port = plan.into_values().next().expect("one service port");
    port.servers.into_iter().next().expect("one virtual server")
}

pub(super) fn server(service: &Service, slices: &[EndpointSlice]) -> VirtualServer {
    server_on(&here(), service, slices)
}

/// The real servers as (rank, address), sorted.
pub(super) fn ranks(server: &VirtualServer) -> Vec<(u8, String)> {
    let mut ranks: Vec<_> = server
        .reals
        .iter()
        .map(|real| (real.rank, real.ip.to_string()))
        .collect();
    ranks.sort();
    ranks
}

pub(super) fn weight(server: &VirtualServer, address: &str) -> u32 {
    let real = server.reals.iter().find(|real| real.ip == ip(address));
    real.expect("programmed").weight
}

#[test]
fn a_service_that_spills_has_a_rank_for_each_level_and_weights_that_keep_them_apart() {
    let slices = [near_to_far(), remote("west", "10.2.1.5")];
    let server = server(&web(spill(25)), &slices);
    assert_eq!(
        (server.scheduler, server.style),
        (Scheduler::ShortestExpectedDelay, Style::Ladder)
    );
    assert_eq!(
        ranks(&server),
        [
            (0, "10.1.1.5".into()),
            (1, "10.1.2.5".into()),
            (2, "10.1.3.5".into()),
            (3, "10.2.1.5".into()),
        ]
    );
    for (near, far) in [
        ("10.1.1.5", "10.1.2.5"),
        ("10.1.2.5", "10.1.3.5"),
        ("10.1.3.5", "10.2.1.5"),
    ] {
        assert!(weight(&server, near) > 40 * weight(&server, far));
    }
}

#[test]
fn nothing_behind_a_level_that_is_never_full_is_programmed() {
    let unlimited = web(|tuning| tuning.routing = Said::Valid(Mode::Spill));
    let server = server(&unlimited, &[near_to_far(), remote("west", "10.2.1.5")]);
    assert_eq!(ranks(&server), [(0, "10.1.1.5".into())]);
    assert_eq!(server.scheduler, Scheduler::WeightedRoundRobin);
}

#[test]
fn udp_spills_by_counting_flows_and_over_few_far_endpoints() {
    let mut service = web(spill(25));
    service.ports = vec![service_port("http", Protocol::Udp, 53)];
    let mut far = slice(
        "web-2",
        "web",
        (1..=50)
            .map(|n| endpoint(&format!("10.1.3.{n}"), "b1", "b"))
            .collect(),
    );
    far.ports[0].protocol = Protocol::Udp;
    let mut near = slice("web-1", "web", vec![endpoint("10.1.1.5", "a1", "a")]);
    near.ports[0].protocol = Protocol::Udp;
    let server = server(&service, &[near, far]);
    assert_eq!(server.scheduler, Scheduler::WeightedLeastConnection);
    assert_eq!(server.reals.len(), 1 + 8);
}

#[test]
fn an_endpoint_of_twice_the_capacity_gets_twice_the_connections_of_its_level() {
    let slice = EndpointSlice {
        capacity: Said::Valid(SliceCapacity {
            default: Some(connections(50)),
            of: vec![(ip("10.1.1.6"), connections(100))],
        }),
        ..slice(
            "web-1",
            "web",
            vec![
                endpoint("10.1.1.5", "a1", "a"),
                endpoint("10.1.1.6", "a1", "a"),
            ],
        )
    };
    let server = server(&web(spill(7)), &[slice]);
    assert_eq!(weight(&server, "10.1.1.6"), 2 * weight(&server, "10.1.1.5"));
}

#[test]
fn a_slices_word_on_capacity_goes_before_the_services_and_that_before_the_nodes() {
    let capacity_at = |server: &VirtualServer, address: &str| {
        let real = server.reals.iter().find(|real| real.ip == ip(address));
        real.expect("programmed").capacity
    };
    let mut here = here();
    here.tuning.all.routing = Said::Valid(Mode::Balance);
    here.tuning.all.capacity = Said::Valid(connections(10));
    here.defaults.capacity = Said::Valid(connections(5));
    here.tuning.capacity_percent = Said::Valid(NonZeroU32::new(50).expect("half"));

    let silent = server_on(&here, &web(|_| {}), &[near_to_far()]);
    assert_eq!(
        capacity_at(&silent, "10.1.1.5"),
        connections(5),
        "half of 10"
    );
    assert_eq!(
        capacity_at(&silent, "10.1.2.5"),
        connections(5),
        "the file's: the node speaks for its own pods only"
    );
    let neighbour = HostCapacity {
        capacity: Some(connections(30)),
        percent: NonZeroU32::new(200),
    };
    here.neighbours.insert("a2".into(), neighbour);
    let silent = server_on(&here, &web(|_| {}), &[near_to_far()]);
    assert_eq!(
        capacity_at(&silent, "10.1.2.5"),
        connections(60),
        "twice what its node says"
    );
    here.neighbours.clear();

    let loud = web(|tuning| tuning.capacity = Said::Valid(connections(40)));
    let slices = [EndpointSlice {
        capacity: Said::Valid(SliceCapacity {
            default: None,
            of: vec![(ip("10.1.3.5"), connections(70))],
        }),
        ..near_to_far()
    }];
    let loud = server_on(&here, &loud, &slices);
    assert_eq!(
        capacity_at(&loud, "10.1.1.5"),
        connections(20),
        "half of 40"
    );
    assert_eq!(capacity_at(&loud, "10.1.2.5"), connections(40));
    assert_eq!(capacity_at(&loud, "10.1.3.5"), connections(70));
}

#[test]
fn other_clusters_are_a_fallback_unless_somebody_says_otherwise() {
    let slices = [near_to_far(), remote("west", "10.2.1.5")];
    let with = |when| {
        let web = web(|tuning| {
            let order = Vec::new();
            tuning.remote = Said::Valid(Remote { when, order });
        });
        server(&web, &slices).reals.len()
    };
    assert_eq!(with(RemoteUse::Fallback), 3);
    assert_eq!(with(RemoteUse::Always), 4);
    assert_eq!(with(RemoteUse::Never), 3);

    let gone = [remote("west", "10.2.1.5")];
    assert_eq!(server(&web(|_| {}), &gone).reals.len(), 1);
    let never = web(|tuning| {
        tuning.remote = Said::Valid(Remote {
            when: RemoteUse::Never,
            order: Vec::new(),
        });
    });
    assert_eq!(server(&never, &gone).reals.len(), 0);
}

#[test]
fn a_capacity_makes_mode_prefer_fall_back_to_other_clusters_when_it_is_full() {
    let slices = [near_to_far(), remote("west", "10.2.1.5")];
    let web = web(|tuning| tuning.capacity = Said::Valid(connections(25)));
    let full = server(&web, &slices);
    assert_eq!(full.style, Style::Ladder);
    assert_eq!(
        ranks(&full),
        [
            (0, "10.1.1.5".into()),
            (0, "10.1.2.5".into()),
            (0, "10.1.3.5".into()),
            (1, "10.2.1.5".into()),
        ]
    );
    assert_eq!(
        weight(&full, "10.1.1.5"),
        10 * weight(&full, "10.1.3.5"),
        "within the cluster by the weights of the levels"
    );
    assert_eq!(server(&web, &slices[..1]).style, Style::Share);
}

#[test]
fn clusters_are_filled_in_the_order_that_was_asked_for_and_the_others_last() {
    let slices = [
        remote("a", "10.2.1.5"),
        remote("b", "10.3.1.5"),
        remote("c", "10.4.1.5"),
        remote("d", "10.5.1.5"),
    ];
    let mut web = web(spill(25));
    web.tuning.remote = Said::Valid(Remote {
        when: RemoteUse::Fallback,
        order: vec!["c".into(), "b".into()],
    });
    assert_eq!(
        ranks(&server(&web, &slices)),
        [
            (0, "10.4.1.5".into()),
            (1, "10.3.1.5".into()),
            (2, "10.2.1.5".into()),
            (2, "10.5.1.5".into()),
        ]
    );
}

#[test]
fn what_this_cluster_exports_is_not_remote_to_it() {
    let here = Here {
        cluster: "east".into(),
        ..here()
    };
    let slices = [remote("east", "10.1.1.5"), remote("west", "10.2.1.5")];
    let server = server_on(&here, &web(spill(25)), &slices);
    let levels: Vec<Level> = server.reals.iter().map(|real| real.level).collect();
    assert!(levels.contains(&Level::Zone), "in zone a, as it says");
    assert!(levels.contains(&Level::Remote));
}

#[test]
fn an_address_of_another_cluster_does_not_hide_the_same_one_of_this_cluster() {
    let slices = [
        slice("web-1", "web", vec![endpoint("10.1.1.5", "a1", "a")]),
        remote("west", "10.1.1.5"),
    ];
    let server = server(&web(spill(25)), &slices);
    assert_eq!(server.reals.len(), 1);
    assert_eq!(server.reals[0].level, Level::Node);
}

#[test]
fn an_endpoint_belongs_to_the_nearest_level_that_is_named() {
    let levels = |levels: &[Level]| {
        let web = web(|tuning| {
            spill(25)(tuning);
            tuning.levels = Said::Valid(levels.to_vec());
        });
        ranks(&server(&web, &[near_to_far(), remote("west", "10.2.1.5")]))
    };
    assert_eq!(
        levels(&[Level::Node, Level::Cluster]),
        [
            (0, "10.1.1.5".into()),
            (1, "10.1.2.5".into()),
            (1, "10.1.3.5".into())
        ]
    );
    assert_eq!(levels(&[Level::Node]), [(0, "10.1.1.5".into())]);
    assert_eq!(
        levels(&[Level::Remote, Level::Cluster])[0],
        (0, "10.2.1.5".into()),
        "the order is the one that was asked for"
    );
}

#[test]
fn an_evacuated_level_gets_nothing_unless_nothing_else_serves() {
    let mut here = here();
    here.tuning.drain = Said::Valid(Evacuation {
        levels: [Level::Node].into(),
        clusters: ["west".into()].into(),
    });
    let all = [near_to_far(), remote("west", "10.2.1.5")];
    assert_eq!(
        ranks(&server_on(&here, &web(spill(25)), &all)),
        [(0, "10.1.2.5".into()), (1, "10.1.3.5".into())]
    );
    let only = [remote("west", "10.2.1.5")];
    assert_eq!(server_on(&here, &web(spill(25)), &only).reals.len(), 1);
}

#[test]
fn evenly_means_evenly() {
    let balance = web(|tuning| tuning.routing = Said::Valid(Mode::Balance));
    let server = server(&balance, &[near_to_far()]);
    assert!(server.reals.iter().all(|real| real.weight == 1));
}

#[test]
fn a_services_weights_replace_single_levels_of_the_nodes() {
    let mut here = here();
    let all = |value| crate::model::Weight::new(value).expect("a weight");
    here.tuning.all.weights = Said::Valid(vec![(Level::Zone, all(77))]);
    let server_of = |web: &Service| server_on(&here, web, &[near_to_far()]);
    assert_eq!(weight(&server_of(&web(|_| {})), "10.1.2.5"), 77);
    let own = web(|tuning| tuning.weights = Said::Valid(vec![(Level::Node, all(50))]));
    let server = server_of(&own);
    assert_eq!(weight(&server, "10.1.1.5"), 50);
    assert_eq!(
        weight(&server, "10.1.2.5"),
        30,
        "the Service's word replaces the node's as a whole"
    );
}

#[test]
fn other_clusters_have_a_rank_of_their_own_however_large_the_capacities_are() {
    for (capacity, expected) in [
        (1_000, [0, 1, 2, 3]),
        (30_000, [0, 1, 1, 2]),
        (1_000_000, [0, 0, 0, 1]),
    ] {
        let server = server(
            &web(spill(capacity)),
            &[near_to_far(), remote("west", "10.2.1.5")],
        );
        let ranks: Vec<u8> = ranks(&server).into_iter().map(|(rank, _)| rank).collect();
        assert_eq!(ranks, expected, "{capacity}");
    }
}

#[test]
fn hosts_of_other_clusters_see_this_node_as_their_client() {
    let mut hosts = remote("west", "172.16.2.1");
    hosts.reach = Said::Valid(Reach::Host);
    let plan = plan_of(&web(|_| {}), &[hosts]);
    assert_eq!(
        plan.masqueraded(),
        ["172.16.2.1:8080".parse().expect("an address")]
    );
}

#[test]
fn a_pod_on_this_node_may_be_its_own_client_whatever_its_level_is_called() {
    let web = web(|tuning| tuning.levels = Said::Valid(vec![Level::Cluster]));
    let plan = plan_of(&web, &[near_to_far()]);
    assert_eq!(plan.local_addresses(), [ip("10.1.1.5")]);
}
