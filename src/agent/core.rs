//! The loop at the heart of the agent: one blocking thread that takes in events, plans what they
//! touched and has it programmed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, info};

use super::pace::Pacer;
use super::reporter::Reporter;
use super::routes;
use crate::capacity::{Controller, Key};
use crate::kernel::mark::Mark;
use crate::model::{EndpointSlice, Node, ServiceId};
use crate::plan::{Here, ServicePlan, plan, words};
use crate::serve::routes::PortRoutes;
use crate::serve::{Ask, Knows};
use crate::snapshot::Snapshot;
use crate::sync::{Platform, Sent, Syncer};
use crate::watch::Event;

/// How many Services are planned and programmed in one go. Bounds the memory of a first sync, and
/// lets the first Services go live long before the last.
const ROUND: usize = 256;

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
    /// This agent's own Node is known to be like this.
    fn node(&self, node: &Node);
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
}

/// What arrives in the inbox.
#[derive(Debug)]
enum Message {
    Event(Event),
    Ask(Ask),
    /// Wakes the core, which looks whether it is to stop.
    Stop,
}

/// The sending end: how the watches feed the core, how it is asked, and how it is stopped.
#[derive(Clone, Debug)]
pub struct Feed {
    messages: mpsc::Sender<Message>,
    stopping: Arc<AtomicBool>,
    /// Closed when the inbox is gone.
    alive: watch::Sender<()>,
}

impl Feed {
    /// A feed, and the inbox that belongs to it.
    pub fn new() -> (Self, Inbox) {
        let (sender, messages) = mpsc::channel();
        let (alive, lifeline) = watch::channel(());
        let stopping = Arc::new(AtomicBool::new(false));
        let inbox = Inbox {
            messages,
            stopping: stopping.clone(),
            _lifeline: lifeline,
        };
        (
            Self {
                messages: sender,
                stopping,
                alive,
            },
            inbox,
        )
    }

    /// Hands over an event. After a stop it is dropped.
    pub fn send(&self, event: Event) {
        // A core that has ended needs no more events.
        let _ = self.messages.send(Message::Event(event));
    }

    /// Asks the core something. After a stop there is no answer: the way back is closed.
    pub fn ask(&self, ask: Ask) {
        let _ = self.messages.send(Message::Ask(ask));
    }

    /// Asks the core to end when it has finished the round it is in.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.messages.send(Message::Stop);
    }

    /// Waits until the core has ended.
    pub async fn closed(&self) {
        self.alive.closed().await;
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Inbox {
    messages: Receiver<Message>,
    stopping: Arc<AtomicBool>,
    _lifeline: watch::Receiver<()>,
}

impl Inbox {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits for a message, at most until `deadline`; then takes all that have arrived. Several
    /// changes of one object in a burst so become one.
    fn receive(&self, deadline: Option<Instant>) -> Vec<Message> {
        let first = match deadline {
            Some(at) => self
                .messages
                .recv_timeout(at.saturating_duration_since(Instant::now())),
            None => self
                .messages
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            self.stopping.store(true, Ordering::Relaxed);
        }
        first.into_iter().chain(self.messages.try_iter()).collect()
    }
}

/// One node's proxy: its picture of the cluster, and its hands in the kernel.
#[derive(Debug)]
pub struct Core<P, O> {
    snapshot: Snapshot,
    syncer: Syncer<P>,
    pacer: Pacer,
    reporter: Option<Reporter>,
    here: Here,
    observer: O,
    /// Since when events wait to be in the kernel.
    queued: Option<Instant>,
    /// Whether what a previous run left has been removed.
    swept: bool,
    /// Whether there has been a complete sync.
    complete: bool,
}

impl<P: Platform, O: Observer> Core<P, O> {
    /// A core that knows nothing of the cluster yet, but its id where `here` has one.
    pub fn new(syncer: Syncer<P>, pacer: Pacer, here: Here, observer: O) -> Self {
        let id = Some(here.cluster.clone()).filter(|id| !id.is_empty());
        Self {
            snapshot: Snapshot::of_cluster(id),
            syncer,
            pacer,
            reporter: None,
            here,
            observer,
            queued: None,
            swept: false,
            complete: false,
        }
    }

    /// The same, exchanging reports with the other nodes.
    #[must_use]
    pub fn with_reporter(mut self, reporter: Option<Reporter>) -> Self {
        self.reporter = reporter;
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
        let deadline = deadlines.chain(self.pacer.deadline()).min();
        let mut asked = Vec::new();
        let mut any = false;
        for message in inbox.receive(deadline) {
            match message {
                Message::Event(event) => {
                    any = true;
                    self.observer.arrived(&event);
                    self.take(event);
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
            self.sync(inbox);
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

    fn sync(&mut self, inbox: &Inbox) {
        let mut touched = self.snapshot.take_touched();
        touched.append(&mut self.syncer.tick(Instant::now()));
        let planned = touched.len();
        if let Some(reporter) = &mut self.reporter
            && let Some(agents) = reporter.count(&touched, &self.snapshot, &mut self.pacer)
        {
            self.observer.agents(agents);
        }
        if !self.program(touched, inbox) {
            return;
        }
        if !self.swept {
            self.swept = true;
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
        });
        if !stuck && let Some(elapsed) = waited {
            debug!(planned, failing, ?elapsed, "synced");
            self.queued = None;
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
                let mut plan = self.plan(id, &slices);
                if let Some(reporter) = &mut self.reporter {
                    reporter.planned(id, &plan, &slices);
                }
                self.pacer.arrange(id, &mut plan, &mut self.syncer, now);
                plans.push((id.clone(), plan));
            }
            self.syncer.apply(plans, now);
        }
        true
    }

    fn plan(&self, id: &ServiceId, slices: &[&EndpointSlice]) -> ServicePlan {
        self.snapshot
            .service(id)
            .map(|service| plan(service, slices, &self.here))
            .unwrap_or_default()
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
                routes::counted(family, server.style, &counts, standing.as_ref());
            }
        }
        routes
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
