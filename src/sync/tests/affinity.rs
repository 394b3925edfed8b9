//! Session affinity: each endpoint has a pin, by which clients come back to it while it is alive.

use std::net::IpAddr;

use super::*;
use crate::kernel::mark::Mark;
use crate::kernel::nft::Affinity;

fn sticky(seconds: u32) -> Service {
    Service {
        affinity_seconds: Some(seconds),
        ..web()
    }
}

impl Bed {
    fn affinity(&self) -> Vec<Affinity> {
        let state = self.kernel.state();
        let all = state.elements.iter().filter_map(|element| match element {
            Element::Affinity(affinity) => Some(*affinity),
            _ => None,
        });
        all.collect()
    }

    /// How long affinity lasts, as the table says.
    fn lasting(&self) -> Vec<u32> {
        let all = self.affinity().into_iter();
        all.filter_map(|one| match one {
            Affinity::Lasting { seconds, .. } => Some(seconds.get()),
            _ => None,
        })
        .collect()
    }

    /// The endpoints that have a pin, with its mark, and whether clients come back by it. Each pin
    /// has a virtual server that leads to this endpoint alone.
    fn pins(&self) -> Vec<(IpAddr, Mark, bool)> {
        let all = self.affinity();
        let state = self.kernel.state();
        let mut pins: Vec<_> = all
            .iter()
            .filter_map(|one| match *one {
                Affinity::Pin {
                    server, ip, pin, ..
                } => Some((ip, pin, all.contains(&Affinity::Alive { server, pin }))),
                _ => None,
            })
            .collect();
        for (ip, pin, _) in &pins {
            let key = ServiceKey::Mark {
                family: Family::of(*ip),
                mark: pin.value(),
            };
            let (_, reals) = &state.services[&key];
            let reals: Vec<_> = reals.iter().map(|real| (real.ip, real.weight)).collect();
            assert_eq!(reals, [(*ip, 1)], "{pin}");
        }
        pins.sort_unstable();
        pins
    }

    /// The same without the marks.
    fn pinned(&self) -> Vec<(IpAddr, bool)> {
        let pins = self.pins().into_iter();
        pins.map(|(ip, _, alive)| (ip, alive)).collect()
    }

    fn servers(&self) -> usize {
        self.kernel.state().services.len()
    }
}

#[test]
fn each_endpoint_has_a_pin_and_the_virtual_server_is_what_it_is_without_affinity() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    let without = bed.reals();
    bed.kernel.take_log();
    bed.set(&sticky(60), &[near(), far()]);
    let log = bed.kernel.take_log();
    assert!(
        !log.iter().any(|line| line.contains("SetService")),
        "switched on without another scheduler: {log:?}"
    );
    assert_eq!(bed.lasting(), [60]);
    assert_eq!(bed.pinned(), [(near().ip, true), (far().ip, true)]);
    let mut expected = without.clone();
    expected.extend([near(), far()].map(|pod| format!("{} 1", pod.ip)));
    expected.sort();
    assert_eq!(bed.reals(), expected);

    bed.set(&web(), &[near(), far()]);
    assert_eq!(bed.affinity().len(), 2, "the pins have no connections yet");
    assert!(bed.pinned().iter().all(|(_, alive)| !alive));
    bed.wait();
    assert_eq!(bed.affinity(), []);
    assert_eq!((bed.reals(), bed.servers()), (without, 1));
}

#[test]
fn another_time_out_is_one_transaction() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near(), far()]);
    bed.kernel.take_log();
    bed.set(&sticky(10_800), &[near(), far()]);
    assert_eq!(bed.kernel.take_log(), ["commit -1 +1"]);
    assert_eq!(bed.lasting(), [10_800]);
}

#[test]
fn an_endpoint_more_is_three_commands_and_one_transaction() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near()]);
    bed.kernel.take_log();
    bed.set(&sticky(60), &[near(), far()]);
    let log = bed.kernel.take_log();
    let kinds = log.iter().filter_map(|line| line.split([' ']).next());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["ipvs", "ipvs", "ipvs", "commit"]
    );
    assert!(log.contains(&"commit -0 +2".to_owned()), "{log:?}");
}

#[test]
fn the_pin_of_an_endpoint_that_goes_is_dead_at_once_and_finishes_its_connections() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    bed.kernel.take_log();
    bed.set(&sticky(60), &[near()]);
    let log = bed.kernel.take_log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert_eq!(log[1], "commit -1 +0");
    assert_eq!(bed.pinned(), [(near().ip, true), (far().ip, false)]);
    bed.wait();
    assert_eq!(bed.pinned().len(), 2, "it has a connection yet");

    bed.kernel.state().connections.clear();
    bed.wait();
    assert_eq!(bed.pinned(), [(near().ip, true)]);
    assert_eq!(bed.servers(), 2);
    assert_eq!(bed.syncer.deadline(), None, "nothing is left to wait for");
}

#[test]
fn a_pin_that_never_finishes_is_deleted_in_the_end() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    bed.set(&sticky(60), &[near()]);
    for _ in 0..9 {
        bed.wait();
    }
    assert_eq!(bed.pinned().len(), 2, "nine minutes");
    bed.wait();
    assert_eq!(bed.pinned().len(), 1);
}

#[test]
fn an_endpoint_that_comes_back_has_its_old_pin() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near(), far()]);
    let before = bed.pins();
    bed.set(&sticky(60), &[near()]);
    bed.set(&sticky(60), &[near(), far()]);
    assert_eq!(bed.pins(), before);
}

#[test]
fn the_pin_of_a_udp_endpoint_goes_with_it() {
    let mut bed = Bed::new();
    let mut dns = sticky(60);
    dns.ports[0].protocol = Protocol::Udp;
    bed.set(&dns, &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    bed.set(&dns, &[near()]);
    assert_eq!(bed.pinned(), [(near().ip, true)]);
    assert_eq!(bed.servers(), 2);
}

#[test]
fn flows_of_udp_stay_where_they_are_when_affinity_is_switched_off() {
    let mut bed = Bed::new();
    let mut dns = sticky(60);
    dns.ports[0].protocol = Protocol::Udp;
    bed.set(&dns, &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    dns.affinity_seconds = None;
    bed.set(&dns, &[near(), far()]);
    bed.wait();
    assert_eq!(bed.pinned(), [(far().ip, false)]);
    bed.set(&dns, &[near()]);
    assert_eq!(bed.pinned(), []);
}

#[test]
fn a_service_that_goes_takes_its_pins_along_when_they_have_finished() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    bed.delete(&sticky(60));
    assert_eq!(bed.pinned(), [(far().ip, false)]);
    bed.kernel.state().connections.clear();
    bed.wait();
    assert!(bed.kernel.is_bare());
}

#[test]
fn a_restart_takes_over_pins_and_changes_nothing_that_has_not_changed() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    bed.set(&sticky(60), &[near()]);
    let before = bed.pins();
    bed.kernel.take_log();

    let mut next = Bed::on(bed.kernel.clone());
    next.set(&sticky(60), &[near()]);
    next.syncer.sweep(next.now);
    assert_eq!(next.kernel.take_log(), Vec::<String>::new());
    assert_eq!(next.pins(), before);
    next.kernel.state().connections.clear();
    next.wait();
    assert_eq!(next.pinned(), [(near().ip, true)]);
}

#[test]
fn a_restart_takes_over_another_time_out_without_a_second_one() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near()]);
    let mut next = Bed::on(bed.kernel.clone());
    next.set(&sticky(5), &[near()]);
    assert_eq!(next.lasting(), [5], "before all is planned, too");
}

#[test]
fn a_pin_that_another_program_removed_is_made_again() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near()]);
    let pins = bed.pins();
    let (_, mark, _) = pins[0];
    let family = Family::V4;
    let key = ServiceKey::Mark {
        family,
        mark: mark.value(),
    };
    bed.kernel.state().services.remove(&key);
    let mut next = Bed::on(bed.kernel.clone());
    next.set(&sticky(60), &[near()]);
    next.syncer.sweep(next.now);
    assert_eq!(next.pins(), pins);
}

#[test]
fn connections_by_a_pin_are_counted_as_the_endpoints() {
    let mut bed = Bed::new();
    bed.set(&sticky(60), &[near()]);
    bed.kernel.state().connections.insert(near().ip, 3);
    let (id, _) = planned(&sticky(60), &[near()])
        .pop_first()
        .expect("a service port");
    let counts = bed.syncer.counts(&id, Family::V4).expect("counts");
    // The kernel in memory counts by address: three at each.
    let counted: Vec<_> = counts
        .iter()
        .map(|one| (one.entry.active, one.pinned.active))
        .collect();
    assert_eq!(counted, [(3, 3)]);

    // After a restart, too, before anything is planned.
    let mut next = Bed::on(bed.kernel.clone());
    let (_, plan) = planned(&sticky(60), &[near()])
        .pop_first()
        .expect("a service port");
    let counts = next
        .syncer
        .counts_before(&id, &plan.signs(), Family::V4)
        .expect("counts");
    let pinned: Vec<u32> = counts.iter().map(|one| one.pinned.active).collect();
    assert_eq!(pinned, [3]);
}

#[test]
fn what_is_refused_to_a_pin_leaves_its_clients_unremembered_and_is_tried_again() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.state().refuse.push("NewService".to_owned());
    bed.set(&sticky(60), &[near()]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    assert_eq!(bed.affinity(), []);
    bed.kernel.state().refuse.clear();
    assert_eq!(bed.wait().len(), 1, "it is to be tried again");
    bed.set(&sticky(60), &[near()]);
    assert_eq!(bed.pinned(), [(near().ip, true)]);
}
