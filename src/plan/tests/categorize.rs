//! Given these endpoints, hints and traffic policies, these serve: the cases of kube-proxy's
//! `TestCategorizeEndpoints` and of its tests of terminating endpoints.

use super::*;
use crate::model::{EndpointSet, External, Hints, TrafficPolicy};

/// The policies of a Service, and whether it can be found from outside.
#[derive(Clone, Copy)]
enum Kind {
    /// `ClusterIP` alone.
    Internal(TrafficPolicy),
    /// With a node port: the internal policy, then the external one.
    NodePort(TrafficPolicy, TrafficPolicy),
}

use Kind::{Internal, NodePort};
use TrafficPolicy::{Cluster, Local};

fn web(kind: Kind) -> Service {
    let mut web = service("web", &["10.96.0.10"]);
    match kind {
        Internal(internal) => web.internal = internal,
        NodePort(internal, policy) => {
            web.internal = internal;
            web.ports[0].node_port = Some(port(30080));
            web.external = Some(Box::new(External {
                policy,
                ..External::default()
            }));
        }
    }
    web
}

/// From `7 a1/a leaving nodes=a1 zones=a,b`: the last part of the address, the node and its zone,
/// and what else is to be said. Ready if not `unready`, `leaving` (still serving) or `dead` (not
/// any more).
fn written(text: &str) -> Endpoint {
    let mut words = text.split(' ');
    let number = words.next().expect("a number");
    let place = words.next().and_then(|word| word.split_once('/'));
    let (node, zone) = place.expect("a place");
    let mut found = endpoint(&format!("10.1.0.{number}"), node, zone);
    let mut hints = Hints::default();
    let names = |list: &str| list.split(',').map(Into::into).collect();
    for word in words {
        match word.split_once('=') {
            Some(("nodes", list)) => hints.nodes = names(list),
            Some(("zones", list)) => hints.zones = names(list),
            _ => {
                found.conditions = match word {
                    "unready" => UNREADY,
                    "leaving" => TERMINATING,
                    "dead" => Conditions {
                        serving: false,
                        ..TERMINATING
                    },
                    other => panic!("{other}?"),
                }
            }
        }
    }
    found.hints = (hints != Hints::default()).then(|| Box::new(hints));
    found
}

/// Which endpoints, by the last parts of their addresses, are in a set; none if there is no such
/// set.
fn numbers(plan: &ServicePlan, set: EndpointSet) -> Option<String> {
    let mut sets = plan.iter();
    let (_, plan) = sets.find(|(id, _)| id.set == set)?;
    let mut found: Vec<String> = addresses(plan);
    found.sort();
    let found = found.iter().filter_map(|ip| ip.rsplit('.').next());
    Some(found.collect::<Vec<_>>().join(" "))
}

/// A name, the Service's policies, its endpoints, which of them are in the set of all, and which in
/// that of this node.
type Case<'a> = (
    &'a str,
    Kind,
    &'a [&'a str],
    Option<&'a str>,
    Option<&'a str>,
);

fn check(here: &Here, cases: &[Case<'_>]) {
    for (name, kind, endpoints, all, local) in cases {
        let endpoints = endpoints.iter().map(|text| written(text)).collect();
        let slice = slice("web-1", "web", endpoints);
        let plan = plan(&web(*kind), &[&slice], here);
        let found = (
            numbers(&plan, EndpointSet::All),
            numbers(&plan, EndpointSet::Local),
        );
        let wanted = (all.map(String::from), local.map(String::from));
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn hints_for_zones() {
    let all_hinted = ["1 n1/a zones=a", "2 n2/b zones=b", "3 n3/c zones=c"];
    let cases: &[Case<'_>] = &[
        (
            "of this zone",
            Internal(Cluster),
            &all_hinted,
            Some("1"),
            None,
        ),
        (
            "one of several zones of an endpoint",
            Internal(Cluster),
            &["1 n1/a zones=a,b,c", "2 n2/b zones=b,c", "3 n3/c zones=b,a"],
            Some("1 3"),
            None,
        ),
        (
            "none for this zone",
            Internal(Cluster),
            &["1 n1/b zones=b", "2 n2/c zones=c"],
            Some("1 2"),
            None,
        ),
        (
            "missing at one endpoint",
            Internal(Cluster),
            &["1 n1/a zones=a", "2 n2/b", "3 n3/c zones=c"],
            Some("1 2 3"),
            None,
        ),
        (
            "missing at an endpoint that is not ready",
            Internal(Cluster),
            &["1 n1/a zones=a", "2 n2/b unready", "3 n3/c zones=c"],
            Some("1"),
            None,
        ),
        (
            "of endpoints that are not ready",
            Internal(Cluster),
            &["1 n1/a unready zones=a", "2 n2/b zones=b"],
            Some("2"),
            None,
        ),
        (
            "none ready: those that leave serve whatever their hints",
            Internal(Cluster),
            &["1 n1/a leaving zones=b", "2 n2/b leaving zones=a"],
            Some("1 2"),
            None,
        ),
        (
            "external policy Local: hints are for the others",
            NodePort(Cluster, Local),
            &["1 a1/a zones=b", "2 n2/b zones=a", "3 n3/c zones=b"],
            Some("2"),
            Some("1"),
        ),
        (
            "internal policy Local",
            Internal(Local),
            &["1 a1/a zones=b", "2 n2/b zones=a"],
            None,
            Some("1"),
        ),
    ];
    check(&here(), cases);
    let nowhere = Here {
        zone: None,
        ..here()
    };
    check(
        &nowhere,
        &[(
            "a node without zone",
            Internal(Cluster),
            &all_hinted,
            Some("1 2 3"),
            None,
        )],
    );
}

#[test]
fn hints_for_nodes() {
    check(
        &here(),
        &[
            (
                "of this node",
                Internal(Cluster),
                &[
                    "1 a1/a nodes=a1 zones=a",
                    "2 a2/a nodes=a2 zones=a",
                    "3 b1/b nodes=b1 zones=b",
                ],
                Some("1"),
                None,
            ),
            (
                "none for this node: those for its zone",
                Internal(Cluster),
                &["2 a2/a nodes=a2 zones=a", "3 b1/b nodes=b1 zones=b"],
                Some("2"),
                None,
            ),
            (
                "missing at one endpoint: those for its zone",
                Internal(Cluster),
                &[
                    "1 a1/a zones=a",
                    "2 a2/a nodes=a2 zones=a",
                    "3 b1/b nodes=b1 zones=b",
                ],
                Some("1 2"),
                None,
            ),
            (
                "neither for this node nor for its zone",
                Internal(Cluster),
                &["2 b2/b nodes=b2 zones=b", "3 b1/b nodes=b1 zones=b"],
                Some("2 3"),
                None,
            ),
        ],
    );
}

#[test]
fn traffic_policies() {
    let both = ["1 a1/a", "2 b1/b"];
    let far = ["2 b1/b"];
    check(
        &here(),
        &[
            ("Cluster", Internal(Cluster), &both, Some("1 2"), None),
            (
                "Cluster, node port",
                NodePort(Cluster, Cluster),
                &both,
                Some("1 2"),
                None,
            ),
            ("internal Local", Internal(Local), &both, None, Some("1")),
            (
                "internal Local, none here",
                Internal(Local),
                &far,
                None,
                Some(""),
            ),
            (
                "external Local",
                NodePort(Cluster, Local),
                &both,
                Some("1 2"),
                Some("1"),
            ),
            (
                "external Local, none here",
                NodePort(Cluster, Local),
                &far,
                Some("2"),
                Some(""),
            ),
            (
                "internal Local does not hold for the node port",
                NodePort(Local, Cluster),
                &both,
                Some("1 2"),
                Some("1"),
            ),
            (
                "both Local",
                NodePort(Local, Local),
                &both,
                Some("1 2"),
                Some("1"),
            ),
            (
                "both Local, none at all",
                NodePort(Local, Local),
                &[],
                Some(""),
                Some(""),
            ),
        ],
    );
}

#[test]
fn terminating_endpoints() {
    check(
        &here(),
        &[
            (
                "ready ones go before those that leave",
                NodePort(Cluster, Local),
                &["1 a1/a", "2 a1/a leaving", "3 b1/b", "4 b1/b leaving"],
                Some("1 3"),
                Some("1"),
            ),
            (
                "those that leave serve where none is ready",
                NodePort(Cluster, Local),
                &["1 a1/a leaving", "2 b1/b leaving", "3 b1/b dead"],
                Some("1 2"),
                Some("1"),
            ),
            (
                "under Local it does not matter that others are ready",
                NodePort(Cluster, Local),
                &["1 a1/a leaving", "2 a1/a dead", "3 b1/b"],
                Some("3"),
                Some("1"),
            ),
            (
                "under Cluster it does not matter that none here is ready",
                Internal(Cluster),
                &["1 a1/a leaving", "3 b1/b"],
                Some("3"),
                None,
            ),
            (
                "internal Local, too",
                Internal(Local),
                &["1 a1/a leaving", "3 b1/b"],
                None,
                Some("1"),
            ),
            (
                "those that do not answer never serve",
                NodePort(Local, Local),
                &["1 a1/a dead", "2 b1/b dead", "3 a1/a unready"],
                Some(""),
                Some(""),
            ),
        ],
    );
}

#[test]
fn without_an_endpoint_here_local_traffic_is_dropped_and_without_any_refused() {
    for (endpoints, wanted) in [
        (&["2 b1/b"][..], Unserved::Dropped),
        (&["2 b1/b leaving"], Unserved::Dropped),
        (&["2 b1/b dead"], Unserved::Refused),
        (&["2 b1/b unready"], Unserved::Refused),
        (&[], Unserved::Refused),
    ] {
        let listed = endpoints.iter().map(|text| written(text)).collect();
        let slice = slice("web-1", "web", listed);
        for kind in [Internal(Local), NodePort(Cluster, Local)] {
            let plan = plan(&web(kind), &[&slice], &here());
            for (id, plan) in &plan {
                let wanted = match id.set {
                    EndpointSet::Local => wanted,
                    _ => Unserved::Refused,
                };
                assert_eq!(plan.servers[0].unserved, wanted, "{endpoints:?} {id}");
            }
        }
    }
}

#[test]
fn under_policy_local_no_tuning_takes_the_endpoints_of_this_node_away() {
    let mut web = web(NodePort(Cluster, Local));
    web.tuning.levels = crate::model::Said::Valid(vec![Level::Cluster]);
    let slice = slice("web-1", "web", vec![written("1 a1/a"), written("2 b1/b")]);
    let mut here = here();
    here.tuning.drain = crate::model::Said::Valid(crate::model::Evacuation {
        levels: [Level::Cluster].into(),
        clusters: [].into(),
    });
    let plan = plan(&web, &[&slice], &here);
    assert_eq!(numbers(&plan, EndpointSet::Local).as_deref(), Some("1"));
}

#[test]
fn levels_hold_among_the_endpoints_that_are_meant_for_this_zone() {
    let mut web = web(Internal(Cluster));
    web.tuning.routing = crate::model::Said::Valid(crate::model::Mode::Spill);
    let endpoints = ["1 a1/a zones=a", "2 a2/a zones=a", "3 b1/b zones=b"];
    let slice = slice("web-1", "web", endpoints.map(written).into());
    let plan = plan(&web, &[&slice], &here());
    assert_eq!(numbers(&plan, EndpointSet::All).as_deref(), Some("1"));
}

#[test]
fn endpoints_of_other_clusters_need_no_hints() {
    let mut import = slice("web-2", "web", vec![written("9 w1/w")]);
    import.cluster = Some("west".into());
    let mut web = web(Internal(Cluster));
    web.tuning.remote = crate::model::Said::Valid(crate::model::Remote {
        when: crate::model::RemoteUse::Always,
        order: vec![],
    });
    let own = slice(
        "web-1",
        "web",
        ["1 a1/a zones=a", "3 b1/b zones=b"].map(written).into(),
    );
    let plan = plan(&web, &[&own, &import], &here());
    assert_eq!(numbers(&plan, EndpointSet::All).as_deref(), Some("1 9"));
}

#[test]
fn published_though_not_ready_is_ready_to_a_proxy() {
    let mut endpoint = written("1 b1/b leaving");
    endpoint.conditions.ready = true;
    let slice = slice("web-1", "web", vec![endpoint, written("2 b1/b")]);
    let plan = plan(&web(Internal(Cluster)), &[&slice], &here());
    assert_eq!(numbers(&plan, EndpointSet::All).as_deref(), Some("1 2"));
}

#[test]
fn an_address_that_passed_to_a_new_pod_is_the_new_pods() {
    let slices = ["1 b1/b leaving", "1 b1/b unready"].map(|text| vec![written(text)]);
    for order in [[0, 1], [1, 0]] {
        let slices = order.map(|index| slice("web", "web", slices[index].clone()));
        let slices: Vec<&EndpointSlice> = slices.iter().collect();
        let plan = plan(&web(Internal(Cluster)), &slices, &here());
        assert_eq!(numbers(&plan, EndpointSet::All).as_deref(), Some(""));
    }
}
