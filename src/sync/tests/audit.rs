//! What somebody else removes from the kernel is put back without any change.

use super::*;
use crate::kernel::nft::Element;
use crate::model::External;

/// Two Services, one of them with session affinity.
fn served() -> (Bed, Service) {
    let mut bed = Bed::new();
    let mut sticky = service("sticky", &["10.96.0.11"]);
    sticky.affinity_seconds = Some(60);
    bed.set(&web(), &[near()]);
    bed.set(&sticky, &[near()]);
    bed.kernel.take_log();
    (bed, sticky)
}

#[test]
fn where_nothing_is_missing_nothing_is_changed() {
    let (mut bed, _) = served();
    assert!(bed.syncer.audit(bed.now).is_empty());
    assert_eq!(bed.kernel.take_log(), Vec::<String>::new());
}

#[test]
fn a_table_that_was_flushed_is_made_again_with_all_it_had() {
    let (mut bed, _) = served();
    let before = bed.kernel.state().elements.clone();
    bed.kernel.flush_tables();
    assert!(bed.syncer.audit(bed.now).is_empty());
    assert_eq!(bed.kernel.state().elements, before);
    assert_eq!(bed.syncer.failing(), 0);
}

#[test]
fn a_link_that_was_deleted_is_made_again() {
    let (mut bed, _) = served();
    bed.kernel.unlink();
    assert!(bed.syncer.audit(bed.now).is_empty());
    let all = BTreeSet::from([ip("10.96.0.10"), ip("10.96.0.11")]);
    assert_eq!(bed.kernel.state().addresses, all);
}

#[test]
fn what_cannot_be_put_back_is_tried_again() {
    let (mut bed, _) = served();
    let before = bed.kernel.state().elements.clone();
    bed.kernel.flush_tables();
    bed.kernel.state().refuse_rules = true;
    bed.syncer.audit(bed.now);
    assert_eq!(bed.syncer.failing(), 1);
    bed.kernel.state().refuse_rules = false;
    bed.syncer.audit(bed.now);
    bed.wait();
    assert_eq!(bed.kernel.state().elements, before);
    assert_eq!(bed.syncer.failing(), 0);
}

#[test]
fn virtual_servers_that_were_deleted_are_those_of_services_to_plan_again() {
    let (mut bed, sticky) = served();
    let before = bed.kernel.state().services.clone();
    bed.kernel.state().services.clear();
    let lost = bed.syncer.audit(bed.now);
    assert_eq!(lost, BTreeSet::from([web().id, sticky.id.clone()]));
    bed.set(&web(), &[near()]);
    bed.set(&sticky, &[near()]);
    assert_eq!(bed.kernel.state().services, before, "the pins among them");
}

#[test]
fn one_that_was_deleted_is_found_after_some_time() {
    let (mut bed, _) = served();
    let marks = bed
        .kernel
        .state()
        .services
        .keys()
        .copied()
        .collect::<Vec<_>>();
    bed.kernel.state().services.remove(&marks[0]);
    let lost: BTreeSet<ServiceId> = (0..2).flat_map(|_| bed.syncer.audit(bed.now)).collect();
    assert_eq!(lost.len(), 1);
}

#[test]
fn a_virtual_server_that_is_to_be_deleted_may_be_gone_already() {
    let (mut bed, sticky) = served();
    bed.kernel.state().services.clear();
    bed.delete(&web());
    bed.delete(&sticky);
    assert_eq!(bed.syncer.failing(), 0);
    assert!(!bed.syncer.shared_is_failing());
    assert!(bed.kernel.is_bare());
}

#[test]
fn an_external_address_that_another_link_gets_or_loses_moves_without_any_change() {
    let address = ip("203.0.113.1");
    let external = External {
        balancers: vec![address],
        ..External::default()
    };
    let service = Service {
        external: Some(Box::new(external)),
        ..web()
    };
    let mut bed = Bed::new();
    bed.set(&service, &[near()]);
    let is_here = |bed: &Bed| {
        let state = bed.kernel.state();
        let bound = state.addresses.contains(&address);
        assert_eq!(state.elements.contains(&Element::Vip(address)), bound);
        bound
    };
    assert!(is_here(&bed));
    bed.kernel.state().elsewhere.insert(address);
    bed.syncer.audit(bed.now);
    assert!(!is_here(&bed));
    assert_eq!(bed.served("203.0.113.1"), Some(1));

    // A restart finds it on both, where the agent before was not fast enough.
    bed.kernel.state().addresses.insert(address);
    bed.kernel.state().elements.insert(Element::Vip(address));
    let mut bed = Bed::on(bed.kernel.clone());
    bed.set(&service, &[near()]);
    bed.syncer.sweep(bed.now);
    bed.syncer.audit(bed.now);
    assert!(!is_here(&bed));

    bed.kernel.state().elsewhere.clear();
    bed.syncer.audit(bed.now);
    assert!(is_here(&bed));
    bed.kernel.take_log();
    bed.syncer.audit(bed.now);
    assert_eq!(bed.kernel.take_log(), Vec::<String>::new());
}
