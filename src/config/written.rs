//! Settings as a `KubeProxyConfiguration` that stands for them: for `/configz` and for
//! `--write-config-to`. What it says is what is in effect; fields that do nothing are left out.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{PodDetection, Settings, gates};
use crate::model::{Level, Said};

impl Settings {
    /// The configuration file that gives these settings.
    pub fn written(&self) -> Value {
        let at = |address: Option<SocketAddr>| {
            address.map_or_else(|| "off".to_owned(), |address| address.to_string())
        };
        let (mode, cidrs, bridge, prefix) = match &self.pods {
            PodDetection::ClusterCidr(cidrs) => {
                let cidrs: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
                ("ClusterCIDR", cidrs.join(","), "", "")
            }
            PodDetection::NodeCidr => ("NodeCIDR", String::new(), "", ""),
            PodDetection::Bridge(name) => ("BridgeInterface", String::new(), name.as_str(), ""),
            PodDetection::LinkPrefix(prefix) => {
                ("InterfaceNamePrefix", String::new(), "", prefix.as_str())
            }
        };
        let timeouts = &self.timeouts;
        let conntrack = &self.conntrack;
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "bindAddress": self.bind.map_or_else(String::new, |ip| ip.to_string()),
            "bindAddressHardFail": self.bind_hard_fail,
            "clientConnection": {
                "kubeconfig": self.kubeconfig.as_deref().unwrap_or("".as_ref()),
            },
            "clusterCIDR": cidrs,
            "conntrack": {
                "maxPerCore": conntrack.max_per_core.unwrap_or(0),
                "min": conntrack.min,
                "tcpBeLiberal": conntrack.tcp_be_liberal,
                "tcpCloseWaitTimeout": go(conntrack.tcp_close_wait),
                "tcpEstablishedTimeout": go(conntrack.tcp_established),
                "udpStreamTimeout": go(conntrack.udp_stream),
                "udpTimeout": go(conntrack.udp),
            },
            "detectLocal": {"bridgeInterface": bridge, "interfaceNamePrefix": prefix},
            "detectLocalMode": mode,
            "featureGates": gates::written(self.external_ips),
            "healthzBindAddress": at(self.healthz),
            // The name of this host would be wrong on every other.
            "hostnameOverride": self.hostname_override,
            "iptables": {
                "masqueradeAll": self.masquerade.all,
                "masqueradeBit": self.masquerade.bit,
            },
            "ipvs": {
                "excludeCIDRs": self.exclude_cidrs,
                "scheduler": self.scheduler.name(),
                "strictARP": self.strict_arp,
                "syncPeriod": go(Some(self.patience / 2)),
                "tcpFinTimeout": go(timeouts.tcp_fin),
                "tcpTimeout": go(timeouts.tcp),
                "udpTimeout": go(timeouts.udp),
            },
            "metricsBindAddress": at(self.metrics),
            "mode": "ipvs",
            "nodePortAddresses": self.node_ports.words(),
            "oomScoreAdj": self.oom_score_adj,
            "spillway": self.written_spillway(),
        })
    }

    fn written_spillway(&self) -> Value {
        let defaults = &self.defaults;
        let flag = |said: &Said<bool>| said.get().copied().unwrap_or_default();
        let reports = self.reports.as_ref();
        let service = reports.map(|it| format!("{}/{}", it.service.namespace, it.service.name));
        let key_file = reports.and_then(|reports| reports.key_file.as_deref());
        json!({
            "affinityYield": flag(&defaults.affinity_yield),
            "capacity": defaults.capacity.get().map(ToString::to_string),
            "capacityTickMilliseconds": u64::try_from(self.tick.as_millis()).unwrap_or(u64::MAX),
            "clusterId": self.cluster_id.as_deref().unwrap_or_default(),
            "drainBack": flag(&defaults.drain_back),
            "drainSeconds": self.drain.as_secs(),
            "levels": defaults.levels.get().map(|levels| Level::list(levels)),
            "markRange": format!(
                "{:#010x}/{}",
                self.marks.prefix(),
                self.marks.mask().count_ones()
            ),
            "remote": defaults.remote.get().map(ToString::to_string),
            "reports": {
                "keyFile": key_file.unwrap_or("".as_ref()),
                "service": service.as_deref().unwrap_or("off"),
            },
            "routing": defaults.routing.get().map(ToString::to_string),
            "shed": flag(&defaults.shed),
            "slowStartSeconds": self.slow_start.as_secs(),
            "weights": {
                "node": self.weights.node,
                "zone": self.weights.zone,
                "cluster": self.weights.cluster,
                "remote": self.weights.remote,
            },
        })
    }
}

/// A duration as Go reads it; one that is left to the kernel is 0.
fn go(duration: Option<Duration>) -> String {
    format!("{}s", duration.unwrap_or_default().as_secs())
}
