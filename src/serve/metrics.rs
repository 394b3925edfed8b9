//! Metrics: kube-proxy's own names where they apply, and ours.
//!
//! A metric of kube-proxy that would always be zero here is left out: it would be a lie.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use super::process::Process;
use crate::model;

type Seconds = Gauge<f64, AtomicU64>;

/// All metrics of an agent.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sync_duration: Family<ByFamily, Histogram>,
    last_sync: Family<ByFamily, Seconds>,
    last_queued: Family<ByFamily, Seconds>,
    service_changes: Counter,
    service_changes_pending: Gauge,
    endpoint_changes: Counter,
    endpoint_changes_pending: Gauge,
    healthz: Family<ByCode, Counter>,
    livez: Family<ByCode, Counter>,
    problems: Family<ByKind, Counter>,
    kernel_errors: Family<ByRoom, Counter>,
    ipvs_messages: Counter,
    services: Gauge,
    endpoints: Gauge,
    failing: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFamily {
    ip_family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoom {
    room: &'static str,
}

impl From<model::Family> for ByFamily {
    fn from(family: model::Family) -> Self {
        Self {
            ip_family: match family {
                model::Family::V4 => "IPv4",
                model::Family::V6 => "IPv6",
            },
        }
    }
}

/// Registers a metric and hands it back.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    add_metric(registry, name, help, M::default())
}

fn add_metric<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        // kube-proxy's: 1 ms, doubled 14 times.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        let proxy = registry.sub_registry_with_prefix("kubeproxy");
        let sync_duration = add_metric(
            proxy,
            "sync_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds",
            durations,
        );
        let last_sync = add(
            proxy,
            "sync_proxy_rules_last_timestamp_seconds",
            "The last time proxy rules were successfully synced",
        );
        let last_queued = add(
            proxy,
            "sync_proxy_rules_last_queued_timestamp_seconds",
            "The last time a sync of proxy rules was queued",
        );
        let service_changes = add(
            proxy,
            "sync_proxy_rules_service_changes",
            "Cumulative proxy rules Service changes",
        );
        let service_changes_pending = add(
            proxy,
            "sync_proxy_rules_service_changes_pending",
            "Pending proxy rules Service changes",
        );
        let endpoint_changes = add(
            proxy,
            "sync_proxy_rules_endpoint_changes",
            "Cumulative proxy rules Endpoint changes",
        );
        let endpoint_changes_pending = add(
            proxy,
            "sync_proxy_rules_endpoint_changes_pending",
            "Pending proxy rules Endpoint changes",
        );
        let healthz = add(
            proxy,
            "proxy_healthz",
            "Cumulative proxy healthz HTTP status",
        );
        let livez = add(proxy, "proxy_livez", "Cumulative proxy livez HTTP status");
        let ours = registry.sub_registry_with_prefix("spillway");
        let problems = add(
            ours,
            "object_problems",
            "Parts of Kubernetes objects that were left out because they are unusable",
        );
        let kernel_errors = add(ours, "kernel_errors", "Requests that the kernel refused");
        let ipvs_messages = add(ours, "ipvs_messages", "Changes sent to IPVS");
        let services = add(ours, "services", "Services known");
        let endpoints = add(ours, "endpoints", "Endpoints known");
        let failing = add(
            ours,
            "failing_objects",
            "Services, and things that they share, that the kernel refused and that are tried again",
        );
        registry.register_collector(Box::new(Process));
        Self {
            registry,
            sync_duration,
            last_sync,
            last_queued,
            service_changes,
            service_changes_pending,
            endpoint_changes,
            endpoint_changes_pending,
            healthz,
            livez,
            problems,
            kernel_errors,
            ipvs_messages,
            services,
            endpoints,
            failing,
        }
    }
}

impl Metrics {
    /// A Service has changed and waits for the kernel.
    pub fn service_changed(&self) {
        self.service_changes.inc();
        self.service_changes_pending.inc();
    }

    /// An `EndpointSlice` has changed and waits for the kernel.
    pub fn endpoints_changed(&self) {
        self.endpoint_changes.inc();
        self.endpoint_changes_pending.inc();
    }

    /// No change waits any more.
    pub fn changes_taken(&self) {
        self.service_changes_pending.set(0);
        self.endpoint_changes_pending.set(0);
    }

    /// A change of a family waits for the kernel.
    pub fn queued(&self, family: model::Family, now: SystemTime) {
        self.last_queued
            .get_or_create(&family.into())
            .set(unix(now));
    }

    /// The kernel has taken all changes of a family, in this time.
    pub fn synced(&self, family: model::Family, duration: Duration, now: SystemTime) {
        let label = family.into();
        self.sync_duration
            .get_or_create(&label)
            .observe(duration.as_secs_f64());
        self.last_sync.get_or_create(&label).set(unix(now));
    }

    /// A part of an object of this kind was left out.
    pub fn problem(&self, kind: &'static str) {
        self.problems.get_or_create(&ByKind { kind }).inc();
    }

    /// So many objects failed and wait to be tried again.
    pub fn failing(&self, objects: usize) {
        self.failing.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// The kernel refused a request: of IPVS (`ipvs`), or of what Services share, addresses and the
    /// table (`shared`).
    pub fn kernel_error(&self, room: &'static str) {
        self.kernel_errors.get_or_create(&ByRoom { room }).inc();
    }

    /// So many changes were sent to IPVS.
    pub fn ipvs_messages(&self, messages: u64) {
        self.ipvs_messages.inc_by(messages);
    }

    /// So much is known of the cluster.
    pub fn cluster(&self, services: usize, endpoints: usize) {
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.services.set(count(services));
        self.endpoints.set(count(endpoints));
    }

    /// `/healthz` was answered with this code.
    pub(super) fn healthz(&self, code: u16) {
        self.healthz.get_or_create(&ByCode { code }).inc();
    }

    /// `/livez` was answered with this code.
    pub(super) fn livez(&self, code: u16) {
        self.livez.get_or_create(&ByCode { code }).inc();
    }

    /// All metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail, and neither do the metrics.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Seconds since 1970.
fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
