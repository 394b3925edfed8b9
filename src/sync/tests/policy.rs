//! Two endpoint sets of one service port, and addresses that clients from outside know.

use super::*;
use crate::model::{External, TrafficPolicy};

/// A Service with a load balancer's address.
fn balanced(fill: impl FnOnce(&mut External)) -> Service {
    let mut external = External {
        policy: TrafficPolicy::Local,
        balancers: vec![ip("203.0.113.1")],
        ..External::default()
    };
    fill(&mut external);
    Service {
        external: Some(Box::new(external)),
        ..web()
    }
}

/// Where clients from outside are led at the load balancer's address.
fn outside(bed: &Bed) -> Option<Mark> {
    let state = bed.kernel.state();
    state.elements.iter().find_map(|element| match element {
        Element::Outside { mark, .. } => Some(*mark),
        _ => None,
    })
}

fn external(text: &str) -> Element {
    Element::External {
        ip: ip(text),
        protocol: Protocol::Tcp,
        port: port(80),
    }
}

fn has(bed: &Bed, wanted: Element) -> bool {
    bed.kernel.state().elements.contains(&wanted)
}

#[test]
fn where_no_endpoint_is_here_clients_from_outside_are_dropped_and_pods_served() {
    let range = MarkRange::default();
    let mut bed = Bed::new();
    bed.set(&balanced(|_| {}), &[near(), far()]);
    let served = outside(&bed).expect("a mark");
    assert_eq!(range.server(served), Some(served));
    bed.set(&balanced(|_| {}), &[far()]);
    assert_eq!(outside(&bed), Some(range.dropping(served)));
    assert_eq!(bed.served("203.0.113.1"), Some(1), "pods");
    bed.set(&balanced(|_| {}), &[]);
    assert_eq!(outside(&bed), Some(range.refusing(served)));
    bed.set(&balanced(|_| {}), &[near()]);
    assert_eq!(outside(&bed), Some(served));
}

#[test]
fn a_restart_finds_the_connections_of_a_set_that_drops() {
    let mut bed = Bed::new();
    bed.kernel.state().connections.insert(near().ip, 3);
    bed.set(&balanced(|_| {}), &[near(), far()]);
    let served = outside(&bed);
    bed.set(&balanced(|_| {}), &[far()]);
    let before = bed.reals();
    bed.kernel.take_log();

    let mut bed = Bed::on(bed.kernel.clone());
    bed.set(&balanced(|_| {}), &[far()]);
    bed.syncer.sweep(bed.now);
    assert_eq!(bed.reals(), before, "weight 0, but there");
    assert_eq!(bed.kernel.take_log(), Vec::<String>::new());
    bed.set(&balanced(|_| {}), &[near(), far()]);
    assert_eq!(outside(&bed), served);
}

#[test]
fn a_change_of_policy_moves_the_frontends_in_one_transaction() {
    let mut bed = Bed::new();
    let pods = [near(), far()];
    bed.set(&web(), &pods);
    bed.kernel.take_log();
    let local = Service {
        internal: TrafficPolicy::Local,
        ..web()
    };
    for service in [&local, &web()] {
        bed.set(service, &pods);
        let commits = bed.kernel.take_log();
        let commits = commits.iter().filter(|line| line.starts_with("commit"));
        assert_eq!(commits.collect::<Vec<_>>(), ["commit -1 +1"]);
        assert_eq!(bed.kernel.state().services.len(), 1);
    }
    assert_eq!(bed.served("10.96.0.10"), Some(2));
}

#[test]
fn source_ranges_are_exchanged_in_one_transaction() {
    let guarded = |sources: &[&str]| {
        let sources = sources.iter().map(|text| text.parse().expect("a network"));
        balanced(|it| it.sources = sources.collect())
    };
    let allowed = |source: &str| Element::Allowed {
        ip: ip("203.0.113.1"),
        protocol: Protocol::Tcp,
        port: port(80),
        source: source.parse().expect("a network"),
    };
    let guard = Element::Guarded {
        ip: ip("203.0.113.1"),
        protocol: Protocol::Tcp,
        port: port(80),
    };
    let mut bed = Bed::new();
    bed.set(&guarded(&["198.51.100.0/24"]), &[near()]);
    assert!(has(&bed, guard) && has(&bed, allowed("198.51.100.0/24")));
    bed.kernel.take_log();
    bed.set(&guarded(&["198.51.0.0/16"]), &[near()]);
    assert_eq!(bed.kernel.take_log(), ["commit -1 +1"]);
    assert!(has(&bed, allowed("198.51.0.0/16")));
    bed.set(&guarded(&[]), &[near()]);
    assert_eq!(bed.kernel.take_log(), ["commit -2 +0"]);
}

#[test]
fn an_external_address_of_another_link_stays_there_and_what_else_listens_at_it_is_reachable() {
    let node = ip("192.168.0.7");
    let mut bed = Bed::new();
    bed.kernel.state().elsewhere.insert(node);
    let service = balanced(|it| it.ips = vec![node]);
    bed.set(&service, &[near()]);
    assert_eq!(bed.served("192.168.0.7"), Some(1));
    assert!(has(&bed, external("192.168.0.7")));
    assert!(!has(&bed, Element::Vip(node)));
    assert!(!bed.kernel.state().addresses.contains(&node));
    assert!(bed.kernel.state().addresses.contains(&ip("203.0.113.1")));

    bed.kernel.take_log();
    bed.set(&service, &[near()]);
    assert_eq!(bed.kernel.take_log(), Vec::<String>::new());

    // The other link has given it up, and the Service changes.
    bed.kernel.state().elsewhere.clear();
    bed.set(&service, &[near(), far()]);
    assert!(has(&bed, Element::Vip(node)));
    assert!(bed.kernel.state().addresses.contains(&node));
    bed.delete(&service);
    assert!(bed.kernel.state().elements.is_empty());
    assert!(bed.kernel.state().addresses.is_empty());
}
