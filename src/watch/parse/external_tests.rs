//! Through a whole Service, since that is how it is read.

use serde_json::{Value, json};

use super::*;
use crate::model::example::{ip, port};
use crate::watch::names::Names;
use crate::watch::parse::service;

/// What a Service with an address and these fields says to the outside, and the fields that are
/// complained of.
fn read(spec: &Value, status: &Value) -> (Option<External>, Vec<String>) {
    let mut whole = json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let object = json!({"metadata": {"name": "web"}, "spec": whole, "status": status});
    let (service, problems) = service(
        serde_json::from_value(object).unwrap(),
        &mut Names::default(),
    );
    let external = service.unwrap().external.map(|external| *external);
    let fields = problems.into_iter().map(|problem| problem.field);
    (external, fields.collect())
}

fn sound(spec: &Value, status: &Value) -> Option<External> {
    let (external, problems) = read(spec, status);
    assert_eq!(problems, Vec::<String>::new());
    external
}

fn ingress(entries: &Value) -> Value {
    json!({"loadBalancer": {"ingress": entries}})
}

#[test]
fn a_service_for_the_cluster_alone_has_nothing_to_say() {
    for spec in [
        json!({}),
        json!({"type": "NodePort"}),
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Cluster", "healthCheckNodePort": 0}),
    ] {
        assert_eq!(sound(&spec, &json!({})), None, "{spec}");
    }
}

#[test]
fn everything_about_a_load_balancer_is_read() {
    let spec = json!({
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "externalIPs": ["203.0.113.250", "2001:db8::250"],
        "loadBalancerSourceRanges": [" 198.51.100.7/24 ", "2001:db8:1::/48"],
        "healthCheckNodePort": 31000,
    });
    let entries = json!([{"ip": "203.0.113.1"}, {"ip": "2001:db8::1", "ipMode": "VIP"}]);
    let wanted = External {
        policy: TrafficPolicy::Local,
        ips: vec![ip("203.0.113.250"), ip("2001:db8::250")],
        balancers: vec![ip("203.0.113.1"), ip("2001:db8::1")],
        sources: vec![
            "198.51.100.0/24".parse().unwrap(),
            "2001:db8:1::/48".parse().unwrap(),
        ],
        health_port: Some(port(31000)),
    };
    assert_eq!(sound(&spec, &ingress(&entries)), Some(wanted));
}

#[test]
fn a_load_balancer_that_is_a_proxy_or_has_a_name_only_is_nothing_to_a_node() {
    let entries = json!([
        {"ip": "203.0.113.1", "ipMode": "Proxy"},
        {"hostname": "lb.example.com"},
    ]);
    assert_eq!(
        sound(&json!({"type": "LoadBalancer"}), &ingress(&entries)),
        None
    );
}

#[test]
fn only_load_balancers_with_a_local_policy_have_a_health_check_node_port() {
    for (kind, policy, given, wanted) in [
        ("LoadBalancer", "Local", 31_000, Some(31_000)),
        ("LoadBalancer", "Cluster", 31_000, None),
        ("NodePort", "Local", 31_000, None),
        ("LoadBalancer", "Local", 0, None),
    ] {
        let spec = json!({
            "type": kind,
            "externalTrafficPolicy": policy,
            "healthCheckNodePort": given,
        });
        let found = sound(&spec, &json!({})).and_then(|external| external.health_port);
        assert_eq!(found, wanted.map(port), "{kind} {policy} {given}");
    }
    let spec = json!({
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 70_000,
    });
    assert_eq!(read(&spec, &json!({})).1, ["spec.healthCheckNodePort"]);
}

#[test]
fn the_policy_counts_only_where_there_is_a_way_in() {
    let policy = |kind: &str, ips: Value| {
        let spec = json!({"type": kind, "externalTrafficPolicy": "Local", "externalIPs": ips});
        sound(&spec, &json!({})).map(|external| external.policy)
    };
    let local = Some(TrafficPolicy::Local);
    assert_eq!(policy("LoadBalancer", json!([])), local);
    assert_eq!(policy("NodePort", json!([])), local);
    assert_eq!(policy("ClusterIP", json!(["203.0.113.1"])), local);
    assert_eq!(policy("ClusterIP", json!([])), None);
}

#[test]
fn what_makes_no_sense_is_left_out_and_named() {
    let spec = json!({
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Near",
        "externalIPs": ["127.0.0.1", "203.0.113.1", "203.0.113.1"],
        "loadBalancerSourceRanges": ["anywhere", "198.51.100.0/24"],
    });
    let (external, problems) = read(&spec, &ingress(&json!([{"ip": "224.0.0.1"}])));
    let external = external.unwrap();
    assert_eq!(external.policy, TrafficPolicy::Cluster);
    assert_eq!(external.ips, [ip("203.0.113.1")]);
    assert_eq!(external.balancers, Vec::<IpAddr>::new());
    assert_eq!(external.sources, ["198.51.100.0/24".parse().unwrap()]);
    assert_eq!(
        problems,
        [
            "spec.externalIPs[0]",
            "spec.externalTrafficPolicy",
            "status.loadBalancer.ingress[0]",
            "spec.loadBalancerSourceRanges[0]",
        ]
    );
}

#[test]
fn a_restriction_of_which_nothing_can_be_read_lets_nobody_in() {
    for ranges in [json!(["anywhere"]), json!("198.51.100.0/24")] {
        let spec = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges});
        let (external, problems) = read(&spec, &json!({}));
        let sources = external.unwrap().sources;
        assert_eq!(
            sources,
            ["0.0.0.0/32".parse().unwrap(), "::/128".parse().unwrap()]
        );
        assert_eq!(problems.len(), 1);
    }
}
