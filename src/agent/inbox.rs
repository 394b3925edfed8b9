//! The way into the core: how watches, questions and a new configuration reach its thread, and how
//! it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::watch;

use super::ground::Ground;
use crate::model::{Scheduler, Tuning, Weights};
use crate::serve::Ask;
use crate::watch::Event;

/// What is true of Services that do not say otherwise, on Nodes that do not, and of the table.
#[derive(Debug)]
pub struct Defaults {
    /// The weight of each level.
    pub weights: Weights,
    /// How IPVS picks a real server.
    pub scheduler: Scheduler,
    /// All else.
    pub tuning: Tuning,
    /// What the table's rules are made from.
    pub ground: Ground,
    /// Whether the field `externalIPs` of Services counts.
    pub external_ips: bool,
}

/// What arrives in the inbox.
#[derive(Debug)]
pub enum Message {
    /// The cluster has changed.
    Event(Event),
    /// Somebody asks.
    Ask(Ask),
    /// The configuration has changed.
    Defaults(Box<Defaults>),
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

    /// Other defaults are true from now on.
    pub fn defaults(&self, defaults: Defaults) {
        let _ = self.messages.send(Message::Defaults(Box::new(defaults)));
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
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits for a message, at most until `deadline`; then takes all that have arrived. Several
    /// changes of one object in a burst so become one.
    pub(super) fn receive(&self, deadline: Option<Instant>) -> Vec<Message> {
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
