//! The loop at the heart of the agent: one blocking thread that takes in events, plans what they
//! touched and has it programmed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::watch;
use tracing::{debug, info};

use super::pace::Pacer;
use super::reporter::Reporter;
use crate::model::{Node, ServiceId};
use crate::plan::{Here, ServicePlan, plan};
use crate::snapshot::Snapshot;
use crate::sync::{Platform, Sent, Syncer};
use crate::watch::Event;

/// How many Services are planned and programmed in one go. Bounds the memory of a first sync, and
/// lets the first Services go live long before the last.
const ROUND: usize = 256;

/// What the core has to say to those who ask how it is doing.
pub trait Observer {
    /// An event has arrived that is not in the kernel yet.
    fn queued(&self, event: &Event);
    /// All that had arrived is in the kernel, but for what failed and waits to be tried again.
    fn synced(&self, report: &Report);
    /// This agent's own Node is known to be like this.
    fn node(&self, node: &Node);
}

/// The state after a sync.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How many Services there are.
    pub services: usize,
    /// How many endpoints there are.
    pub endpoints: usize,
    /// How many of them were planned again.
    pub planned: usize,
    /// When the first of the events that it covers arrived.
    pub since: Instant,
    /// How many objects failed and wait to be tried again.
    pub failing: usize,
    /// What has been sent to the kernel since the start.
    pub sent: Sent,
}

/// The sending end: how the watches feed the core, and how it is stopped.
#[derive(Clone, Debug)]
pub struct Feed {
    events: mpsc::Sender<Option<Event>>,
    stopping: Arc<AtomicBool>,
    /// Closed when the inbox is gone.
    alive: watch::Sender<()>,
}

impl Feed {
    /// A feed, and the inbox that belongs to it.
    pub fn new() -> (Self, Inbox) {
        let (sender, events) = mpsc::channel();
        let (alive, lifeline) = watch::channel(());
        let stopping = Arc::new(AtomicBool::new(false));
        let inbox = Inbox {
            events,
            stopping: stopping.clone(),
            _lifeline: lifeline,
        };
        (
            Self {
                events: sender,
                stopping,
                alive,
            },
            inbox,
        )
    }

    /// Hands over an event. After a stop it is dropped.
    pub fn send(&self, event: Event) {
        // A core that has ended needs no more events.
        let _ = self.events.send(Some(event));
    }

    /// Asks the core to end when it has finished the round it is in.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.events.send(None);
    }

    /// Waits until the core has ended.
    pub async fn closed(&self) {
        self.alive.closed().await;
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Inbox {
    events: Receiver<Option<Event>>,
    stopping: Arc<AtomicBool>,
    _lifeline: watch::Receiver<()>,
}

impl Inbox {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits for an event, at most until `deadline`; then takes all that have arrived. Several
    /// changes of one object in a burst so become one.
    fn receive(&self, deadline: Option<Instant>) -> Vec<Event> {
        let first = match deadline {
            Some(at) => self
                .events
                .recv_timeout(at.saturating_duration_since(Instant::now())),
            None => self
                .events
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            self.stopping.store(true, Ordering::Relaxed);
        }
        first
            .into_iter()
            .chain(self.events.try_iter())
            .flatten()
            .collect()
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
    swept: bool,
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
            let deadlines = self.syncer.deadline().into_iter();
            let deadline = deadlines.chain(self.pacer.deadline()).min();
            let events = inbox.receive(deadline);
            for event in events {
                self.queued.get_or_insert_with(Instant::now);
                self.observer.queued(&event);
                self.take(event);
            }
            // Before everything has been listed, what is missing may just not have arrived.
            if self.snapshot.is_complete() {
                self.sync(inbox);
                if let Some(reporter) = &mut self.reporter {
                    reporter.tick(&mut self.pacer, self.here.zone.as_ref(), Instant::now());
                }
                self.pacer.tick(&mut self.syncer, Instant::now());
            }
        }
    }

    fn take(&mut self, event: Event) {
        let about_node = matches!(event, Event::Node(_));
        let about_cluster = matches!(event, Event::ClusterId(_));
        self.snapshot.apply(event);
        if about_node {
            let node = self.snapshot.node();
            self.here.zone.clone_from(&node.zone);
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
        if let Some(reporter) = &mut self.reporter {
            reporter.count(&touched, &self.snapshot, &mut self.pacer);
        }
        if !self.program(touched, inbox) {
            return;
        }
        if !self.swept {
            self.swept = true;
            self.syncer.sweep(Instant::now());
            info!(
                services = self.snapshot.service_count(),
                "the kernel holds the whole cluster"
            );
        }
        if let Some(since) = self.queued.take() {
            debug!(planned, elapsed = ?since.elapsed(), "synced");
            self.observer.synced(&Report {
                services: self.snapshot.service_count(),
                endpoints: self.snapshot.endpoint_count(),
                planned,
                since,
                failing: self.syncer.failing(),
                sent: self.syncer.sent(),
            });
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
                let mut plan = self.plan(id);
                if let Some(reporter) = &mut self.reporter {
                    reporter.planned(id, &plan, &self.snapshot.slices(id));
                }
                self.pacer.arrange(id, &mut plan, &mut self.syncer, now);
                plans.push((id.clone(), plan));
            }
            self.syncer.apply(plans, now);
        }
        true
    }

    fn plan(&self, id: &ServiceId) -> ServicePlan {
        self.snapshot
            .service(id)
            .map(|service| plan(service, &self.snapshot.slices(id), &self.here))
            .unwrap_or_default()
    }
}
