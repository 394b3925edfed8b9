mod affinity;
mod audit;
mod callback;
mod contested;
mod faults;
mod flows;
pub(crate) mod kernel;
mod leave;
mod pause;
mod policy;
mod property;

use super::*;
use crate::model::example::*;
use crate::model::{Endpoint, Family, Protocol, Service};
use crate::plan::{Here, plan};
use kernel::Kernel;

const DRAIN: Duration = Duration::from_mins(10);

/// A syncer over a kernel in memory, at a time of its own.
struct Bed {
    kernel: Kernel,
    syncer: Syncer<Kernel>,
    now: Instant,
}

impl Bed {
    fn new() -> Self {
        let mut bed = Self::on(Kernel::default());
        bed.syncer.sweep(bed.now);
        bed
    }

    /// Starts on a kernel as a previous run left it.
    fn on(kernel: Kernel) -> Self {
        let syncer = Syncer::new(kernel.clone(), MarkRange::default(), DRAIN).expect("a syncer");
        Self {
            kernel,
            syncer,
            now: Instant::now(),
        }
    }

    fn set(&mut self, service: &Service, endpoints: &[Endpoint]) {
        self.syncer.apply(
            vec![(service.id.clone(), planned(service, endpoints))],
            self.now,
        );
    }

    fn delete(&mut self, service: &Service) {
        self.syncer
            .apply(vec![(service.id.clone(), ServicePlan::new())], self.now);
    }

    /// Lets time pass until nothing is due within a minute.
    fn wait(&mut self) -> BTreeSet<ServiceId> {
        self.now += Duration::from_mins(1);
        self.syncer.tick(self.now)
    }

    /// The real servers of all virtual servers as `address weight`, sorted.
    fn reals(&self) -> Vec<String> {
        let state = self.kernel.state();
        let mut reals: Vec<String> = state
            .services
            .values()
            .flat_map(|(_, reals)| {
                reals
                    .iter()
                    .map(|real| format!("{} {}", real.ip, real.weight))
            })
            .collect();
        reals.sort();
        reals
    }

    /// Where connections to a frontend go: the real servers that take any, or none.
    fn served(&self, address: &str) -> Option<usize> {
        let state = self.kernel.state();
        let mark = state.elements.iter().find_map(|element| match element {
            Element::Service { ip: at, mark, .. } if *at == ip(address) => Some(*mark),
            _ => None,
        })?;
        let key = ServiceKey::Mark {
            family: Family::of(ip(address)),
            mark: mark.value(),
        };
        let reals = state
            .services
            .get(&key)
            .map(|(_, reals)| reals.as_slice())
            .unwrap_or_default();
        Some(reals.iter().filter(|real| real.weight > 0).count())
    }
}

fn planned(service: &Service, endpoints: &[Endpoint]) -> ServicePlan {
    let here = Here {
        node: "a1".into(),
        zone: Some("a".into()),
        ..Here::default()
    };
    let slices: Vec<_> = Family::ALL
        .into_iter()
        .map(|family| {
            let mine = endpoints
                .iter()
                .filter(|one| Family::of(one.ip) == family)
                .cloned();
            let mut slice = slice(&format!("{family}"), &service.id.name, mine.collect());
            slice.family = family;
            slice.ports[0].protocol = service.ports[0].protocol;
            slice
        })
        .collect();
    plan(service, &slices.iter().collect::<Vec<_>>(), &here)
}

fn web() -> Service {
    service("web", &["10.96.0.10"])
}

fn near() -> Endpoint {
    endpoint("10.1.1.5", "a1", "a")
}

fn far() -> Endpoint {
    endpoint("10.1.3.5", "b1", "b")
}

use crate::kernel::nft::Element;

#[test]
fn a_service_goes_live_last_and_dark_first() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    let log = bed.kernel.take_log();
    let kinds: Vec<&str> = log
        .iter()
        .filter_map(|line| line.split([' ', '(']).next())
        .collect();
    assert_eq!(kinds, ["ipvs", "ipvs", "ipvs", "bind", "commit"]);

    bed.delete(&web());
    let log = bed.kernel.take_log();
    let kinds: Vec<&str> = log
        .iter()
        .filter_map(|line| line.split([' ', '(']).next())
        .collect();
    assert_eq!(kinds, ["commit", "unbind", "ipvs"]);
    assert!(bed.kernel.is_bare());
}

#[test]
fn a_plan_that_is_in_place_sends_nothing() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.kernel.take_log();
    bed.set(&web(), &[near(), far()]);
    assert_eq!(bed.kernel.take_log(), Vec::<String>::new());
}

#[test]
fn one_endpoint_more_is_one_ipvs_command_and_no_transaction() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.take_log();
    bed.set(&web(), &[near(), far()]);
    assert_eq!(bed.kernel.take_log().len(), 1);
    assert_eq!(bed.reals(), ["10.1.1.5 100", "10.1.3.5 10"]);
}

#[test]
fn a_removed_endpoint_finishes_its_tcp_connections() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 3);
    bed.kernel.take_log();
    bed.set(&web(), &[near()]);
    assert_eq!(bed.kernel.take_commands(), 1);
    assert_eq!(bed.reals(), ["10.1.1.5 100", "10.1.3.5 0"]);

    bed.wait();
    assert_eq!(
        bed.reals(),
        ["10.1.1.5 100", "10.1.3.5 0"],
        "it has connections yet"
    );
    bed.kernel.state().connections.clear();
    bed.wait();
    assert_eq!(bed.reals(), ["10.1.1.5 100"]);
    assert_eq!(bed.syncer.deadline(), None, "nothing is left to wait for");
}

#[test]
fn a_removed_endpoint_that_never_finishes_is_deleted_in_the_end() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 1);
    bed.set(&web(), &[near()]);
    for _ in 0..9 {
        bed.wait();
    }
    assert_eq!(bed.reals().len(), 2, "nine minutes");
    bed.set(&web(), &[near()]);
    bed.wait();
    assert_eq!(
        bed.reals(),
        ["10.1.1.5 100"],
        "ten, and an unchanged plan did not start them anew"
    );
}

#[test]
fn an_endpoint_that_comes_back_while_it_drains_is_revived_in_place() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.set(&web(), &[near()]);
    bed.kernel.take_log();
    bed.set(&web(), &[near(), far()]);
    let log = bed.kernel.take_log();
    assert_eq!(log.len(), 1);
    assert!(log[0].contains("SetDestination"), "{log:?}");
    bed.wait();
    assert_eq!(bed.reals(), ["10.1.1.5 100", "10.1.3.5 10"]);
}

#[test]
fn a_removed_udp_endpoint_goes_at_once() {
    let mut dns = web();
    dns.ports[0].protocol = Protocol::Udp;
    let mut bed = Bed::new();
    bed.set(&dns, &[near(), far()]);
    bed.kernel.state().connections.insert(far().ip, 3);
    bed.set(&dns, &[near()]);
    assert_eq!(bed.reals(), ["10.1.1.5 100"]);
}

#[test]
fn without_endpoints_connections_are_refused_and_with_the_first_they_are_served() {
    let mut bed = Bed::new();
    let range = MarkRange::default();
    let refused = |bed: &Bed| {
        let state = bed.kernel.state();
        state.elements.iter().any(
            |element| matches!(element, Element::Service { mark, .. } if range.server(*mark) != Some(*mark)),
        )
    };
    bed.set(&web(), &[]);
    assert!(refused(&bed));
    bed.set(&web(), &[near()]);
    assert!(!refused(&bed));
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    bed.set(&web(), &[]);
    assert!(refused(&bed));
}

#[test]
fn services_that_share_an_address_keep_it_until_the_last_is_gone() {
    let mut bed = Bed::new();
    let mut other = service("other", &["10.96.0.10"]);
    other.ports[0].port = port(443);
    bed.set(&web(), &[near()]);
    bed.set(&other, &[near()]);
    bed.delete(&web());
    assert_eq!(bed.kernel.state().addresses.len(), 1);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
    bed.delete(&other);
    assert!(bed.kernel.state().addresses.is_empty());
}

#[test]
fn a_frontend_is_served_by_its_first_owner_and_then_by_the_next() {
    let mut bed = Bed::new();
    let twin = service("twin", &["10.96.0.10"]);
    bed.set(&web(), &[near(), far()]);
    bed.set(&twin, &[near()]);
    assert_eq!(bed.served("10.96.0.10"), Some(2), "the first keeps it");
    bed.delete(&web());
    assert_eq!(
        bed.wait(),
        BTreeSet::from([twin.id.clone()]),
        "the second is tried again"
    );
    bed.set(&twin, &[near()]);
    assert_eq!(bed.served("10.96.0.10"), Some(1));
}

#[test]
fn a_service_that_is_recreated_under_another_name_takes_over_in_one_step() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near()]);
    bed.kernel.take_log();
    let heir = service("heir", &["10.96.0.10"]);
    let change = vec![
        (heir.id.clone(), planned(&heir, &[near(), far()])),
        (web().id, ServicePlan::new()),
    ];
    bed.syncer.apply(change, bed.now);
    assert_eq!(bed.served("10.96.0.10"), Some(2));
    let log = bed.kernel.take_log();
    assert!(log.contains(&"commit -1 +1".to_owned()), "{log:?}");
    assert!(
        !log.iter().any(|line| line.starts_with("unbind")),
        "{log:?}"
    );
}

#[test]
fn a_restart_on_an_unchanged_cluster_changes_nothing() {
    let mut bed = Bed::new();
    let mut dual = service("dual", &["10.96.0.12", "fd00:96::12"]);
    dual.ports[0].node_port = Some(port(30080));
    dual.affinity_seconds = Some(60);
    bed.set(&web(), &[near(), far()]);
    bed.set(&dual, &[near(), endpoint("fd00:1::5", "a1", "a")]);
    bed.kernel.take_log();

    let mut next = Bed::on(bed.kernel.clone());
    next.set(&web(), &[near(), far()]);
    next.set(&dual, &[near(), endpoint("fd00:1::5", "a1", "a")]);
    next.syncer.sweep(next.now);
    assert_eq!(next.kernel.take_log(), Vec::<String>::new());
}

#[test]
fn a_restart_changes_only_what_has_changed_meanwhile() {
    let mut bed = Bed::new();
    let gone = service("gone", &["10.96.0.11"]);
    bed.set(&web(), &[near(), far()]);
    bed.set(&gone, &[near()]);

    let mut next = Bed::on(bed.kernel.clone());
    next.set(&web(), &[far()]);
    assert_eq!(
        next.served("10.96.0.11"),
        Some(1),
        "nothing goes before all is planned"
    );
    next.syncer.sweep(next.now);
    assert_eq!(next.served("10.96.0.10"), Some(1));
    assert_eq!(next.served("10.96.0.11"), None);
    assert_eq!(next.kernel.state().addresses.len(), 1);
    assert_eq!(next.reals(), ["10.1.1.5 0", "10.1.3.5 10"]);
}

#[test]
fn strangers_are_never_touched() {
    let kernel = Kernel::default();
    let stranger = ServiceKey::Address {
        protocol: Protocol::Tcp,
        ip: ip("192.0.2.1"),
        port: 80,
    };
    let marked = ServiceKey::Mark {
        family: Family::V4,
        mark: 7,
    };
    for key in [stranger, marked] {
        let service = crate::kernel::ipvs::Service::new(key, crate::kernel::ipvs::Name::RR);
        kernel.state().services.insert(key, (service, Vec::new()));
    }
    let mut bed = Bed::on(kernel);
    bed.set(&web(), &[near()]);
    bed.syncer.sweep(bed.now);
    bed.delete(&web());
    assert_eq!(
        bed.kernel
            .state()
            .services
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [marked, stranger]
    );
}
