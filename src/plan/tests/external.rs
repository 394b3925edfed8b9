//! Where clients from outside of the cluster find a Service.

use super::*;
use crate::model::{EndpointSet, External, Said, TrafficPolicy};

fn external(fill: impl FnOnce(&mut External)) -> Service {
    let mut web = service("web", &["10.96.0.10"]);
    web.ports[0].node_port = Some(port(30080));
    let mut external = External {
        balancers: vec![ip("203.0.113.1")],
        ..External::default()
    };
    fill(&mut external);
    web.external = Some(Box::new(external));
    web
}

fn set(plan: &ServicePlan, set: EndpointSet) -> Option<&PortPlan> {
    let mut sets = plan.iter();
    sets.find_map(|(id, plan)| (id.set == set).then_some(plan))
}

fn frontends(plan: &ServicePlan, which: EndpointSet) -> Vec<String> {
    let frontends = set(plan, which)
        .into_iter()
        .flat_map(|plan| &plan.frontends);
    frontends.map(Frontend::to_string).collect()
}

fn near_and_far() -> EndpointSlice {
    let near = endpoint("10.1.1.5", "a1", "a");
    slice("web-1", "web", vec![near, endpoint("10.1.3.5", "b1", "b")])
}

#[test]
fn under_policy_cluster_all_addresses_lead_to_all_endpoints() {
    let web = external(|it| it.ips = vec![ip("203.0.113.250"), ip("203.0.113.1")]);
    let plan = plan(&web, &[&near_and_far()], &here());
    assert_eq!(
        frontends(&plan, EndpointSet::All),
        [
            "10.96.0.10:80",
            "203.0.113.1:80",
            "203.0.113.250:80",
            "*:30080"
        ]
    );
    let all = set(&plan, EndpointSet::All).expect("all");
    assert_eq!(all.external, [ip("203.0.113.1"), ip("203.0.113.250")]);
    assert_eq!(plan.len(), 1);
}

#[test]
fn while_external_ips_are_not_allowed_they_mean_nothing() {
    let web = external(|it| it.ips = vec![ip("203.0.113.250")]);
    let here = Here {
        without_external_ips: true,
        ..here()
    };
    let plan = plan(&web, &[&near_and_far()], &here);
    assert_eq!(
        frontends(&plan, EndpointSet::All),
        ["10.96.0.10:80", "203.0.113.1:80", "*:30080"]
    );
    let all = set(&plan, EndpointSet::All).expect("all");
    assert_eq!(all.external, [ip("203.0.113.1")]);
}

#[test]
fn a_family_that_the_node_does_not_have_is_left_out() {
    let web = external(|it| it.balancers.push(ip("2001:db8::1")));
    let web = Service {
        cluster_ips: vec![ip("10.96.0.10"), ip("fd00:96::a")],
        ..web
    };
    let here = Here {
        without_ipv6: true,
        ..here()
    };
    let plan = plan(&web, &[&near_and_far()], &here);
    assert_eq!(
        frontends(&plan, EndpointSet::All),
        ["10.96.0.10:80", "203.0.113.1:80", "*:30080"]
    );
    let all = set(&plan, EndpointSet::All).expect("all");
    assert_eq!(all.external, [ip("203.0.113.1")]);
    assert_eq!(all.servers.len(), 1);
}

#[test]
fn under_policy_local_clients_from_outside_get_the_endpoints_of_this_node() {
    let web = external(|it| it.policy = TrafficPolicy::Local);
    let plan = plan(&web, &[&near_and_far()], &here());
    assert_eq!(
        frontends(&plan, EndpointSet::All),
        ["10.96.0.10:80", "203.0.113.1:80", "*:30080"],
        "pods and the node itself are spared the way out and back in"
    );
    assert_eq!(
        frontends(&plan, EndpointSet::Local),
        ["203.0.113.1:80 from outside", "*:30080 from outside"]
    );
}

#[test]
fn under_internal_policy_local_only_the_cluster_ip_is_for_this_nodes_endpoints() {
    let mut web = external(|_| {});
    web.internal = TrafficPolicy::Local;
    let plan = plan(&web, &[&near_and_far()], &here());
    assert_eq!(frontends(&plan, EndpointSet::Local), ["10.96.0.10:80"]);
    assert_eq!(
        frontends(&plan, EndpointSet::All),
        ["203.0.113.1:80", "*:30080"]
    );
}

#[test]
fn without_node_ports_none_is_programmed() {
    let mut web = external(|it| it.policy = TrafficPolicy::Local);
    web.ports[0].node_port = None;
    let plan = plan(&web, &[&near_and_far()], &here());
    assert_eq!(
        frontends(&plan, EndpointSet::All),
        ["10.96.0.10:80", "203.0.113.1:80"]
    );
}

#[test]
fn addresses_of_a_family_that_the_service_does_not_have_are_nothing() {
    let web = external(|it| {
        it.policy = TrafficPolicy::Local;
        it.ips = vec![ip("2001:db8::250")];
        it.balancers = vec![ip("2001:db8::1")];
    });
    let single = plan(&web, &[&near_and_far()], &here());
    assert_eq!(
        frontends(&single, EndpointSet::All),
        ["10.96.0.10:80", "*:30080"]
    );
    let mut dual = web;
    dual.cluster_ips.push(ip("fd00:96::10"));
    let dual = plan(&dual, &[&near_and_far()], &here());
    let local = set(&dual, EndpointSet::Local).expect("a set");
    let families: Vec<Family> = local.servers.iter().map(|server| server.family).collect();
    assert_eq!(families, Family::ALL);
    assert_eq!(
        frontends(&dual, EndpointSet::Local),
        [
            "[2001:db8::1]:80 from outside",
            "[2001:db8::250]:80 from outside",
            "*:30080 from outside",
            "[*]:30080 from outside",
        ]
    );
}

/// A name, the ranges, and those that guard the address, if any do.
type Case<'a> = (&'a str, &'a [&'a str], Option<&'a [&'a str]>);

#[test]
fn source_ranges_guard_the_load_balancers_addresses_alone() {
    let networks = |list: &[&str]| -> Vec<_> {
        let list = list.iter();
        list.map(|text| text.parse().expect("a network")).collect()
    };
    let cases: [Case<'_>; 6] = [
        ("none", &[], None),
        ("one", &["198.51.100.0/24"], Some(&["198.51.100.0/24"])),
        (
            "some that overlap",
            &["198.51.100.0/24", "198.51.0.0/16", "192.0.2.0/24"],
            Some(&["192.0.2.0/24", "198.51.0.0/16"]),
        ),
        ("everybody", &["198.51.100.0/24", "0.0.0.0/0"], None),
        ("those of the other family", &["2001:db8::/32"], None),
        (
            "this node is in one: what it sends has the address itself as its source",
            &["192.168.0.0/24"],
            Some(&["192.168.0.0/24", "203.0.113.1/32"]),
        ),
    ];
    let here = Here {
        ips: vec![ip("192.168.0.7")],
        ..here()
    };
    for (name, sources, wanted) in cases {
        let web = external(|it| {
            it.ips = vec![ip("203.0.113.250")];
            it.sources = networks(sources);
        });
        let plan = plan(&web, &[&near_and_far()], &here);
        let guards = &set(&plan, EndpointSet::All).expect("all").guards;
        let wanted: Vec<Guard> = wanted
            .into_iter()
            .map(|sources| Guard {
                ip: ip("203.0.113.1"),
                port: port(80),
                sources: networks(sources),
            })
            .collect();
        assert_eq!(guards, &wanted, "{name}");
    }
}

#[test]
fn a_pod_that_gets_itself_does_so_within_the_endpoints_of_the_cluster_ip() {
    let levels = vec![Level::Own, Level::Node, Level::Cluster];
    let own = EndpointSet::Own(ip("10.1.1.5"));
    let mut web = external(|_| {});
    web.tuning.levels = Said::Valid(levels);
    let everywhere = plan(&web, &[&near_and_far()], &here());
    assert_eq!(
        frontends(&everywhere, own),
        [
            "10.96.0.10:80 from 10.1.1.5",
            "203.0.113.1:80 from 10.1.1.5"
        ]
    );
    web.internal = TrafficPolicy::Local;
    let local = plan(&web, &[&near_and_far()], &here());
    assert_eq!(frontends(&local, own), ["10.96.0.10:80 from 10.1.1.5"]);
}

#[test]
fn a_load_balancer_is_answered_at_its_address_at_the_health_check_node_port() {
    let web = external(|it| {
        it.policy = TrafficPolicy::Local;
        it.health_port = Some(port(31000));
        it.ips = vec![ip("203.0.113.250")];
        it.balancers = vec![ip("203.0.113.1")];
    });
    let plan = plan(&web, &[&near_and_far()], &here());
    let all = set(&plan, EndpointSet::All).expect("all");
    assert_eq!(all.probes, ["203.0.113.1:31000".parse().unwrap()]);
}
