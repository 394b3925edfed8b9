use serde_json::{Value, json};

use super::*;

/// Parses a slice of Service `web` with the given fields on top.
fn parse(fields: Value) -> (Option<EndpointSlice>, Vec<String>) {
    let mut object = json!({
        "metadata": {
            "namespace": "default",
            "name": "web-1",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
    });
    let Value::Object(fields) = fields else {
        panic!("fields are a map")
    };
    for (name, value) in fields {
        object[name] = value;
    }
    let (slice, problems) = slice(
        serde_json::from_value(object).unwrap(),
        &mut Names::default(),
    );
    (
        slice,
        problems.into_iter().map(|problem| problem.field).collect(),
    )
}

fn endpoints(endpoints: &Value) -> (Vec<Endpoint>, Vec<String>) {
    let (slice, problems) = parse(json!({"endpoints": endpoints}));
    (slice.unwrap().endpoints, problems)
}

#[test]
fn a_slice_is_read_with_kubernetes_defaults() {
    let (slice, problems) = parse(json!({
        "ports": [{"name": "http", "port": 8080}, {"name": "", "port": 53, "protocol": "UDP"}],
        "endpoints": [
            {"addresses": ["10.1.0.5", "10.1.0.6"], "nodeName": "east-1", "zone": "a"},
            {"addresses": ["10.1.0.7"], "nodeName": "", "conditions": {"ready": null}},
        ],
    }));
    assert_eq!(problems, Vec::<String>::new());
    let slice = slice.unwrap();
    assert_eq!(slice.service, ServiceId::new("default", "web"));
    assert_eq!(slice.family, Family::V4);
    let ports: Vec<_> = slice
        .ports
        .iter()
        .map(|port| (&*port.name, port.protocol, port.port.get()))
        .collect();
    assert_eq!(
        ports,
        [("http", Protocol::Tcp, 8080), ("", Protocol::Udp, 53)]
    );
    let sound = Conditions {
        ready: true,
        serving: true,
        terminating: false,
    };
    let wanted = [
        Endpoint {
            ip: "10.1.0.5".parse().unwrap(),
            conditions: sound,
            node: Some("east-1".into()),
            zone: Some("a".into()),
            hints: None,
        },
        Endpoint {
            ip: "10.1.0.7".parse().unwrap(),
            conditions: sound,
            node: None,
            zone: None,
            hints: None,
        },
    ];
    assert_eq!(slice.endpoints, wanted);
}

#[test]
fn conditions_are_read_one_by_one() {
    for (conditions, wanted) in [
        (json!(null), [true, true, false]),
        (json!({"ready": false}), [false, true, false]),
        (
            json!({"ready": false, "serving": true, "terminating": true}),
            [false, true, true],
        ),
        (json!({"serving": false}), [true, false, false]),
    ] {
        let endpoint = json!([{"addresses": ["10.1.0.5"], "conditions": conditions}]);
        let (endpoints, problems) = endpoints(&endpoint);
        let found = endpoints[0].conditions;
        assert_eq!(
            [found.ready, found.serving, found.terminating],
            wanted,
            "{conditions}"
        );
        assert_eq!(problems, Vec::<String>::new());
    }
}

#[test]
fn slices_that_are_of_no_use_to_a_proxy_are_left_out() {
    let headless = json!({
        "service.kubernetes.io/headless": "",
        "kubernetes.io/service-name": "web",
    });
    for (fields, problems) in [
        (json!({"addressType": "FQDN"}), vec![]),
        (
            json!({"metadata": {"name": "web-1", "labels": headless}}),
            vec![],
        ),
        (json!({"addressType": "IPX"}), vec!["addressType"]),
        (json!({"addressType": null}), vec!["addressType"]),
        (
            json!({"metadata": {"name": "web-1"}}),
            vec!["metadata.labels"],
        ),
    ] {
        let (slice, found) = parse(fields.clone());
        assert_eq!(slice, None, "{fields}");
        assert_eq!(found, problems, "{fields}");
    }
}

#[test]
fn ports_without_name_or_number_are_ignored() {
    let ports = json!([
        {"port": 1},
        {"name": "a"},
        {"name": "c", "port": null},
        {"name": "good", "port": 8080},
    ]);
    let (slice, problems) = parse(json!({"ports": ports}));
    let ports = slice.unwrap().ports;
    assert_eq!(
        ports.iter().map(|port| &*port.name).collect::<Vec<_>>(),
        ["good"]
    );
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_bad_port_is_left_out_and_reported() {
    for (port, problem) in [
        (json!({"name": "x", "port": 65536}), "ports[0].port"),
        (json!({"name": "x", "port": 0}), "ports[0].port"),
        (
            json!({"name": "x", "port": 1, "protocol": "tcp"}),
            "ports[0].protocol",
        ),
        (json!({"name": 5, "port": 1}), "ports[0].name"),
    ] {
        let (slice, problems) = parse(json!({"ports": [port, {"name": "good", "port": 1}]}));
        assert_eq!(slice.unwrap().ports.len(), 1, "{port}");
        assert_eq!(problems, [problem], "{port}");
    }
}

#[test]
fn a_bad_endpoint_is_left_out_and_the_others_serve() {
    for (endpoint, problems) in [
        (
            json!({"addresses": ["10.1.0"]}),
            vec!["endpoints[0].addresses[0]"],
        ),
        (
            json!({"addresses": ["fd00::1"]}),
            vec!["endpoints[0].addresses[0]"],
        ),
        (
            json!({"addresses": ["127.0.0.1"]}),
            vec!["endpoints[0].addresses[0]"],
        ),
        (
            json!({"addresses": ["239.1.1.1"]}),
            vec!["endpoints[0].addresses[0]"],
        ),
        (
            json!({"addresses": "10.1.0.5"}),
            vec!["endpoints[0].addresses[0]"],
        ),
        (json!([]), vec!["endpoints[0]"]),
        (json!({"addresses": []}), vec![]),
        (json!({}), vec![]),
    ] {
        let (endpoints, found) = endpoints(&json!([endpoint, {"addresses": ["10.1.0.9"]}]));
        assert_eq!(endpoints.len(), 1, "{endpoint}");
        assert_eq!(found, problems, "{endpoint}");
    }
}

#[test]
fn a_bad_detail_costs_only_the_detail() {
    let (endpoints, problems) = endpoints(&json!([{
        "addresses": ["10.1.0.5"],
        "nodeName": ["east-1"],
        "zone": 7,
        "conditions": {"ready": "no", "serving": false},
    }]));
    assert_eq!(endpoints.len(), 1);
    assert_eq!((&endpoints[0].node, &endpoints[0].zone), (&None, &None));
    assert!(endpoints[0].conditions.ready && !endpoints[0].conditions.serving);
    assert_eq!(
        problems,
        [
            "endpoints[0].nodeName",
            "endpoints[0].zone",
            "endpoints[0].conditions.ready"
        ]
    );
}

#[test]
fn endpoints_share_the_names_of_their_nodes() {
    let endpoint = |ip| json!({"addresses": [ip], "nodeName": "east-1"});
    let (endpoints, _) = endpoints(&json!([endpoint("10.1.0.5"), endpoint("10.1.0.6")]));
    let [Some(a), Some(b)] = [&endpoints[0].node, &endpoints[1].node] else {
        panic!("both have a node")
    };
    assert!(std::sync::Arc::ptr_eq(a, b));
}

#[test]
fn null_lists_are_empty_lists() {
    let (slice, problems) = parse(json!({"ports": null, "endpoints": null}));
    let slice = slice.unwrap();
    assert!(slice.ports.is_empty() && slice.endpoints.is_empty());
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn an_address_that_nobody_can_reach_is_reported_with_its_kind() {
    for (family, ip, kind) in [
        ("IPv4", "0.0.0.0", "unspecified"),
        ("IPv4", "127.0.0.1", "loopback"),
        ("IPv4", "169.254.1.1", "link-local"),
        ("IPv4", "239.1.1.1", "multicast"),
        ("IPv6", "::1", "loopback"),
        ("IPv6", "fe80::1", "link-local"),
        ("IPv6", "ff0e::1", "multicast"),
    ] {
        let object = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": family,
            "endpoints": [{"addresses": [ip]}],
        }));
        let (slice, problems) = slice(object.unwrap(), &mut Names::default());
        assert_eq!(slice.unwrap().endpoints, []);
        let wrong: Vec<_> = problems.into_iter().map(|problem| problem.wrong).collect();
        assert_eq!(wrong, [format!("{ip} is a {kind} address")]);
    }
}

#[test]
fn a_slice_belongs_to_the_service_or_else_to_the_import_that_its_labels_name() {
    const SERVICE: (&str, &str) = (SERVICE_NAME, "web");
    const IMPORT: (&str, &str) = (IMPORT_NAME, "web");
    const CLUSTER: (&str, &str) = (SOURCE_CLUSTER, "b");
    let web = ServiceId::new("default", "web");
    for (labels, owner) in [
        (vec![SERVICE], Some((web.clone(), None))),
        (
            vec![IMPORT, CLUSTER],
            Some((web.clone().import(), Some("b"))),
        ),
        // A Service that stands for the import is served from slices with the labels of both.
        (vec![SERVICE, IMPORT, CLUSTER], Some((web, None))),
        (vec![IMPORT], None),
        (vec![IMPORT, (SOURCE_CLUSTER, "")], None),
        (vec![CLUSTER], None),
    ] {
        let labels: std::collections::BTreeMap<_, _> = labels.into_iter().collect();
        let metadata = json!({"namespace": "default", "name": "web-1", "labels": labels});
        let (slice, problems) = parse(json!({"metadata": metadata}));
        let missing = problems == ["metadata.labels"];
        assert_eq!(missing, owner.is_none(), "{labels:?}: {problems:?}");
        assert!(missing || problems.is_empty(), "{labels:?}: {problems:?}");
        let found = slice.map(|slice| (slice.service, slice.cluster));
        let owner = owner.map(|(service, cluster)| (service, cluster.map(Into::into)));
        assert_eq!(found, owner, "{labels:?}");
    }
}

#[test]
fn the_annotations_of_a_slice_say_how_much_its_endpoints_take_and_how_they_are_reached() {
    let metadata = json!({
        "namespace": "default",
        "name": "web-1",
        "labels": {"kubernetes.io/service-name": "web"},
        "annotations": {"spillway.io/capacity": "100", "spillway.io/reach": "tunnel"},
    });
    let (slice, problems) = parse(json!({"metadata": metadata}));
    let slice = slice.unwrap();
    assert!(slice.capacity.get().is_some());
    assert_eq!(slice.reach, crate::model::Said::Invalid);
    assert_eq!(problems, ["metadata.annotations[spillway.io/reach]"]);
}

#[test]
fn hints_are_read_and_empty_ones_are_none() {
    let hinted = |hints: Value| {
        let (endpoints, problems) =
            endpoints(&json!([{"addresses": ["10.1.0.5"], "hints": hints}]));
        (endpoints[0].hints.clone(), problems)
    };
    for nothing in [
        json!(null),
        json!({}),
        json!({"forZones": [], "forNodes": null}),
    ] {
        assert_eq!(hinted(nothing.clone()), (None, vec![]), "{nothing}");
    }
    let (hints, problems) = hinted(json!({
        "forNodes": [{"name": "east-1"}],
        "forZones": [{"name": "a"}, {"name": 7}, {"name": "b"}],
    }));
    let hints = *hints.unwrap();
    assert_eq!(hints.nodes, ["east-1".into()]);
    assert_eq!(hints.zones, ["a".into(), "b".into()]);
    assert_eq!(problems, ["endpoints[0].hints.forZones[1].name"]);
}
