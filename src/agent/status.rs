//! From what the core does to what health and metrics say.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::core::{Observer, Report};
use crate::model::{Family, Node};
use crate::serve::{Health, Metrics};
use crate::sync::Sent;
use crate::watch::{Change, Event};

/// Tells health and metrics.
#[derive(Debug)]
pub struct Status {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    /// What the counters include already.
    counted: Mutex<Sent>,
}

impl Status {
    /// Nothing has happened yet.
    pub fn new(health: Arc<Health>, metrics: Arc<Metrics>) -> Self {
        Self {
            health,
            metrics,
            counted: Mutex::default(),
        }
    }

    fn count(&self, sent: Sent) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *counted, sent);
        self.metrics.ipvs_messages(sent.commands - before.commands);
        for _ in before.commands_failed..sent.commands_failed {
            self.metrics.kernel_error("ipvs");
        }
        for _ in before.shared_failed..sent.shared_failed {
            self.metrics.kernel_error("shared");
        }
    }
}

impl Observer for Status {
    fn queued(&self, event: &Event) {
        match event {
            Event::Service(Change::Apply(_) | Change::Delete(_))
            | Event::Import(Change::Apply(_) | Change::Delete(_)) => self.metrics.service_changed(),
            Event::Slice(Change::Apply(_) | Change::Delete(_)) => self.metrics.endpoints_changed(),
            _ => {}
        }
        let now = SystemTime::now();
        for family in Family::ALL {
            self.health.queued(family, now);
            self.metrics.queued(family, now);
        }
    }

    fn synced(&self, report: &Report) {
        let now = SystemTime::now();
        self.metrics.changes_taken();
        self.metrics.cluster(report.services, report.endpoints);
        self.count(report.sent);
        for family in Family::ALL {
            self.health.synced(family, now);
            self.metrics.synced(family, report.since.elapsed(), now);
        }
        self.health.first_sync_done();
    }

    fn node(&self, node: &Node) {
        self.health.node_eligible(node.eligible);
    }
}
