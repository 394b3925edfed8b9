//! Given that level `self` is in use, a pod that calls its own service gets itself.

use std::num::NonZeroU32;

use super::*;
use crate::model::{Capacity, EndpointSet, Mode, Said, Scheduler, SetId};

const OWN: [Level; 4] = [Level::Own, Level::Node, Level::Zone, Level::Cluster];

/// Two endpoints on this node, one elsewhere.
fn pods() -> EndpointSlice {
    slice(
        "web-1",
        "web",
        vec![
            endpoint("10.1.1.5", "a1", "a"),
            endpoint("10.1.1.6", "a1", "a"),
            endpoint("10.1.3.5", "b1", "b"),
        ],
    )
}

fn web(tune: impl FnOnce(&mut Tuning)) -> Service {
    let mut web = service("web", &["10.96.0.10"]);
    web.tuning.levels = Said::Valid(OWN.to_vec());
    tune(&mut web.tuning);
    web
}

/// What the pod at this address gets when it calls the service.
fn from<'a>(plan: &'a ServicePlan, client: &str) -> Option<&'a PortPlan> {
    let set = EndpointSet::Own(ip(client));
    let mut sets = plan.iter();
    sets.find_map(|(id, plan)| (id.set == set).then_some(plan))
}

fn ranks(plan: &PortPlan) -> Vec<(u8, Level, String)> {
    let reals = plan.servers.iter().flat_map(|server| &server.reals);
    let mut ranks: Vec<_> = reals
        .map(|real| (real.rank, real.level, real.ip.to_string()))
        .collect();
    ranks.sort();
    ranks
}

fn limited(tuning: &mut Tuning) {
    let capacity = NonZeroU32::new(25).expect("a capacity");
    tuning.capacity = Said::Valid(Capacity::Connections(capacity));
}

#[test]
fn each_pod_of_this_node_gets_itself_and_nobody_else() {
    let plan = plan(&web(|_| {}), &[&pods()], &here());
    assert_eq!(plan.len(), 3, "all clients, and two that are endpoints");
    for client in ["10.1.1.5", "10.1.1.6"] {
        let own = from(&plan, client).expect("a set of its own");
        assert_eq!(ranks(own), [(0, Level::Own, client.to_owned())]);
        let virtual_address = Frontend::Own(ip(client), ip("10.96.0.10"), port(80));
        assert_eq!(own.frontends, [virtual_address]);
    }
    assert!(from(&plan, "10.1.3.5").is_none(), "another node's business");
}

#[test]
fn all_other_clients_get_what_they_would_get_anyway() {
    let asked = plan(&web(|_| {}), &[&pods()], &here());
    let usual = plan(&service("web", &["10.96.0.10"]), &[&pods()], &here());
    assert_eq!(usual.len(), 1, "level self is only there where asked for");
    for (id, plan) in usual {
        assert_eq!(asked.get(&id), Some(&plan));
    }
}

#[test]
fn a_pod_that_is_full_goes_to_the_others_in_their_order() {
    let spill = |tuning: &mut Tuning| {
        limited(tuning);
        tuning.routing = Said::Valid(Mode::Spill);
    };
    let plan = plan(&web(spill), &[&pods()], &here());
    let own = from(&plan, "10.1.1.5").expect("a set of its own");
    assert_eq!(own.servers[0].style, Style::Ladder);
    assert_eq!(
        ranks(own),
        [
            (0, Level::Own, "10.1.1.5".to_owned()),
            (1, Level::Node, "10.1.1.6".to_owned()),
            (2, Level::Cluster, "10.1.3.5".to_owned()),
        ]
    );
}

#[test]
fn where_others_divide_by_weights_a_pod_still_comes_first_for_itself() {
    for mode in [Mode::Prefer, Mode::Balance] {
        let tune = |tuning: &mut Tuning| {
            limited(tuning);
            tuning.routing = Said::Valid(mode);
            tuning.scheduler = Said::Valid(Scheduler::RoundRobin);
        };
        let plan = plan(&web(tune), &[&pods()], &here());
        let own = from(&plan, "10.1.1.5").expect("a set of its own");
        assert_eq!(own.servers[0].style, Style::Ladder, "{mode:?}");
        let ranks: Vec<u8> = ranks(own).into_iter().map(|(rank, ..)| rank).collect();
        assert_eq!(ranks, [0, 1, 1], "{mode:?}");
    }
}

#[test]
fn a_pod_that_is_not_ready_is_a_client_like_any_other() {
    let mut pods = pods();
    pods.endpoints[0].conditions.ready = false;
    let plan = plan(&web(|_| {}), &[&pods], &here());
    assert!(from(&plan, "10.1.1.5").is_none());
    assert!(from(&plan, "10.1.1.6").is_some());
}

#[test]
fn a_pod_with_two_families_gets_itself_over_both() {
    let web = {
        let mut web = service("web", &["10.96.0.10", "fd00:10:96::10"]);
        web.tuning.levels = Said::Valid(OWN.to_vec());
        web
    };
    let six = EndpointSlice {
        family: Family::V6,
        ..slice("web-2", "web", vec![endpoint("fd00:10:1::5", "a1", "a")])
    };
    let plan = plan(&web, &[&pods(), &six], &here());
    let own = from(&plan, "fd00:10:1::5").expect("a set of its own");
    let address = Frontend::Own(ip("fd00:10:1::5"), ip("fd00:10:96::10"), port(80));
    assert_eq!(own.frontends, [address]);
    let ids: Vec<&SetId> = plan.keys().collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
}
