use serde_json::{Value, json};

use super::*;

fn parse(spec: &Value) -> (Option<Service>, Vec<String>) {
    parse_object(json!({"metadata": {"namespace": "default", "name": "web"}, "spec": spec}))
}

fn parse_object(object: Value) -> (Option<Service>, Vec<String>) {
    let object = serde_json::from_value(object).unwrap();
    let (service, problems) = service(object, &mut Names::default());
    (
        service,
        problems.into_iter().map(|problem| problem.field).collect(),
    )
}

/// The Service that a sound object becomes.
fn sound(spec: &Value) -> Service {
    let (service, problems) = parse(spec);
    assert_eq!(problems, Vec::<String>::new());
    service.unwrap()
}

fn ips(service: &Service) -> Vec<String> {
    service
        .cluster_ips
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_service_is_read_with_kubernetes_defaults() {
    let service = sound(&json!({
        "type": "NodePort",
        "clusterIP": "10.96.0.10",
        "clusterIPs": ["10.96.0.10", "fd00::a"],
        "ipFamilies": ["IPv4", "IPv6"],
        "sessionAffinity": "None",
        "ports": [
            {"name": "http", "port": 80, "nodePort": 30080},
            {"name": "dns", "protocol": "UDP", "port": 53, "nodePort": 0},
        ],
    }));
    assert_eq!(service.id, ServiceId::new("default", "web"));
    assert_eq!(ips(&service), ["10.96.0.10", "fd00::a"]);
    assert_eq!(service.affinity_seconds, None);
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| {
            (
                &*port.name,
                port.protocol,
                port.port.get(),
                port.node_port.map(u16::from),
            )
        })
        .collect();
    assert_eq!(
        ports,
        [
            ("http", Protocol::Tcp, 80, Some(30080)),
            ("dns", Protocol::Udp, 53, None)
        ]
    );
}

#[test]
fn services_of_others_are_left_out_without_a_word() {
    for spec in [
        json!({"type": "ExternalName", "clusterIP": "10.96.0.1", "externalName": "example.com"}),
        json!({"clusterIP": "None", "clusterIPs": ["None"]}),
        json!({"clusterIP": ""}),
        json!({}),
    ] {
        assert_eq!(parse(&spec), (None, vec![]), "{spec}");
    }
    let labels = json!({"service.kubernetes.io/service-proxy-name": ""});
    let object = json!({"metadata": {"labels": labels}, "spec": {"clusterIP": "10.96.0.1"}});
    assert_eq!(parse_object(object), (None, vec![]));
}

#[test]
fn objects_older_than_dual_stack_have_one_address() {
    let service = sound(&json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
    assert_eq!(ips(&service), ["10.96.0.1"]);
    assert_eq!(&*service.ports[0].name, "");
}

#[test]
fn a_bad_address_is_left_out_and_the_other_serves() {
    for (ips_given, families, kept, problem) in [
        (
            json!(["10.96.0", "fd00::1"]),
            json!(["IPv4", "IPv6"]),
            "fd00::1",
            "spec.clusterIPs[0]",
        ),
        (
            json!(["10.96.0.1", 7]),
            json!(null),
            "10.96.0.1",
            "spec.clusterIPs[1]",
        ),
        (
            json!(["10.96.0.1", "10.96.0.2"]),
            json!([]),
            "10.96.0.1",
            "spec.clusterIPs[1]",
        ),
        (
            json!(["10.96.0.1", "10.9.0.2"]),
            json!(["IPv4", "IPv6"]),
            "10.96.0.1",
            "spec.clusterIPs[1]",
        ),
        (
            json!(["127.0.0.1", "fd00::1"]),
            json!(null),
            "fd00::1",
            "spec.clusterIPs[0]",
        ),
        (
            json!(["10.96.0.1", "ff0e::1"]),
            json!(["IPv4", "IPv6"]),
            "10.96.0.1",
            "spec.clusterIPs[1]",
        ),
        (
            json!(["10.96.0.1"]),
            json!(["IPX"]),
            "10.96.0.1",
            "spec.ipFamilies[0]",
        ),
    ] {
        let (service, problems) = parse(&json!({"clusterIPs": ips_given, "ipFamilies": families}));
        assert_eq!(ips(&service.unwrap()), [kept]);
        assert_eq!(problems, [problem]);
    }
}

#[test]
fn a_bad_port_is_left_out_and_the_others_serve() {
    for (port, problem) in [
        (json!({"name": "x", "port": 0}), "spec.ports[0].port"),
        (json!({"name": "x"}), "spec.ports[0].port"),
        (json!({"name": "x", "port": 65536}), "spec.ports[0].port"),
        (json!({"name": "x", "port": -1}), "spec.ports[0].port"),
        (json!({"name": "x", "port": "http"}), "spec.ports[0].port"),
        (
            json!({"name": "x", "port": 80, "protocol": "ICMP"}),
            "spec.ports[0].protocol",
        ),
        (json!("http"), "spec.ports[0]"),
    ] {
        let ports = json!([port, {"name": "good", "port": 443}]);
        let (service, problems) = parse(&json!({"clusterIP": "10.96.0.1", "ports": ports}));
        let names: Vec<_> = service
            .unwrap()
            .ports
            .iter()
            .map(|port| port.name.to_string())
            .collect();
        assert_eq!(names, ["good"], "{port}");
        assert_eq!(problems, [problem], "{port}");
    }
}

#[test]
fn a_bad_node_port_costs_only_the_node_port() {
    let ports = json!([{"port": 80, "nodePort": 70000}]);
    let (service, problems) = parse(&json!({"clusterIP": "10.96.0.1", "ports": ports}));
    assert_eq!(service.unwrap().ports[0].node_port, None);
    assert_eq!(problems, ["spec.ports[0].nodePort"]);
}

#[test]
fn ports_are_told_apart_by_name_and_protocol() {
    let ports = json!([
        {"name": "dns", "port": 53},
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns", "port": 54},
    ]);
    let (service, problems) = parse(&json!({"clusterIP": "10.96.0.1", "ports": ports}));
    assert_eq!(service.unwrap().ports.len(), 2);
    assert_eq!(problems, ["spec.ports[2].name"]);
}

#[test]
fn affinity_lasts_as_long_as_the_object_says() {
    let timeout = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    for (affinity, config, seconds, problems) in [
        (json!("ClientIP"), json!(null), Some(10_800), vec![]),
        (
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 60}}),
            Some(60),
            vec![],
        ),
        (
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 86400}}),
            Some(86_400),
            vec![],
        ),
        (
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 86401}}),
            Some(10_800),
            vec![timeout],
        ),
        (
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 0}}),
            Some(10_800),
            vec![timeout],
        ),
        (
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": "1h"}}),
            Some(10_800),
            vec![timeout],
        ),
        (
            json!("None"),
            json!({"clientIP": {"timeoutSeconds": 60}}),
            None,
            vec![],
        ),
        (
            json!("Cookie"),
            json!(null),
            None,
            vec!["spec.sessionAffinity"],
        ),
    ] {
        let (service, found) = parse(&json!({
            "clusterIP": "10.96.0.1",
            "sessionAffinity": affinity,
            "sessionAffinityConfig": config,
        }));
        assert_eq!(
            service.unwrap().affinity_seconds,
            seconds,
            "{affinity} {config}"
        );
        assert_eq!(found, problems, "{affinity} {config}");
    }
}

#[test]
fn an_address_that_the_node_needs_itself_is_not_taken_from_it() {
    for ip in ["0.0.0.0", "127.0.0.1", "169.254.20.10", "224.0.0.1", "::1"] {
        let (service, problems) = parse(&json!({"clusterIP": ip, "ports": [{"port": 80}]}));
        assert_eq!(service, None, "{ip}");
        assert_eq!(problems, ["spec.clusterIPs[0]"], "{ip}");
    }
}

#[test]
fn annotations_tune_a_service() {
    let (service, problems) = parse_object(json!({
        "metadata": {"namespace": "default", "name": "web", "annotations": {
            "spillway.io/routing": "spill",
            "spillway.io/global": "yes",
        }},
        "spec": {"clusterIP": "10.96.0.1"},
    }));
    let service = service.unwrap();
    assert_eq!(
        service.tuning.routing.get(),
        Some(&crate::model::Mode::Spill)
    );
    assert_eq!(service.global, crate::model::Said::Invalid);
    assert_eq!(problems, ["metadata.annotations[spillway.io/global]"]);
}
