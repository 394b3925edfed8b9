//! What goes wrong for one holds up nobody else.

use super::*;
use crate::kernel::nft::Element;

#[test]
fn a_refused_address_keeps_only_its_own_frontends_from_being_served() {
    let mut bed = Bed::new();
    let other = service("other", &["10.96.0.11"]);
    let mut half = service("half", &["10.96.0.12", "fd00:96::12"]);
    half.ports[0].node_port = Some(port(30080));
    let refused = ip("fd00:96::12");
    bed.kernel.state().refuse_addresses.insert(refused);
    let both = [near(), endpoint("fd00:1::5", "a1", "a")];
    let change = vec![
        (half.id.clone(), planned(&half, &both)),
        (other.id.clone(), planned(&other, &[near()])),
    ];
    bed.syncer.apply(change, bed.now);
    assert_eq!(bed.served("10.96.0.11"), Some(1));
    assert_eq!(bed.served("10.96.0.12"), Some(1), "its other family");
    assert_eq!(bed.served("fd00:96::12"), None);
    assert_eq!(bed.syncer.failing(), 1, "it alone is tried again");

    bed.kernel.take_log();
    bed.set(&web(), &[near()]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    assert_eq!(bed.syncer.failing(), 1);

    bed.kernel.state().refuse_addresses.clear();
    assert_eq!(bed.wait(), BTreeSet::from([half.id.clone()]));
    bed.set(&half, &both);
    assert_eq!(bed.served("fd00:96::12"), Some(1));
    assert_eq!(bed.syncer.failing(), 0);
}

#[test]
fn a_service_with_a_refused_address_can_go() {
    let mut bed = Bed::new();
    bed.kernel.state().refuse_addresses.insert(ip("10.96.0.10"));
    bed.set(&web(), &[near()]);
    bed.delete(&web());
    assert_eq!(bed.syncer.failing(), 0);
    let state = bed.kernel.state();
    assert!(state.services.is_empty() && state.elements.is_empty());
}

#[test]
fn a_link_that_was_deleted_is_made_again_with_all_its_addresses() {
    let mut bed = Bed::new();
    let other = service("other", &["10.96.0.11"]);
    bed.set(&web(), &[near()]);
    bed.kernel.unlink();
    bed.set(&other, &[near()]);
    let all = BTreeSet::from([ip("10.96.0.10"), ip("10.96.0.11")]);
    assert_eq!(bed.kernel.state().addresses, all);
    assert_eq!(bed.served("10.96.0.11"), Some(1));

    bed.kernel.unlink();
    bed.delete(&other);
    bed.wait();
    assert_eq!(
        bed.kernel.state().addresses,
        BTreeSet::from([ip("10.96.0.10")])
    );
    assert_eq!(bed.syncer.failing(), 0);
}

#[test]
fn a_service_of_which_every_endpoint_is_refused_refuses() {
    let mut bed = Bed::new();
    bed.kernel.state().refuse.push("10.1.3.5".into());
    bed.set(&web(), &[far()]);
    assert_eq!(bed.served("10.96.0.10"), Some(0));
    assert_eq!(bed.syncer.failing(), 1);
    bed.kernel.state().refuse.clear();
    bed.wait();
    bed.set(&web(), &[far()]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
}

#[test]
fn without_a_virtual_server_a_service_is_not_live() {
    let mut bed = Bed::new();
    bed.kernel.state().refuse.push("NewService".into());
    bed.set(&web(), &[near()]);
    assert_eq!(bed.served("10.96.0.10"), None);
    bed.kernel.state().refuse.clear();
    bed.wait();
    bed.set(&web(), &[near()]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
}

#[test]
fn what_somebody_changed_in_a_virtual_server_is_put_right_by_a_restart() {
    use crate::kernel::ipvs::{Forwarding, ServiceFlags};
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    let planned = bed.kernel.state().services.clone();
    for (service, reals) in bed.kernel.state().services.values_mut() {
        service.flags |= ServiceFlags::PERSISTENT;
        service.timeout_seconds = 600;
        reals[0].forwarding = Forwarding::DirectRoute;
    }
    bed.kernel.take_log();

    let mut next = Bed::on(bed.kernel.clone());
    next.set(&web(), &[near(), far()]);
    assert_eq!(next.kernel.state().services, planned);
    assert_eq!(next.kernel.take_commands(), 2, "one each");
}

#[test]
fn connections_that_drain_from_a_service_without_endpoints_outlive_a_restart() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.state().connections.insert(near().ip, 3);
    bed.set(&web(), &[]);
    bed.kernel.take_log();

    let mut next = Bed::on(bed.kernel.clone());
    next.set(&web(), &[]);
    next.syncer.sweep(next.now);
    assert_eq!(next.kernel.take_log(), Vec::<String>::new());
    assert_eq!(next.reals(), ["10.1.1.5 0"]);
}

#[test]
fn an_endpoint_that_is_refused_holds_back_no_other_and_is_tried_again() {
    let mut bed = Bed::new();
    let other = service("other", &["10.96.0.11"]);
    bed.kernel.state().refuse.push("10.1.3.5".into());
    let change = vec![
        (web().id, planned(&web(), &[near(), far()])),
        (other.id.clone(), planned(&other, &[near()])),
    ];
    bed.syncer.apply(change, bed.now);
    assert_eq!(
        bed.served("10.96.0.10"),
        Some(1),
        "live with the one that works: the other may be refused for ever"
    );
    assert_eq!(bed.served("10.96.0.11"), Some(1));

    bed.kernel.state().refuse.clear();
    assert_eq!(bed.wait().into_iter().collect::<Vec<_>>(), [web().id]);
    bed.set(&web(), &[near(), far()]);
    assert_eq!(bed.served("10.96.0.10"), Some(2));
    assert_eq!(bed.syncer.failing(), 0);
}

#[test]
fn a_table_that_somebody_emptied_is_filled_again_with_the_next_change() {
    let mut bed = Bed::new();
    let other = service("other", &["10.96.0.11"]);
    bed.set(&web(), &[near()]);
    bed.set(&other, &[near()]);
    bed.kernel.state().elements.clear();
    bed.delete(&other);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    assert_eq!(bed.served("10.96.0.11"), None);
}

#[test]
fn a_transaction_that_fails_is_tried_again_before_anything_is_deleted() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.state().refuse_transactions = true;
    bed.delete(&web());
    assert_eq!(
        bed.served("10.96.0.10"),
        Some(1),
        "still live, so its server must stay"
    );
    bed.kernel.state().refuse_transactions = false;
    bed.wait();
    let state = bed.kernel.state();
    assert!(state.elements.is_empty() && state.services.is_empty() && state.addresses.is_empty());
}

#[test]
fn an_element_that_is_refused_keeps_no_other_from_the_table() {
    let mut bed = Bed::new();
    bed.set(&web(), &[]);
    let refusing = bed.kernel.state().elements.first().copied();
    let refusing = refusing.expect("a frontend that leads nowhere");
    // What a Service needs besides its frontends, and a frontend.
    for (refused, endpoints) in [
        (Element::Hairpin(near().ip), vec![near()]),
        (refusing, vec![]),
    ] {
        bed.kernel.state().refuse_elements.insert(refused);
        let other = service("other", &["10.96.0.11"]);
        bed.set(&web(), &endpoints);
        bed.set(&other, &[far()]);
        assert_eq!(bed.served("10.96.0.11"), Some(1), "{refused}");
        assert!(!bed.kernel.state().elements.contains(&refused));
        assert!(!bed.syncer.shared_is_failing());
        assert_eq!(bed.syncer.failing(), 1, "{refused}");

        // It is its Service's to try again.
        bed.kernel.state().refuse_elements.clear();
        assert_eq!(bed.wait().into_iter().collect::<Vec<_>>(), [web().id]);
        bed.set(&web(), &endpoints);
        assert!(bed.kernel.state().elements.contains(&refused));
        assert_eq!(bed.syncer.failing(), 0);
        bed.delete(&other);
    }
}
