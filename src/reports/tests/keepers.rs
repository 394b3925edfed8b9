use std::collections::BTreeMap;

use super::*;

#[test]
fn every_agent_picks_the_same_keepers_whatever_it_is_called() {
    let (one, other) = (slice(0..20), slice((0..20).rev()));
    let (one, other) = (Peers::of(&[&one], "n0"), Peers::of(&[&other], "n7"));
    for number in 0..100 {
        let key = key_hash(&key(&format!("s{number}")));
        assert_eq!(one.keepers(key).len(), 2);
        assert_eq!(one.keepers(key), other.keepers(key));
    }
}

#[test]
fn keeping_is_spread_evenly() {
    let peers = peers(0..50);
    let mut kept: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    for number in 0..5_000 {
        for keeper in peers.keepers(key_hash(&key(&format!("s{number}")))) {
            *kept.entry(keeper).or_default() += 1;
        }
    }
    // 10,000 over 50: 200 each, with a deviation of 14.
    assert_eq!(kept.len(), 50);
    assert!(
        kept.values().all(|kept| (130..270).contains(kept)),
        "{kept:?}"
    );
}

#[test]
fn who_leaves_moves_only_what_it_kept() {
    let (before, after) = (peers(0..20), peers((0..20).filter(|node| *node != 7)));
    for number in 0..500 {
        let key = key_hash(&key(&format!("s{number}")));
        let mut left = before.keepers(key);
        left.retain(|keeper| *keeper != name(7));
        assert!(after.keepers(key).starts_with(&left));
    }
}

#[test]
fn an_agent_that_is_not_ready_counts_but_keeps_nothing() {
    let mut slice = slice(0..3);
    slice.endpoints[1].conditions = example::UNREADY;
    let peers = Peers::of(&[&slice], "n0");
    assert_eq!(peers.agents(), 3);
    assert!(peers.get("n1").is_some());
    assert_eq!(peers.keepers(1).len(), 2);
    assert!(!peers.keepers(1).contains(&name(1)));
}

#[test]
fn peers_are_reached_by_the_family_of_this_nodes_own_address() {
    let four = slice(0..3);
    let mut six = slice(0..4);
    six.family = Family::V6;
    for (number, endpoint) in six.endpoints.iter_mut().enumerate() {
        endpoint.ip = ip(&format!("fd00::{number}"));
    }
    let of = |me| {
        let peers = Peers::of(&[&four, &six], me);
        assert_eq!(peers.agents(), 4);
        peers.get("n1").map(|peer| peer.address)
    };
    assert_eq!(of("n0"), Some(address(1)));
    assert_eq!(of("n3"), "[fd00::1]:10251".parse().ok());
    assert_eq!(of("elsewhere"), None);
}

#[test]
fn a_slice_without_the_port_for_reports_names_nobody() {
    let mut slice = slice(0..3);
    slice.ports[0].name = "metrics".into();
    assert_eq!(Peers::of(&[&slice], "n0").agents(), 0);
}

#[test]
fn the_name_of_a_virtual_server_on_the_wire_never_changes() {
    assert_eq!(key_hash(&key("web")), KNOWN);
    let mut other = key("web");
    other.id.port.service = other.id.port.service.import();
    assert_ne!(key_hash(&other), KNOWN);
}

/// Computed once; a change of it would be a change of the wire format.
const KNOWN: u64 = 0xefbf_ee16_98d9_2416;
