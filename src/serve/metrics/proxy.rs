//! What kube-proxy has, too, under its names: dashboards and alerts go on working.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::{Metrics, add, add_metric};
use crate::model;
use crate::sync::Forgotten;

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of kube-proxy that apply.
#[derive(Debug)]
pub struct Proxy {
    sync_duration: Family<ByFamily, Histogram>,
    last_sync: Family<ByFamily, Seconds>,
    last_queued: Family<ByFamily, Seconds>,
    service_changes: Counter,
    service_changes_pending: Gauge,
    endpoint_changes: Counter,
    endpoint_changes_pending: Gauge,
    lacking: Family<ByPolicy, Gauge>,
    programming: Family<ByFamily, Histogram>,
    flow_looks: Histogram,
    flows_forgotten: Family<ByFamily, Counter>,
    healthz: Family<ByCode, Counter>,
    livez: Family<ByCode, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFamily {
    ip_family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPolicy {
    traffic_policy: &'static str,
    ip_family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    code: u16,
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

impl Proxy {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        // kube-proxy's: 1 ms, doubled 14 times.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        let sync_duration = add_metric(
            registry,
            "sync_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds",
            durations,
        );
        let last_sync = add(
            registry,
            "sync_proxy_rules_last_timestamp_seconds",
            "The last time proxy rules were successfully synced",
        );
        let last_queued = add(
            registry,
            "sync_proxy_rules_last_queued_timestamp_seconds",
            "The last time a sync of proxy rules was queued",
        );
        let service_changes = add(
            registry,
            "sync_proxy_rules_service_changes",
            "Cumulative proxy rules Service changes",
        );
        let service_changes_pending = add(
            registry,
            "sync_proxy_rules_service_changes_pending",
            "Pending proxy rules Service changes",
        );
        let endpoint_changes = add(
            registry,
            "sync_proxy_rules_endpoint_changes",
            "Cumulative proxy rules Endpoint changes",
        );
        let endpoint_changes_pending = add(
            registry,
            "sync_proxy_rules_endpoint_changes_pending",
            "Pending proxy rules Endpoint changes",
        );
        let lacking = add(
            registry,
            "sync_proxy_rules_no_local_endpoints_total",
            "Number of service ports with a Local traffic policy and no endpoints on this node, but elsewhere",
        );
        let programming = add_metric(
            registry,
            "network_programming_duration_seconds",
            "In Cluster Network Programming Latency in seconds",
            Family::new_with_constructor(programming as fn() -> Histogram),
        );
        let flow_looks = add_metric(
            registry,
            "conntrack_reconciler_sync_duration_seconds",
            "ReconcileConntrackFlowsLatency latency in seconds; each look covers the families that it concerns",
            histogram(),
        );
        let flows_forgotten = add(
            registry,
            "conntrack_reconciler_deleted_entries",
            "Cumulative conntrack flows deleted by conntrack reconciler",
        );
        let healthz = add(
            registry,
            "proxy_healthz",
            "Cumulative proxy healthz HTTP status",
        );
        let livez = add(
            registry,
            "proxy_livez",
            "Cumulative proxy livez HTTP status",
        );
        Self {
            sync_duration,
            last_sync,
            last_queued,
            service_changes,
            service_changes_pending,
            endpoint_changes,
            endpoint_changes_pending,
            lacking,
            programming,
            flow_looks,
            flows_forgotten,
            healthz,
            livez,
        }
    }
}

impl Metrics {
    /// A Service has changed and waits for the kernel.
    pub fn service_changed(&self) {
        self.proxy.service_changes.inc();
        self.proxy.service_changes_pending.inc();
    }

    /// An `EndpointSlice` has changed and waits for the kernel.
    pub fn endpoints_changed(&self) {
        self.proxy.endpoint_changes.inc();
        self.proxy.endpoint_changes_pending.inc();
    }

    /// So many service ports have endpoints in a family, but none on this node, though the traffic
    /// policy of this name asks for such.
    pub fn lacking(&self, traffic_policy: &'static str, family: model::Family, ports: usize) {
        let ByFamily { ip_family } = family.into();
        let of = ByPolicy {
            traffic_policy,
            ip_family,
        };
        let ports = i64::try_from(ports).unwrap_or(i64::MAX);
        self.proxy.lacking.get_or_create(&of).set(ports);
    }

    /// No change waits any more.
    pub fn changes_taken(&self) {
        self.proxy.service_changes_pending.set(0);
        self.proxy.endpoint_changes_pending.set(0);
    }

    /// A change of a family waits for the kernel.
    pub fn queued(&self, family: model::Family, now: SystemTime) {
        self.proxy
            .last_queued
            .get_or_create(&family.into())
            .set(unix(now));
    }

    /// The kernel has taken all changes of a family, in this time.
    pub fn synced(&self, family: model::Family, duration: Duration, now: SystemTime) {
        let label = family.into();
        self.proxy
            .sync_duration
            .get_or_create(&label)
            .observe(duration.as_secs_f64());
        self.proxy.last_sync.get_or_create(&label).set(unix(now));
    }

    /// The kernel serves a change of endpoints so long after it happened.
    pub fn programmed(&self, family: model::Family, took: Duration) {
        let label = family.into();
        let histogram = self.proxy.programming.get_or_create(&label);
        histogram.observe(took.as_secs_f64());
    }

    /// The kernel has been made to forget UDP flows: so many in all, after so many before.
    pub fn forgotten(&self, before: Forgotten, after: Forgotten) {
        let flows = [
            (model::Family::V4, after.v4 - before.v4),
            (model::Family::V6, after.v6 - before.v6),
        ];
        for (family, flows) in flows.into_iter().filter(|(_, flows)| *flows > 0) {
            self.proxy
                .flows_forgotten
                .get_or_create(&family.into())
                .inc_by(flows);
        }
        let looks = u32::try_from(after.looks - before.looks).unwrap_or(u32::MAX);
        for _ in 0..looks {
            let took = after.time.saturating_sub(before.time) / looks;
            self.proxy.flow_looks.observe(took.as_secs_f64());
        }
    }

    /// `/healthz` was answered with this code.
    pub(in crate::serve) fn healthz(&self, code: u16) {
        self.proxy.healthz.get_or_create(&ByCode { code }).inc();
    }

    /// `/livez` was answered with this code.
    pub(in crate::serve) fn livez(&self, code: u16) {
        self.proxy.livez.get_or_create(&ByCode { code }).inc();
    }
}

/// kube-proxy's: 0.25, 0.5, every second to 1 min, every 5 s to 2 min, every 30 s to 5 min.
fn programming() -> Histogram {
    let seconds = (1..60)
        .chain((60..120).step_by(5))
        .chain((120..=300).step_by(30));
    Histogram::new([0.25, 0.5].into_iter().chain(seconds.map(f64::from)))
}

/// Seconds since 1970.
fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
