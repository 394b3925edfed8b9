//! A virtual server gets another scheduler.

use super::*;
use crate::model::{Said, Scheduler};

fn scheduled(mut service: Service, scheduler: Scheduler) -> Service {
    service.tuning.scheduler = Said::Valid(scheduler);
    service
}

/// What has been done since the last call, in a word each.
fn steps(bed: &Bed) -> Vec<String> {
    let short = |line: &String| {
        let word = line.split([' ', '(']).next().unwrap_or_default();
        match line {
            _ if line.contains("SetService") => "exchange".to_owned(),
            _ => word.to_owned(),
        }
    };
    bed.kernel.take_log().iter().map(short).collect()
}

fn frontend(bed: &Bed) -> Mark {
    let state = bed.kernel.state();
    let mut marks = state.elements.iter().filter_map(|element| match element {
        Element::Service { mark, .. } => Some(*mark),
        _ => None,
    });
    marks.next().expect("a frontend")
}

#[test]
fn clients_meet_silence_while_schedulers_are_exchanged() {
    let mut bed = Bed::new();
    bed.set(&scheduled(web(), Scheduler::RoundRobin), &[near(), far()]);
    let served = frontend(&bed);
    bed.kernel.take_log();
    bed.set(
        &scheduled(web(), Scheduler::LeastConnection),
        &[near(), far()],
    );
    assert_eq!(steps(&bed), ["commit", "exchange", "commit"]);
    assert_eq!(frontend(&bed), served);
}

#[test]
fn they_are_led_back_if_the_kernel_refuses_the_exchange() {
    let mut bed = Bed::new();
    bed.set(&scheduled(web(), Scheduler::RoundRobin), &[near(), far()]);
    let served = frontend(&bed);
    bed.kernel.state().refuse.push("SetService".into());
    bed.set(
        &scheduled(web(), Scheduler::LeastConnection),
        &[near(), far()],
    );
    assert_eq!(frontend(&bed), served);
    assert_eq!(bed.served("10.96.0.10"), Some(2));
}

#[test]
fn a_restart_in_between_leads_them_back() {
    let mut bed = Bed::new();
    let service = scheduled(web(), Scheduler::RoundRobin);
    bed.set(&service, &[near(), far()]);
    let served = frontend(&bed);
    // Killed after the first transaction.
    let dropping = MarkRange::default().dropping(served);
    let mut state = bed.kernel.state();
    state.elements = state
        .elements
        .iter()
        .map(|element| match *element {
            Element::Service {
                ip, protocol, port, ..
            } => Element::Service {
                ip,
                protocol,
                port,
                mark: dropping,
            },
            other => other,
        })
        .collect();
    drop(state);
    assert_eq!(frontend(&bed), dropping);

    let mut bed = Bed::on(bed.kernel.clone());
    bed.set(&service, &[near(), far()]);
    assert_eq!(frontend(&bed), served);
}

#[test]
fn an_exchange_after_a_restart_pauses_too() {
    let mut bed = Bed::new();
    bed.set(&scheduled(web(), Scheduler::RoundRobin), &[near(), far()]);
    bed.kernel.take_log();
    let mut bed = Bed::on(bed.kernel.clone());
    bed.set(
        &scheduled(web(), Scheduler::LeastConnection),
        &[near(), far()],
    );
    assert_eq!(steps(&bed), ["commit", "exchange", "commit"]);
}

#[test]
fn flows_of_udp_go_on_meanwhile() {
    let mut web = web();
    web.ports[0].protocol = Protocol::Udp;
    let mut bed = Bed::new();
    bed.set(&scheduled(web.clone(), Scheduler::RoundRobin), &[near()]);
    bed.kernel.take_log();
    bed.set(&scheduled(web, Scheduler::LeastConnection), &[near()]);
    assert_eq!(steps(&bed), ["exchange"]);
}
