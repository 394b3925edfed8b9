//! What the core reports, over a kernel in memory.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;

use super::*;
use crate::agent::{Defaults, Feed};
use crate::capacity::Pace;
use crate::kernel::mark::MarkRange;
use crate::kernel::nft::Pods;
use crate::model::example::*;
use crate::model::{Capacity, Endpoint, Said, Scheduler, ServiceCidr, Tuning, Weights};
use crate::sync::tests::kernel::Kernel;
use crate::watch::Change;

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Ears {
    reports: Rc<RefCell<Vec<Report>>>,
    /// How many virtual servers with a capacity there were when it was last told of them.
    paced: Rc<RefCell<Option<usize>>>,
}

impl Observer for Ears {
    fn arrived(&self, _: &Event) {}

    fn queued(&self) {}

    fn worked(&self, report: &Report) {
        self.reports.borrow_mut().push(*report);
    }

    fn paced(&self, controller: &Controller) {
        *self.paced.borrow_mut() = Some(controller.keys().count());
    }

    fn node(&self, _: &Node) {}
}

struct Bed {
    kernel: Kernel,
    core: Core<Kernel, Ears>,
    feed: Feed,
    inbox: Inbox,
    ears: Ears,
}

impl Bed {
    /// A core over this kernel, to which everything has been listed: so many Services.
    fn new(kernel: Kernel, services: u8) -> Self {
        Self::of(kernel, services, Here::default())
    }

    /// The same, of which this much is known from the start.
    fn of(kernel: Kernel, services: u8, here: Here) -> Self {
        let drain = Duration::from_mins(10);
        let syncer = Syncer::new(kernel.clone(), MarkRange::default(), drain).unwrap();
        let (feed, inbox) = Feed::new();
        let ears = Ears::default();
        let pacer = Pacer::new(Pace::default(), "a1");
        let core = Core::new(syncer, pacer, here, ears.clone());
        let bed = Self {
            kernel,
            core,
            feed,
            inbox,
            ears,
        };
        for number in 1..=services {
            let name = format!("web-{number}");
            let web = service(&name, &[&format!("10.96.0.{number}")]);
            let pod = endpoint(&format!("10.1.0.{number}"), "east-2", "b");
            bed.feed.send(Event::Service(Change::Apply(web)));
            let slice = slice(&name, &name, vec![pod]);
            bed.feed.send(Event::Slice(Change::Apply(slice)));
        }
        bed.feed.send(Event::Service(Change::Listed));
        bed.feed.send(Event::Slice(Change::Listed));
        bed.feed.send(Event::Import(Change::Listed));
        bed.feed.send(Event::Node(Change::Listed));
        bed.feed.send(Event::Neighbour(Change::Listed));
        bed.feed.send(Event::ClusterId(Change::Listed));
        bed
    }

    /// Lets the core do what there is to do, waiting for a retry if there is nothing else, and
    /// returns what it reports.
    fn turn(&mut self) -> Report {
        self.core.turn(&self.inbox);
        self.ears.reports.borrow_mut().pop().expect("a report")
    }
}

#[test]
fn nothing_is_synced_while_what_services_share_fails() {
    let kernel = Kernel::default();
    kernel.state().refuse_transactions = true;
    let mut bed = Bed::new(kernel, 2);
    let first = bed.turn();
    assert!(!first.synced && first.failing == 1, "{first:?}");

    // A retry is reported as well, with all failures so far.
    let retried = bed.turn();
    assert!(!retried.synced, "{retried:?}");
    assert!(retried.sent.shared_failed > first.sent.shared_failed);

    bed.kernel.state().refuse_transactions = false;
    let last = bed.turn();
    assert!(last.synced && last.failing == 0, "{last:?}");
    // Since the first event.
    assert!(last.waited > retried.waited, "{last:?}");
}

#[test]
fn a_service_that_fails_keeps_no_other_from_being_synced() {
    let kernel = Kernel::default();
    kernel.state().refuse.push("10.1.0.1".into());
    let mut bed = Bed::new(kernel, 2);
    let report = bed.turn();
    assert!(report.synced && report.failing == 1, "{report:?}");
    let retried = bed.turn();
    assert!(retried.synced && retried.waited.is_none(), "{retried:?}");
    assert!(retried.sent.commands_failed > report.sent.commands_failed);
}

#[test]
fn nothing_is_synced_while_ipvs_does_not_answer() {
    let kernel = Kernel::default();
    kernel.state().ipvs_is_gone = true;
    let mut bed = Bed::new(kernel, 2);
    let report = bed.turn();
    assert!(!report.synced && report.failing == 2, "{report:?}");
    bed.kernel.state().ipvs_is_gone = false;
    assert!(bed.turn().synced);
}

#[test]
fn services_that_all_have_one_address_refused_are_synced_and_failing() {
    let kernel = Kernel::default();
    kernel.state().refuse_addresses.insert(ip("10.96.0.1"));
    let mut bed = Bed::new(kernel, 1);
    let report = bed.turn();
    assert!(report.synced && report.failing == 1, "{report:?}");
}

#[test]
fn a_cluster_without_services_is_synced() {
    assert!(Bed::new(Kernel::default(), 0).turn().synced);
}

/// A kernel may have connections of an endpoint that it is given, of an earlier life.
#[test]
fn an_endpoint_that_the_kernel_did_not_have_is_looked_at_at_once() {
    let mut bed = Bed::new(Kernel::default(), 0);
    let mut web = service("web", &["10.96.0.1"]);
    web.tuning.capacity = Said::Valid(Capacity::Connections(NonZeroU32::new(10).unwrap()));
    bed.feed.send(Event::Service(Change::Apply(web)));
    let pods = ["10.1.0.1", "10.1.0.2"].map(|pod| endpoint(pod, "east-2", "b"));
    let slice = |pods: &[Endpoint]| Event::Slice(Change::Apply(slice("web", "web", pods.into())));
    bed.feed.send(slice(&pods[..1]));
    bed.turn();
    bed.kernel.state().connections.insert(pods[1].ip, 7);
    bed.feed.send(slice(&pods));
    bed.turn();
    let controller = bed.core.pacer.controller();
    let key = controller.keys().next().expect("a virtual server");
    let standing = controller.standing(key).expect("with a capacity");
    assert_eq!(standing.ranks[0].load, 7);
}

/// The ground of an agent with this configuration.
fn ground(text: &str) -> Ground {
    let text = format!("hostnameOverride: a1\n{text}");
    let overrides = crate::config::Overrides::default();
    let read = crate::config::parse(&text, "config.conf".as_ref(), &overrides);
    Ground::new(&read.unwrap().0)
}

impl Bed {
    fn on(mut self, ground: Ground) -> Self {
        let base = ground.base(&Node::default(), Vec::new());
        self.core = self.core.with_ground(ground, base);
        self
    }

    /// What the table's rules have been made from since the start.
    fn base(&self) -> Option<Base> {
        self.kernel.state().base.clone()
    }
}

fn cidr() -> Event {
    Event::ServiceCidr(Change::Apply(ServiceCidr {
        name: "kubernetes".into(),
        networks: vec!["10.96.0.0/16".parse().unwrap()],
    }))
}

#[test]
fn rules_that_need_not_change_are_left_alone() {
    let mut bed = Bed::new(Kernel::default(), 1).on(ground(""));
    bed.turn();
    assert_eq!(bed.base(), None);
}

#[test]
fn the_networks_of_virtual_addresses_count_after_the_first_sync_and_not_before() {
    let kernel = Kernel::default();
    kernel.state().refuse_transactions = true;
    let mut bed = Bed::new(kernel, 1).on(ground(""));
    bed.feed.send(cidr());
    assert!(!bed.turn().synced);
    assert_eq!(bed.base(), None);
    bed.kernel.state().refuse_transactions = false;
    assert!(bed.turn().synced);
    let base = bed.base().expect("other rules");
    assert_eq!(base.service_networks, ["10.96.0.0/16".parse().unwrap()]);
    let log = bed.kernel.take_log();
    let place = |what: &str| log.iter().position(|line| line.starts_with(what));
    assert!(place("commit") < place("rewrite"), "{log:?}");
}

#[test]
fn pods_and_node_ports_follow_the_node() {
    let ground = ground("detectLocalMode: NodeCIDR\nnodePortAddresses: [primary]");
    let mut bed = Bed::new(Kernel::default(), 1).on(ground);
    for (address, pods) in [("192.0.2.1", "10.1.1.0/24"), ("192.0.2.2", "10.1.2.0/24")] {
        bed.feed.send(Event::Node(Change::Apply(Node {
            ips: vec![ip(address)],
            pod_cidrs: vec![pods.parse().unwrap()],
            ..Node::default()
        })));
        bed.turn();
        let base = bed.base().expect("other rules");
        assert_eq!(base.pods, Pods::Within(vec![pods.parse().unwrap()]));
        let networks = [format!("{address}/32"), "::/0".to_owned()].map(|it| it.parse().unwrap());
        assert_eq!(base.node_port_networks, networks);
    }
}

#[test]
fn the_primary_address_is_the_bind_address_where_there_is_one() {
    let here = Here {
        ips: vec![ip("192.0.2.2")],
        ..Here::default()
    };
    let ground = ground("nodePortAddresses: [primary]");
    let mut bed = Bed::of(Kernel::default(), 1, here).on(ground);
    bed.feed.send(Event::Node(Change::Apply(Node {
        ips: ["192.0.2.1", "2001:db8::1"].map(ip).into(),
        ..Node::default()
    })));
    bed.turn();
    let networks = ["192.0.2.2/32", "2001:db8::1/128"].map(|it| it.parse().unwrap());
    assert_eq!(bed.base().unwrap().node_port_networks, networks);
    assert_eq!(bed.core.here.ips[0], ip("192.0.2.2"), "for source ranges");
}

#[test]
fn who_is_a_pod_and_who_is_masqueraded_may_change_while_the_agent_runs() {
    let mut bed = Bed::new(Kernel::default(), 1).on(ground(""));
    bed.turn();
    let text = "clusterCIDR: 10.1.0.0/16\niptables: {masqueradeAll: true}";
    bed.feed.defaults(Defaults {
        weights: Weights::default(),
        scheduler: Scheduler::default(),
        tuning: Tuning::default(),
        ground: ground(text),
        external_ips: true,
    });
    assert!(bed.turn().synced);
    let base = bed.base().expect("other rules");
    assert_eq!(
        base.pods,
        Pods::Within(vec!["10.1.0.0/16".parse().unwrap()])
    );
    assert!(base.masquerade_all);
}

#[test]
fn rules_that_the_kernel_refuses_are_tried_again() {
    let mut bed = Bed::new(Kernel::default(), 1).on(ground(""));
    assert!(bed.turn().synced);
    bed.kernel.state().refuse_rules = true;
    bed.feed.send(cidr());
    bed.turn();
    assert!(!bed.turn().synced);
    assert_eq!(bed.base(), None);
    bed.kernel.state().refuse_rules = false;
    assert!(bed.turn().synced);
    assert!(bed.base().is_some());
}

#[test]
fn who_watches_levels_hears_of_the_end_of_the_last_one() {
    let mut bed = Bed::new(Kernel::default(), 0);
    let mut web = service("web", &["10.96.0.1"]);
    let ten = NonZeroU32::new(10).expect("a capacity");
    web.tuning.capacity = Said::Valid(Capacity::Connections(ten));
    let pods = vec![endpoint("10.1.0.1", "east-2", "b")];
    let slice = slice("web", "web", pods);
    bed.feed.send(Event::Service(Change::Apply(web.clone())));
    bed.feed.send(Event::Slice(Change::Apply(slice)));
    bed.turn();
    assert_eq!(*bed.ears.paced.borrow(), Some(1));
    web.tuning.capacity = Said::Nothing;
    bed.feed.send(Event::Service(Change::Apply(web)));
    bed.turn();
    assert_eq!(*bed.ears.paced.borrow(), Some(0));
}
