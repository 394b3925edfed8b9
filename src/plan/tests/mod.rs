mod categorize;
mod external;
mod levels;
mod mixed;
mod own;
mod schedulers;
mod words;

use super::*;
use crate::model::example::*;
use crate::model::{Conditions, Endpoint, Level, Protocol, Service};

fn here() -> Here {
    Here {
        node: "a1".into(),
        zone: Some("a".into()),
        ..Here::default()
    }
}

fn plan_of(service: &Service, slices: &[EndpointSlice]) -> PortPlan {
    let slices: Vec<&EndpointSlice> = slices.iter().collect();
    let plan = plan(service, &slices, &here());
    assert_eq!(plan.len(), 1, "one service port");
    plan.into_values().next().expect("one service port")
}

/// The real servers of the first virtual server as (address, level), by address.
fn reals(plan: &PortPlan) -> Vec<(String, Level)> {
    let mut reals: Vec<(String, Level)> = plan.servers[0]
        .reals
        .iter()
        .map(|real| (real.ip.to_string(), real.level))
        .collect();
    reals.sort();
    reals
}

fn addresses(plan: &PortPlan) -> Vec<String> {
    reals(plan)
        .into_iter()
        .map(|(address, _)| address)
        .collect()
}

#[test]
fn an_endpoint_weighs_by_how_near_it_is() {
    let slices = [slice(
        "web-1",
        "web",
        vec![
            endpoint("10.1.1.5", "a1", "a"),
            endpoint("10.1.2.5", "a2", "a"),
            endpoint("10.1.3.5", "b1", "b"),
        ],
    )];
    let plan = plan_of(&service("web", &["10.96.0.10"]), &slices);
    assert_eq!(
        reals(&plan),
        [
            ("10.1.1.5".into(), Level::Node),
            ("10.1.2.5".into(), Level::Zone),
            ("10.1.3.5".into(), Level::Cluster),
        ]
    );
    let mut weights: Vec<u32> = plan.servers[0]
        .reals
        .iter()
        .map(|real| real.weight)
        .collect();
    weights.sort_unstable();
    assert_eq!(weights, [10, 30, 100]);
}

#[test]
fn an_endpoint_of_unknown_place_is_elsewhere_in_the_cluster() {
    let mut lost = endpoint("10.1.9.5", "", "");
    lost.node = None;
    lost.zone = None;
    let plan = plan_of(
        &service("web", &["10.96.0.10"]),
        &[slice("web-1", "web", vec![lost.clone()])],
    );
    assert_eq!(reals(&plan), [("10.1.9.5".into(), Level::Cluster)]);

    let without_zone = Here {
        zone: None,
        ..here()
    };
    let slices = [slice("web-1", "web", vec![lost])];
    let plan = super::plan(
        &service("web", &["10.96.0.10"]),
        &slices.each_ref(),
        &without_zone,
    );
    let port = plan.values().next().expect("one service port");
    assert_eq!(
        reals(port)[0].1,
        Level::Cluster,
        "two missing zones are not the same zone"
    );
}

#[test]
fn endpoints_that_are_not_ready_get_no_connections() {
    let mut unready = endpoint("10.1.2.5", "a2", "a");
    unready.conditions = UNREADY;
    let slices = [slice(
        "web-1",
        "web",
        vec![endpoint("10.1.1.5", "a1", "a"), unready],
    )];
    assert_eq!(
        addresses(&plan_of(&service("web", &["10.96.0.10"]), &slices)),
        ["10.1.1.5"]
    );
}

#[test]
fn terminating_endpoints_serve_only_while_none_is_ready() {
    let mut leaving = endpoint("10.1.2.5", "a2", "a");
    leaving.conditions = TERMINATING;
    let mut dead = endpoint("10.1.3.5", "b1", "b");
    dead.conditions = UNREADY;
    let web = service("web", &["10.96.0.10"]);

    let ready = endpoint("10.1.1.5", "a1", "a");
    let all = [slice(
        "web-1",
        "web",
        vec![ready, leaving.clone(), dead.clone()],
    )];
    assert_eq!(addresses(&plan_of(&web, &all)), ["10.1.1.5"]);
    let none_ready = [slice("web-1", "web", vec![leaving, dead])];
    assert_eq!(addresses(&plan_of(&web, &none_ready)), ["10.1.2.5"]);
}

#[test]
fn an_address_that_occurs_twice_counts_once_and_a_terminating_twin_does_not_hide_it() {
    let ready = endpoint("10.1.2.5", "a2", "a");
    let mut leaving = ready.clone();
    leaving.conditions = TERMINATING;
    let web = service("web", &["10.96.0.10"]);
    for (first, second) in [(ready.clone(), leaving.clone()), (leaving, ready)] {
        let slices = [
            slice("web-1", "web", vec![first]),
            slice("web-2", "web", vec![second]),
        ];
        assert_eq!(addresses(&plan_of(&web, &slices)), ["10.1.2.5"]);
    }
}

#[test]
fn endpoints_come_from_all_slices_and_may_differ_in_their_ports() {
    let mut other = slice("web-2", "web", vec![endpoint("10.1.2.5", "a2", "a")]);
    other.ports[0].port = port(9090);
    let slices = [
        slice("web-1", "web", vec![endpoint("10.1.1.5", "a1", "a")]),
        other,
    ];
    let plan = plan_of(&service("web", &["10.96.0.10"]), &slices);
    let mut targets: Vec<String> = plan.servers[0]
        .reals
        .iter()
        .map(|real| format!("{}:{}", real.ip, real.port))
        .collect();
    targets.sort();
    assert_eq!(targets, ["10.1.1.5:8080", "10.1.2.5:9090"]);
}

#[test]
fn a_port_is_matched_by_name_and_protocol() {
    let mut dns = service("dns", &["10.96.0.10"]);
    dns.ports = vec![
        service_port("dns", Protocol::Udp, 53),
        service_port("dns-tcp", Protocol::Tcp, 53),
        service_port("metrics", Protocol::Tcp, 9153),
    ];
    let mut endpoints = slice("dns-1", "dns", vec![endpoint("10.1.1.5", "a1", "a")]);
    endpoints.ports[0].name = "dns".into();
    endpoints.ports[0].protocol = Protocol::Udp;
    let plan = plan(&dns, &[&endpoints], &here());
    let served: Vec<String> = plan
        .iter()
        .filter(|(_, port)| port.servers.iter().any(|server| !server.reals.is_empty()))
        .map(|(id, _)| id.to_string())
        .collect();
    assert_eq!(served, ["default/dns:dns/UDP"]);
    assert_eq!(
        plan.len(),
        3,
        "a service port without endpoints is planned too"
    );
}

#[test]
fn each_family_has_a_virtual_server_of_its_own() {
    let slices = [
        slice("web-4", "web", vec![endpoint("10.1.1.5", "a1", "a")]),
        slice("web-6", "web", vec![endpoint("fd00:1::5", "a1", "a")]),
    ];
    let plan = plan_of(&service("web", &["10.96.0.10", "fd00:96::10"]), &slices);
    let servers: Vec<(Family, usize)> = plan
        .servers
        .iter()
        .map(|server| (server.family, server.reals.len()))
        .collect();
    assert_eq!(servers, [(Family::V4, 1), (Family::V6, 1)]);

    let single = plan_of(&service("web", &["10.96.0.10"]), &slices);
    assert_eq!(
        single.servers.len(),
        1,
        "a family without a ClusterIP is not served"
    );
}

#[test]
fn a_node_port_leads_to_the_same_virtual_server_in_every_family_of_the_service() {
    let mut web = service("web", &["10.96.0.10", "fd00:96::10"]);
    web.ports[0].node_port = Some(port(30080));
    let plan = plan_of(&web, &[]);
    assert_eq!(
        plan.frontends,
        [
            Frontend::Address(ip("10.96.0.10"), port(80)),
            Frontend::Address(ip("fd00:96::10"), port(80)),
            Frontend::NodePort(Family::V4, port(30080)),
            Frontend::NodePort(Family::V6, port(30080)),
        ]
    );
    assert_eq!(plan.servers.len(), 2);
}

#[test]
fn nodes_start_their_rounds_at_different_endpoints() {
    let endpoints: Vec<_> = (1..=20)
        .map(|n| endpoint(&format!("10.1.1.{n}"), "other", "other"))
        .collect();
    let slices = [slice("web-1", "web", endpoints)];
    let web = service("web", &["10.96.0.10"]);
    let first_on = |node: &str| {
        let here = Here {
            node: node.into(),
            ..here()
        };
        let plan = super::plan(&web, &slices.each_ref(), &here);
        plan.values().next().expect("one service port").servers[0].reals[0].ip
    };
    let firsts: std::collections::BTreeSet<_> =
        (0..10).map(|n| first_on(&format!("node-{n}"))).collect();
    assert!(
        firsts.len() > 3,
        "ten nodes share the first endpoints {firsts:?}"
    );
    assert_eq!(
        first_on("node-1"),
        first_on("node-1"),
        "the order is steady on one node"
    );
}

#[test]
fn of_two_listings_of_one_address_the_ready_one_counts_whichever_comes_last() {
    let ready = endpoint("10.1.2.5", "a2", "a");
    let mut stale = ready.clone();
    stale.conditions = UNREADY;
    let web = service("web", &["10.96.0.10"]);
    for (first, second) in [(ready.clone(), stale.clone()), (stale, ready)] {
        let slices = [
            slice("web-1", "web", vec![first]),
            slice("web-2", "web", vec![second]),
        ];
        assert_eq!(addresses(&plan_of(&web, &slices)), ["10.1.2.5"]);
    }
}
