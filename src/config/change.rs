//! What a new configuration changes, and what of it can take effect while the agent runs.

use super::{Masquerade, Settings};

/// A change of the settings of a running agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Fields that take effect at once.
    pub live: Vec<&'static str>,
    /// Fields that wait for a restart.
    pub restart: Vec<&'static str>,
}

impl Settings {
    /// What is different in `new`, by the fields' names in the file.
    pub fn difference(&self, new: &Self) -> Difference {
        // Named one by one, so that a new field cannot be forgotten.
        let Self {
            node,
            hostname_override: _,
            bind,
            kubeconfig,
            weights,
            scheduler,
            defaults,
            cluster_id,
            tick,
            slow_start,
            marks,
            masquerade,
            pods,
            node_ports,
            external_ips,
            exclude_cidrs,
            healthz,
            metrics,
            socket: _,
            bind_hard_fail,
            patience,
            oom_score_adj,
            strict_arp,
            timeouts,
            conntrack,
            drain,
            reports,
            proc_sys: _,
        } = self;
        // Switched off, ARP stays as it is: somebody else may rely on it, as with kube-proxy.
        let live = [
            ("spillway.weights", *weights != new.weights),
            ("ipvs.scheduler", *scheduler != new.scheduler),
            ("spillway", *defaults != new.defaults),
            ("ipvs.strictARP", *strict_arp != new.strict_arp),
            ("ipvs.*Timeout", *timeouts != new.timeouts),
            ("conntrack", *conntrack != new.conntrack),
            ("nodePortAddresses", *node_ports != new.node_ports),
            ("masqueradeAll", masquerade.all != new.masquerade.all),
            ("clusterCIDR or detectLocal", *pods != new.pods),
            ("featureGates", *external_ips != new.external_ips),
            // Only `cleanup` reads it.
            ("ipvs.excludeCIDRs", *exclude_cidrs != new.exclude_cidrs),
        ];
        let restart = [
            ("hostnameOverride", *node != new.node),
            ("bindAddress", *bind != new.bind),
            ("clientConnection.kubeconfig", *kubeconfig != new.kubeconfig),
            ("spillway.clusterId", *cluster_id != new.cluster_id),
            ("spillway.capacityTickMilliseconds", *tick != new.tick),
            ("spillway.slowStartSeconds", *slow_start != new.slow_start),
            ("spillway.markRange", *marks != new.marks),
            ("masqueradeBit", masquerade.bit != new.masquerade.bit),
            ("healthzBindAddress", *healthz != new.healthz),
            ("metricsBindAddress", *metrics != new.metrics),
            ("bindAddressHardFail", *bind_hard_fail != new.bind_hard_fail),
            ("ipvs.syncPeriod", *patience != new.patience),
            ("oomScoreAdj", *oom_score_adj != new.oom_score_adj),
            ("spillway.drainSeconds", *drain != new.drain),
            ("spillway.reports", *reports != new.reports),
        ];
        let changed = |fields: &[(&'static str, bool)]| {
            let changed = fields.iter().filter(|(_, changed)| *changed);
            changed.map(|(field, _)| *field).collect()
        };
        Difference {
            live: changed(&live),
            restart: changed(&restart),
        }
    }

    /// These settings with those of `new` that can take effect while the agent runs.
    #[must_use]
    pub fn with_live(&self, new: &Self) -> Self {
        Self {
            weights: new.weights,
            scheduler: new.scheduler,
            defaults: new.defaults.clone(),
            strict_arp: new.strict_arp,
            timeouts: new.timeouts,
            conntrack: new.conntrack,
            exclude_cidrs: new.exclude_cidrs.clone(),
            masquerade: Masquerade {
                all: new.masquerade.all,
                ..self.masquerade
            },
            pods: new.pods.clone(),
            node_ports: new.node_ports.clone(),
            external_ips: new.external_ips,
            ..self.clone()
        }
    }
}

impl Difference {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}
