//! What kube-proxy does not have: of objects, the kernel and Events.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::{Metrics, add};

/// The metrics of Spillway's own.
#[derive(Debug)]
pub struct Own {
    problems: Family<ByKind, Counter>,
    unknown_fields: Family<ByKind, Counter>,
    kernel_errors: Family<ByRoom, Counter>,
    ipvs_messages: Counter,
    services: Gauge,
    endpoints: Gauge,
    failing: Gauge,
    closed_chains: Family<ByHook, Gauge>,
    restart_needed: Gauge,
    events_written: Counter,
    events_lost: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoom {
    room: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByHook {
    hook: &'static str,
}

impl Own {
    /// Registers them; the registry's prefix is the project's name.
    pub fn new(registry: &mut Registry) -> Self {
        // Not under the name `kubernetes_build_info`: alerts compare the versions that they find
        // there, and this one is not Kubernetes'.
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("architecture", std::env::consts::ARCH),
        ];
        registry.register("build", "Which Spillway this is", Info::new(build.to_vec()));
        Self {
            problems: add(
                registry,
                "object_problems",
                "Parts of Kubernetes objects that were left out because they are unusable",
            ),
            unknown_fields: add(
                registry,
                "unknown_fields",
                "Fields of Kubernetes objects that Spillway does not know and passes over",
            ),
            kernel_errors: add(
                registry,
                "kernel_errors",
                "Requests that the kernel refused",
            ),
            ipvs_messages: add(registry, "ipvs_messages", "Changes sent to IPVS"),
            services: add(registry, "services", "Services known"),
            endpoints: add(registry, "endpoints", "Endpoints known"),
            failing: add(
                registry,
                "failing_objects",
                "Services, and things that they share, that the kernel refused and that are tried again",
            ),
            closed_chains: add(
                registry,
                "closed_chains",
                "Chains of firewalls that drop by default, before IPVS or of what is forwarded, what they do not accept",
            ),
            restart_needed: add(
                registry,
                "restart_needed",
                "Whether the configuration file has changed in what takes effect at a restart only",
            ),
            events_written: add(
                registry,
                "events_written",
                "Kubernetes Events created or counted up",
            ),
            events_lost: add(
                registry,
                "events_lost",
                "Kubernetes Events that were to be written and were not",
            ),
        }
    }
}

impl Metrics {
    /// A part of an object of this kind was left out.
    pub fn problem(&self, kind: &'static str) {
        self.own.problems.get_or_create(&ByKind { kind }).inc();
    }

    /// An object of this kind has a field that nobody here knows.
    pub fn unknown_field(&self, kind: &'static str) {
        let counter = self.own.unknown_fields.get_or_create(&ByKind { kind });
        counter.inc();
    }

    /// So many chains of firewalls on this hook drop by default what services need.
    pub fn closed_chains(&self, hook: &'static str, chains: usize) {
        let chains = i64::try_from(chains).unwrap_or(i64::MAX);
        let gauge = self.own.closed_chains.get_or_create(&ByHook { hook });
        gauge.set(chains);
    }

    /// Whether a part of the configuration file waits for a restart.
    pub fn restart_needed(&self, needed: bool) {
        self.own.restart_needed.set(needed.into());
    }

    /// So many objects failed and wait to be tried again.
    pub fn failing(&self, objects: usize) {
        self.own
            .failing
            .set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// The kernel refused a request of this room (`ipvs`, `nft`, `link`, `sysctl`).
    pub fn kernel_error(&self, room: &'static str) {
        self.own.kernel_errors.get_or_create(&ByRoom { room }).inc();
    }

    /// So many changes were sent to IPVS.
    pub fn ipvs_messages(&self, messages: u64) {
        self.own.ipvs_messages.inc_by(messages);
    }

    /// So much is known of the cluster.
    pub fn cluster(&self, services: usize, endpoints: usize) {
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.own.services.set(count(services));
        self.own.endpoints.set(count(endpoints));
    }

    /// An Event has been written.
    pub(in crate::serve) fn event_written(&self) {
        self.own.events_written.inc();
    }

    /// An Event will not be written.
    pub(in crate::serve) fn event_lost(&self) {
        self.own.events_lost.inc();
    }
}
