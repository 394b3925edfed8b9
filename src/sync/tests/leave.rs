//! What becomes of the connections of a Service that is deleted.

use super::*;

#[test]
fn a_deleted_service_finishes_its_connections() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 3);
    bed.kernel.take_log();
    bed.delete(&web());
    assert_eq!(bed.reals(), ["10.1.3.5 0"], "who has none goes at once");
    let vip = ip("10.96.0.10");
    assert!(bed.kernel.state().addresses.contains(&vip));
    assert_eq!(
        bed.kernel.state().elements,
        [Element::Vip(vip)].into(),
        "nothing leads there, and host ports stay closed"
    );

    bed.wait();
    assert_eq!(bed.reals(), ["10.1.3.5 0"], "it has connections yet");
    bed.kernel.state().connections.clear();
    bed.wait();
    assert!(bed.kernel.is_bare());
    assert_eq!(bed.syncer.deadline(), None, "nothing is left to wait for");
}

#[test]
fn connections_of_a_deleted_service_that_never_end_are_cut_in_the_end() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.state().connections.insert(near().ip, 1);
    bed.delete(&web());
    for _ in 0..9 {
        bed.wait();
    }
    assert_eq!(bed.reals(), ["10.1.1.5 0"], "nine minutes");
    bed.wait();
    assert!(bed.kernel.state().services.is_empty(), "ten");
}

#[test]
fn a_service_that_is_recreated_meanwhile_keeps_them() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.state().connections.insert(near().ip, 1);
    bed.delete(&web());
    bed.set(&web(), &[near()]);
    assert_eq!(bed.reals(), ["10.1.1.5 100"]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    bed.wait();
    assert_eq!(bed.reals(), ["10.1.1.5 100"]);
    bed.kernel.state().connections.clear();
    bed.delete(&web());
    assert!(bed.kernel.is_bare());
}

#[test]
fn another_service_may_have_its_address_meanwhile() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.state().connections.insert(near().ip, 1);
    bed.delete(&web());
    let heir = service("heir", &["10.96.0.10"]);
    bed.set(&heir, &[far()]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    assert_eq!(
        bed.reals().len(),
        2,
        "those of the heir, and those that leave"
    );
    bed.kernel.state().connections.clear();
    bed.wait();
    assert_eq!(bed.reals(), ["10.1.3.5 10"]);
    assert!(bed.kernel.state().addresses.contains(&ip("10.96.0.10")));
}

#[test]
fn datagrams_have_nothing_to_finish() {
    let mut dns = web();
    dns.ports[0].protocol = Protocol::Udp;
    let mut bed = Bed::new();
    bed.set(&dns, &[near()]);
    bed.kernel.state().connections.insert(near().ip, 3);
    bed.delete(&dns);
    assert!(bed.kernel.state().services.is_empty());
}
