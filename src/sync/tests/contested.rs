//! An address that several Services name.

use super::*;
use crate::model::External;

const DNS: &str = "10.96.0.10";

/// A Service whose `ClusterIP` is the address.
fn dns() -> Service {
    service("dns", &[DNS])
}

/// Another, planned before that by its name, with the same address among its external ones, at
/// this port.
fn claimant(number: u16) -> Service {
    let mut other = outward("another", "10.96.0.66", |it| it.ips = vec![ip(DNS)]);
    other.ports[0].port = port(number);
    other
}

fn outward(name: &str, cluster_ip: &str, fill: impl FnOnce(&mut External)) -> Service {
    let mut external = External::default();
    fill(&mut external);
    Service {
        external: Some(Box::new(external)),
        ..service(name, &[cluster_ip])
    }
}

/// A Service with this load balancer's address for clients in one network.
fn guarded(name: &str, cluster_ip: &str, source: &str) -> Service {
    outward(name, cluster_ip, |it| {
        it.balancers = vec![ip("203.0.113.1")];
        it.sources = vec![source.parse().expect("a network")];
    })
}

/// The ports at which clients from outside know an address.
fn known_outside(bed: &Bed, address: &str) -> Vec<u16> {
    let state = bed.kernel.state();
    let elements = state.elements.iter();
    elements
        .filter_map(|element| match element {
            Element::External { ip: at, port, .. } if *at == ip(address) => Some(port.get()),
            _ => None,
        })
        .collect()
}

fn allowed(bed: &Bed) -> Vec<String> {
    let state = bed.kernel.state();
    let elements = state.elements.iter();
    elements
        .filter_map(|element| match element {
            Element::Allowed { source, .. } => Some(source.to_string()),
            _ => None,
        })
        .collect()
}

/// Lets what failed be tried again.
fn retry(bed: &mut Bed, services: &[(&Service, &[Endpoint])]) {
    let due = bed.wait();
    for (service, endpoints) in services {
        if due.contains(&service.id) {
            bed.set(service, endpoints);
        }
    }
}

#[test]
fn a_cluster_ip_is_that_of_its_service_whoever_came_first() {
    let (dns, other) = (dns(), claimant(80));
    let all: [(&Service, &[Endpoint]); 2] = [(&dns, &[near(), far()]), (&other, &[near()])];
    for order in [[0, 1], [1, 0]] {
        let mut bed = Bed::new();
        for index in order {
            bed.set(all[index].0, all[index].1);
        }
        assert_eq!(bed.served(DNS), Some(2), "{order:?}");
        assert_eq!(bed.served("10.96.0.66"), Some(1), "{order:?}");
        assert_eq!(bed.syncer.failing(), 1, "{order:?}: it is told");
        retry(&mut bed, &all);
        assert_eq!(known_outside(&bed, DNS), [0_u16; 0], "{order:?}");
        assert_eq!(bed.served(DNS), Some(2), "{order:?}");

        // And once its own Service is gone, it is anybody's.
        bed.delete(&dns);
        retry(&mut bed, &all[1..]);
        assert_eq!(bed.served(DNS), Some(1), "{order:?}");
        assert_eq!(known_outside(&bed, DNS), [80], "{order:?}");
        assert_eq!(bed.syncer.failing(), 0, "{order:?}");
    }
}

#[test]
fn after_a_restart_nobody_takes_over_what_another_service_had() {
    let (dns, other) = (dns(), claimant(80));
    let mut bed = Bed::new();
    bed.set(&dns, &[near(), far()]);
    bed.set(&other, &[near()]);
    retry(&mut bed, &[(&other, &[near()])]);
    bed.kernel.take_log();

    let mut next = Bed::on(bed.kernel.clone());
    next.set(&other, &[near()]);
    next.set(&dns, &[near(), far()]);
    next.syncer.sweep(next.now);
    let log = next.kernel.take_log();
    let ipvs: Vec<_> = log.iter().filter(|line| line.starts_with("ipvs")).collect();
    assert!(ipvs.is_empty(), "{ipvs:?}");
    assert_eq!(next.served(DNS), Some(2));
}

#[test]
fn what_holds_for_an_external_address_holds_at_the_port_of_its_service_alone() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[near()]);
    bed.set(&claimant(9999), &[far()]);
    assert_eq!(known_outside(&bed, DNS), [9999]);
    assert_eq!(bed.syncer.failing(), 0);
}

#[test]
fn of_two_services_at_one_address_only_the_one_that_has_it_says_who_may_use_it() {
    let first = guarded("first", "10.96.0.1", "10.0.0.0/8");
    let second = guarded("second", "10.96.0.2", "10.1.0.0/16");
    let mut bed = Bed::new();
    bed.set(&first, &[near()]);
    bed.set(&second, &[near(), far()]);
    assert_eq!(allowed(&bed), ["10.0.0.0/8"]);
    assert_eq!(bed.served("203.0.113.1"), Some(1));
    assert!(!bed.syncer.shared_is_failing());
    bed.delete(&first);
    retry(&mut bed, &[(&second, &[near(), far()])]);
    assert_eq!(allowed(&bed), ["10.1.0.0/16"]);
    assert_eq!(bed.served("203.0.113.1"), Some(2));
}

#[test]
fn source_ranges_that_became_narrower_meanwhile_are_exchanged_at_once() {
    let mut bed = Bed::new();
    bed.set(&guarded("web", "10.96.0.1", "198.51.0.0/16"), &[near()]);
    let mut next = Bed::on(bed.kernel.clone());
    next.set(&guarded("web", "10.96.0.1", "198.51.100.0/24"), &[near()]);
    assert_eq!(allowed(&next), ["198.51.100.0/24"]);
    assert_eq!(next.syncer.failing(), 0);
}
