//! The loop at the heart of the agent: one blocking thread that takes in events, plans what they
//! touched and has it programmed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use tracing::{debug, info};

use super::ground::Ground;
use super::inbox::{Inbox, Message};
use super::lacking::{Lacking, Policy};
use super::pace::Pacer;
use super::reporter::Reporter;
use super::routes;
use crate::capacity::{Controller, Key};
use crate::kernel::mark::Mark;
use crate::kernel::nft::Base;
use crate::model::{Family, Node, ServiceId};
use crate::plan::{Here, ServicePlan, plan, words};
use crate::serve::routes::PortRoutes;
use crate::serve::{Check, Knows};
use crate::snapshot::Snapshot;
use crate::sync::{Forgotten, Platform, Sent, Syncer};
use crate::watch::Event;

/// How many Services are planned and programmed in one go. Bounds the memory of a first sync, and
/// lets the first Services go live long before the last.
const ROUND: usize = 256;

/// How often to look whether somebody else has removed what is in the kernel.
const AUDIT: Duration = Duration::from_secs(10);

/// How many times are kept while the kernel takes nothing: beyond that, what is measured says
/// enough.
const MOST_TIMES: usize = 10_000;

/// What the core has to say to those who ask how it is doing.
pub trait Observer {
    /// An event has arrived.
    fn arrived(&self, event: &Event);
    /// Events wait for the kernel from now on. Not told before everything has been listed: while
    /// the API server does not answer there is nothing to be done, and a restart would not help.
    fn queued(&self);
    /// The core has done what there was to do, as far as the kernel let it.
    fn worked(&self, report: &Report);
    /// The capacity loop has looked at the kernel's counts.
    fn paced(&self, _controller: &Controller) {}
    /// The cluster has so many agents.
    fn agents(&self, _agents: u32) {}
    /// The kernel now serves what happened at these times, each in a family.
    fn programmed(&self, _since: &[(Family, SystemTime)]) {}
    /// A Service has been looked at: this is to be said at its health-check node port, if it has
    /// one.
    fn checked(&self, _service: &ServiceId, _check: Option<Check>) {}
    /// So many service ports have endpoints, but none on this node, though this policy asks for such.
    fn lacking(&self, _ports: &[(Policy, Family, usize)]) {}
    /// This agent's own Node is known to be like this.
    fn node(&self, node: &Node);
    /// Node ports are served at this node's addresses in these networks.
    fn node_ports(&self, _networks: &[IpNet]) {}
}

/// The state after a sync, or after an attempt at one.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Whether all that has arrived is in the kernel, but for single Services that fail.
    pub synced: bool,
    /// How long the first of the events that it covers has been waiting; `None` if none was.
    pub waited: Option<Duration>,
    /// How many Services there are.
    pub services: usize,
    /// How many endpoints there are.
    pub endpoints: usize,
    /// How many Services were planned again.
    pub planned: usize,
    /// How many objects failed and wait to be tried again.
    pub failing: usize,
    /// What has been sent to the kernel since the start.
    pub sent: Sent,
    /// UDP flows that the kernel was made to forget since the start.
    pub forgotten: Forgotten,
}

/// One node's proxy: its picture of the cluster, and its hands in the kernel.
#[derive(Debug)]
pub struct Core<P, O> {
    snapshot: Snapshot,
    syncer: Syncer<P>,
    pacer: Pacer,
    reporter: Option<Reporter>,
    lacking: Lacking,
    ground: Option<(Ground, Base)>,
    here: Here,
    observer: O,
    /// Since when events wait to be in the kernel.
    queued: Option<Instant>,
    /// When what waits to be in the kernel happened, as far as that is known.
    since: Vec<(Family, SystemTime)>,
    /// Whether what a previous run left has been removed.
    swept: bool,
    /// When to look whether somebody else has removed anything.
    audit: Option<Instant>,
    /// Whether there has been a complete sync.
    complete: bool,
}

impl<P: Platform, O: Observer> Core<P, O> {
    /// A core that knows nothing of the cluster yet, but its id and the Node's first address where
    /// `here` has them.
    pub fn new(syncer: Syncer<P>, pacer: Pacer, here: Here, observer: O) -> Self {
        let id = Some(here.cluster.clone()).filter(|id| !id.is_empty());
        Self {
            snapshot: Snapshot::of_cluster(id).on_node_at(here.ips.first().copied()),
            syncer,
            pacer,
            reporter: None,
            lacking: Lacking::default(),
            ground: None,
            here,
            observer,
            queued: None,
            since: Vec::new(),
            swept: false,
            audit: None,
            complete: false,
        }
    }

    /// The same, exchanging reports with the other nodes.
    #[must_use]
    pub fn with_reporter(mut self, reporter: Option<Reporter>) -> Self {
        self.reporter = reporter;
        self
    }

    /// The same, over a table whose rules are made from this ground and stand as in `base`.
    #[must_use]
    pub fn with_ground(mut self, ground: Ground, base: Base) -> Self {
        self.ground = Some((ground, base));
        self
    }

    /// Works until it is stopped.
    pub fn run(mut self, inbox: &Inbox) {
        while !inbox.is_stopping() {
            self.turn(inbox);
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self, inbox: &Inbox) {
        let deadlines = self.syncer.deadline().into_iter();
        let deadlines = deadlines.chain(self.pacer.deadline());
        let deadline = deadlines.chain(self.audit).min();
        let mut asked = Vec::new();
        let mut any = false;
        for message in inbox.receive(deadline) {
            match message {
                Message::Event(event) => {
                    any = true;
                    self.observer.arrived(&event);
                    self.take(event);
                }
                Message::Defaults(defaults) => {
                    any = true;
                    self.here.weights = defaults.weights;
                    self.here.scheduler = defaults.scheduler;
                    self.here.defaults = defaults.tuning;
                    self.here.without_external_ips = !defaults.external_ips;
                    if let Some((ground, _)) = &mut self.ground {
                        *ground = defaults.ground;
                    }
                    self.snapshot.touch_all();
                }
                Message::Ask(ask) => asked.push(ask),
                Message::Stop => {}
            }
        }
        // Before everything has been listed, what is missing may just not have arrived.
        if self.snapshot.is_complete() {
            if any {
                self.queued.get_or_insert_with(Instant::now);
                self.observer.queued();
            }
            let complete = self.complete;
            if any {
                self.lay_ground();
            }
            self.sync(inbox);
            // Only now is it known what is allocated.
            if self.complete != complete {
                self.lay_ground();
            }
            if let Some(reporter) = &mut self.reporter {
                reporter.tick(&mut self.pacer, self.here.zone.as_ref(), Instant::now());
            }
            if self.pacer.tick(&mut self.syncer, Instant::now()) {
                self.observer.paced(self.pacer.controller());
            }
        }
        // Connections go before curiosity, and the answer is what the kernel now holds.
        for ask in asked {
            ask.answer(self);
        }
    }

    fn take(&mut self, event: Event) {
        let about_node = matches!(event, Event::Node(_));
        let about_cluster = matches!(event, Event::ClusterId(_));
        self.snapshot.apply(event);
        if about_node {
            let node = self.snapshot.node();
            self.here.zone.clone_from(&node.zone);
            self.here.ips.clone_from(&node.ips);
            self.here.tuning.clone_from(&node.tuning);
            self.observer.node(node);
        }
        if about_cluster {
            self.here.cluster = self.snapshot.cluster_id().cloned().unwrap_or_default();
        }
    }

    /// Has the table's rules made again, if what they are made from has changed.
    fn lay_ground(&mut self) {
        let Some((ground, laid)) = &mut self.ground else {
            return;
        };
        let networks = if self.complete {
            self.snapshot.service_networks()
        } else {
            Vec::new()
        };
        let base = ground.base(self.snapshot.node(), networks);
        self.observer.node_ports(&base.node_port_networks);
        if base != *laid {
            debug!(?base, "the table's rules change");
            laid.clone_from(&base);
            self.syncer.rewrite(base, Instant::now());
        }
    }

    fn sync(&mut self, inbox: &Inbox) {
        if let Some(neighbours) = self.snapshot.take_neighbours() {
            self.here.neighbours = neighbours;
        }
        let mut touched = self.snapshot.take_touched();
        if self.since.len() < MOST_TIMES {
            self.since.extend(self.snapshot.take_since());
        }
        let now = Instant::now();
        touched.append(&mut self.syncer.tick(now));
        if self.audit.is_some_and(|due| due <= now) {
            touched.append(&mut self.syncer.audit(now));
            self.audit = Some(now + AUDIT);
        }
        let planned = touched.len();
        if let Some(reporter) = &mut self.reporter
            && let Some(agents) = reporter.count(&touched, &self.snapshot, &mut self.pacer)
        {
            self.observer.agents(agents);
        }
        if !self.program(touched, inbox) {
            return;
        }
        if planned > 0 {
            self.observer.lacking(&self.lacking.count());
        }
        if !self.swept {
            self.swept = true;
            self.audit = Some(Instant::now() + AUDIT);
            self.syncer.sweep(Instant::now());
        }
        self.report(planned);
    }

    /// Tells how far it got, also after a tick: a retry may have failed again, or brought the end
    /// of a failure.
    fn report(&mut self, planned: usize) {
        let services = self.snapshot.service_count();
        let failing = self.syncer.failing();
        // A Service that fails is that Service's trouble, and may serve for the most part. When what
        // all of them share fails, nothing new gets through to the kernel.
        let stuck = self.syncer.shared_is_failing();
        if !stuck && !self.complete {
            self.complete = true;
            info!(services, failing, "the kernel holds the whole cluster");
        }
        let waited = self.queued.map(|since| since.elapsed());
        self.observer.worked(&Report {
            synced: !stuck,
            waited,
            services,
            endpoints: self.snapshot.endpoint_count(),
            planned,
            failing,
            sent: self.syncer.sent(),
            forgotten: self.syncer.forgotten(),
        });
        if !stuck && let Some(elapsed) = waited {
            debug!(planned, failing, ?elapsed, "synced");
            self.queued = None;
            self.observer.programmed(&std::mem::take(&mut self.since));
        }
    }

    /// Plans and programs Services; false if it was stopped in between.
    fn program(&mut self, touched: BTreeSet<ServiceId>, inbox: &Inbox) -> bool {
        let touched: Vec<ServiceId> = touched.into_iter().collect();
        for round in touched.chunks(ROUND) {
            if inbox.is_stopping() {
                return false;
            }
            let now = Instant::now();
            let mut plans = Vec::with_capacity(round.len());
            for id in round {
                let slices = self.snapshot.slices(id);
                let service = self.snapshot.service(id);
                let families = self.here.families();
                let check =
                    service.and_then(|it| Check::of(it, &slices, &self.here.node, families));
                self.observer.checked(id, check);
                let mut plan = service.map_or_else(ServicePlan::new, |service| {
                    plan(service, &slices, &self.here)
                });
                if let Some(reporter) = &mut self.reporter {
                    reporter.planned(id, &plan, &slices, &self.here);
                }
                self.lacking.planned(id, &plan);
                self.pacer.arrange(id, &mut plan, &mut self.syncer, now);
                plans.push((id.clone(), plan));
            }
            self.syncer.apply(plans, now);
        }
        true
    }
}

impl<P: Platform, O> Knows for Core<P, O> {
    fn names(&self) -> Vec<ServiceId> {
        self.snapshot.names()
    }

    fn routes(&mut self, service: &ServiceId) -> Vec<PortRoutes> {
        let Some(known) = self.snapshot.service(service) else {
            return Vec::new();
        };
        let slices = self.snapshot.slices(service);
        let plan = plan(known, &slices, &self.here);
        let mut routes = routes::planned(&plan, &words(known, &slices, &self.here));
        for ((id, plan), routes) in plan.iter().zip(&mut routes) {
            routes.mark = self.syncer.mark(id).map(Mark::value);
            for (server, family) in plan.servers.iter().zip(&mut routes.families) {
                // What cannot be read just is not shown.
                let counts = self.syncer.counts(id, server.family).unwrap_or_default();
                let key = Key {
                    id: id.clone(),
                    family: server.family,
                };
                let standing = self.pacer.controller().standing(&key);
                routes::counted(family, server, &counts, standing.as_ref());
            }
        }
        routes
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
