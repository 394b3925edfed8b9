//! From what the core does to what health and metrics say.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use ipnet::IpNet;

use super::bulletin::Bulletin;
use super::core::{Observer, Report};
use super::lacking::Policy;
use crate::capacity::Controller;
use crate::model::{Family, Node, ServiceId};
use crate::serve::events::Teller;
use crate::serve::{Check, Checks, Health, Metrics, Now};
use crate::sync::{Forgotten, Sent};
use crate::watch::{Change, Event};

/// Tells health and metrics.
#[derive(Debug)]
pub struct Status {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    /// What the counters include already.
    counted: Mutex<Sent>,
    forgotten: Mutex<Forgotten>,
    checks: Arc<Checks>,
    started: SystemTime,
    teller: Teller,
    bulletin: Mutex<Bulletin>,
}

impl Status {
    /// Nothing has happened yet.
    pub fn new(
        health: Arc<Health>,
        checks: Arc<Checks>,
        metrics: Arc<Metrics>,
        teller: Teller,
    ) -> Self {
        Self {
            health,
            checks,
            metrics,
            counted: Mutex::default(),
            forgotten: Mutex::default(),
            started: SystemTime::now(),
            teller,
            bulletin: Mutex::default(),
        }
    }

    fn forgot(&self, forgotten: Forgotten) {
        let mut before = self
            .forgotten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.metrics.forgotten(*before, forgotten);
        *before = forgotten;
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
    fn arrived(&self, event: &Event) {
        match event {
            Event::Service(Change::Apply(_) | Change::Delete(_))
            | Event::Import(Change::Apply(_) | Change::Delete(_)) => self.metrics.service_changed(),
            Event::Slice(Change::Apply(_) | Change::Delete(_)) => self.metrics.endpoints_changed(),
            _ => {}
        }
    }

    fn queued(&self) {
        let now = Now::read();
        for family in Family::ALL {
            self.health.queued(family, now.steady);
            self.metrics.queued(family, now.clock);
        }
    }

    fn worked(&self, report: &Report) {
        let now = Now::read();
        self.metrics.cluster(report.services, report.endpoints);
        self.metrics.failing(report.failing);
        self.count(report.sent);
        self.forgot(report.forgotten);
        if !report.synced {
            // What a retry left undone waits like a change that has just come.
            for family in Family::ALL {
                self.health.queued(family, now.steady);
            }
            return;
        }
        self.metrics.changes_taken();
        for family in Family::ALL {
            self.health.synced(family, now.clock);
            if let Some(waited) = report.waited {
                self.metrics.synced(family, waited, now.clock);
            }
        }
        self.health.first_sync_done();
    }

    fn paced(&self, controller: &Controller) {
        let mut bulletin = self.bulletin.lock().unwrap_or_else(PoisonError::into_inner);
        bulletin.publish(controller, &self.metrics, &self.teller, Instant::now());
    }

    fn lacking(&self, ports: &[(Policy, Family, usize)]) {
        for (policy, family, ports) in ports {
            self.metrics.lacking(policy.name(), *family, *ports);
        }
    }

    fn agents(&self, agents: u32) {
        self.teller.nodes(agents);
    }

    fn programmed(&self, since: &[(Family, SystemTime)]) {
        let now = SystemTime::now();
        // What happened before had been waiting for an agent, not for the kernel.
        for (family, since) in since.iter().filter(|(_, since)| *since >= self.started) {
            let took = now.duration_since(*since).unwrap_or_default();
            self.metrics.programmed(*family, took);
        }
    }

    fn checked(&self, service: &ServiceId, check: Option<Check>) {
        self.checks.set(service, check);
    }

    fn node_ports(&self, networks: &[IpNet]) {
        self.checks.at(networks);
    }

    fn node(&self, node: &Node) {
        self.health.node_eligible(node.eligible);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// After it no change may wait any longer.
    const NO_PATIENCE: Duration = Duration::ZERO;

    /// What health and metrics say after this report of an event that had arrived.
    fn after(reports: &[Report]) -> (bool, String) {
        let health = Arc::new(Health::new(NO_PATIENCE));
        let metrics = Arc::<Metrics>::default();
        health.node_eligible(true);
        let status = Status::new(
            health.clone(),
            Arc::new(Checks::new(health.clone())),
            metrics.clone(),
            Teller::new(metrics.clone()).0,
        );
        status.arrived(&Event::Service(Change::Delete(ServiceId::new("a", "b"))));
        status.queued();
        status.lacking(&[(Policy::Internal, Family::V4, 5)]);
        for report in reports {
            status.worked(report);
        }
        (health.healthz(Now::read()).0, metrics.encode())
    }

    fn report(synced: bool, failing: usize, shared_failed: u64) -> Report {
        Report {
            synced,
            waited: Some(Duration::from_secs(1)),
            services: 2,
            endpoints: 3,
            planned: 1,
            failing,
            sent: Sent {
                shared_failed,
                ..Sent::default()
            },
            forgotten: Forgotten::default(),
        }
    }

    fn ensure_has(metrics: &str, lines: &[&str]) {
        for line in lines {
            assert!(metrics.lines().any(|found| found == *line), "{metrics}");
        }
    }

    #[test]
    fn what_is_not_synced_goes_on_waiting_and_its_failures_are_counted() {
        let (healthy, metrics) = after(&[report(false, 1, 2), report(false, 1, 6)]);
        assert!(!healthy);
        ensure_has(
            &metrics,
            &[
                "spillway_failing_objects 1",
                "spillway_kernel_errors_total{room=\"shared\"} 6",
                "kubeproxy_sync_proxy_rules_service_changes_pending 1",
            ],
        );
    }

    #[test]
    fn a_service_that_fails_is_counted_and_nothing_waits() {
        let (healthy, metrics) = after(&[report(false, 2, 1), report(true, 1, 1)]);
        assert!(healthy);
        ensure_has(
            &metrics,
            &[
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"internal\",ip_family=\"IPv4\"} 5",
                "spillway_failing_objects 1",
                "spillway_kernel_errors_total{room=\"shared\"} 1",
                "kubeproxy_sync_proxy_rules_service_changes_pending 0",
            ],
        );
    }

    #[test]
    fn a_retry_that_fails_is_a_wait_of_its_own() {
        let (healthy, _) = after(&[report(true, 0, 0), report(false, 1, 1)]);
        assert!(!healthy);
    }
}
