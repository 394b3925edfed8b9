//! Who has the last word on a Service's routing.

use std::num::NonZeroU32;

use super::*;
use crate::model::{Capacity, Mode, Remote, RemoteUse, Said, Scheduler, SliceCapacity};

fn connections(number: u32) -> Capacity {
    Capacity::Connections(NonZeroU32::new(number).expect("a capacity"))
}

fn said(service: &Service, slices: &[EndpointSlice], here: &Here) -> Vec<(String, By)> {
    let slices: Vec<&EndpointSlice> = slices.iter().collect();
    let words = words(service, &slices, here).into_iter();
    words
        .map(|word| (format!("{} {}", word.part, word.value), word.by))
        .collect()
}

fn pods() -> EndpointSlice {
    let pods = [("10.1.1.5", "a1"), ("10.1.2.5", "a2")];
    let pods = pods.map(|(ip, node)| endpoint(ip, node, "a"));
    slice("web-1", "web", pods.into())
}

#[test]
fn where_nobody_says_anything_the_configuration_does() {
    let web = service("web", &["10.96.0.10"]);
    let all = By::Configuration;
    assert_eq!(
        said(&web, &[pods()], &here()),
        [
            ("routing prefer".into(), all),
            ("weights node=100,zone=30,cluster=10,remote=1".into(), all),
            ("levels node,zone,cluster,remote".into(), all),
            ("capacity unlimited".into(), all),
            ("remote fallback".into(), all),
        ]
    );
}

#[test]
fn the_service_speaks_before_the_node_and_that_before_the_configuration() {
    let mut web = service("web", &["10.96.0.10"]);
    web.tuning.routing = Said::Valid(Mode::Spill);
    web.affinity_seconds = Some(60);
    let mut here = here();
    here.defaults.capacity = Said::Valid(connections(100));
    here.tuning.all.routing = Said::Valid(Mode::Balance);
    here.tuning.all.capacity = Said::Valid(connections(25));
    here.tuning.all.affinity_yield = Said::Valid(true);
    here.tuning.all.remote = Said::Valid(Remote {
        when: RemoteUse::Fallback,
        order: vec!["b".into()],
    });
    here.tuning.capacity_percent = Said::Valid(NonZeroU32::new(150).expect("a factor"));
    assert_eq!(
        said(&web, &[pods()], &here),
        [
            ("routing spill".into(), By::Service),
            ("levels node,zone,cluster,remote".into(), By::Configuration),
            // A node speaks of its own pods.
            ("capacity 25".into(), By::Node),
            ("capacity 100".into(), By::Configuration),
            ("capacity-factor 1.5".into(), By::Node),
            ("remote fallback:b".into(), By::Node),
            ("affinity-yield true".into(), By::Node),
        ]
    );
}

#[test]
fn slices_speak_of_their_endpoints_before_the_service() {
    let mut web = service("web", &["10.96.0.10"]);
    web.tuning.capacity = Said::Valid(connections(80));
    let mut slices = [pods()];
    slices[0].capacity = Said::Valid(SliceCapacity {
        default: None,
        of: vec![(ip("10.1.2.5"), connections(30))],
    });
    let capacities = |slices: &[EndpointSlice]| -> Vec<(String, By)> {
        let words = said(&web, slices, &here());
        let of = words.into_iter();
        of.filter(|(word, _)| word.starts_with("capacity"))
            .collect()
    };
    assert_eq!(
        capacities(&slices),
        [
            ("capacity 30".into(), By::Slice),
            ("capacity 80".into(), By::Service),
        ]
    );
    slices[0].capacity = Said::Valid(SliceCapacity {
        default: Some(Capacity::Unlimited),
        of: vec![(ip("10.1.2.5"), connections(30))],
    });
    let spread = ("capacity 30 to unlimited".into(), By::Slice);
    assert_eq!(capacities(&slices), [spread]);
    // A Service without endpoints says it as well.
    assert_eq!(capacities(&[]), [("capacity 80".into(), By::Service)]);
}

#[test]
fn a_scheduler_that_is_another_one_for_udp_says_why() {
    let mut web = service("web", &["10.96.0.10"]);
    web.tuning.scheduler = Said::Valid(Scheduler::ShortestExpectedDelay);
    let scheduler = |web: &Service| {
        let words = said(web, &[pods()], &here()).into_iter();
        let mut words = words.map(|(word, _)| word);
        words.find(|word| word.starts_with("scheduler"))
    };
    assert_eq!(scheduler(&web).as_deref(), Some("scheduler sed"));
    web.ports.push(service_port("dns", Protocol::Udp, 53));
    assert_eq!(
        scheduler(&web).as_deref(),
        Some("scheduler sed (wlc for UDP, whose flows sed does not count)")
    );
}
