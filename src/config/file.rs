//! The file's form: `KubeProxyConfiguration` of `kubeproxy.config.k8s.io/v1alpha1`, and our own
//! section.
//!
//! Fields that mean nothing here are listed all the same, so that only those that nobody knows are
//! called unknown.

use std::collections::BTreeMap;

use kube::core::Duration;
use serde::{Deserialize, Deserializer};

/// Declares structs all of whose fields may be left out or null.
macro_rules! sections {
    ($($(#[$doc:meta])* $section:ident {
        $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)?
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $section {
            $(
                #[serde(deserialize_with = "nullable")]
                $(#[$attribute])*
                pub $field: $type,
            )*
        }
    )+};
}

fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A field that has no effect here, whatever it holds.
pub type Unused = Option<serde_json::Value>;

/// A value that is written as in an annotation; a number needs no quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// A number.
    Number(i64),
    /// Anything else.
    Text(String),
}

sections! {
    /// The whole file.
    Configuration {
        api_version: Option<String>,
        kind: Option<String>,
        bind_address: String,
        bind_address_hard_fail: bool,
        client_connection: ClientConnection,
        #[serde(rename = "clusterCIDR")]
        cluster_cidr: String,
        config_sync_period: Unused,
        conntrack: Conntrack,
        detect_local: DetectLocal,
        detect_local_mode: String,
        enable_profiling: Unused,
        feature_gates: BTreeMap<String, bool>,
        healthz_bind_address: String,
        hostname_override: String,
        iptables: Iptables,
        ipvs: Ipvs,
        logging: Unused,
        metrics_bind_address: String,
        mode: String,
        nftables: Iptables,
        node_port_addresses: Vec<String>,
        oom_score_adj: Option<i64>,
        port_range: Unused,
        show_hidden_metrics_for_version: Unused,
        windows_run_as_service: Unused,
        winkernel: Unused,
        spillway: Spillway,
    }

    /// `clientConnection`
    ClientConnection {
        accept_content_types: Unused,
        burst: Unused,
        content_type: Unused,
        kubeconfig: String,
        qps: Unused,
    }

    /// `conntrack`
    Conntrack {
        max_per_core: Option<u32>,
        min: Option<u32>,
        tcp_established_timeout: Option<Duration>,
        tcp_close_wait_timeout: Option<Duration>,
        tcp_be_liberal: bool,
        udp_timeout: Option<Duration>,
        udp_stream_timeout: Option<Duration>,
    }

    /// `detectLocal`
    DetectLocal {
        bridge_interface: String,
        interface_name_prefix: String,
    }

    /// `iptables` and `nftables`, which have their names for historical reasons: kube-proxy's mode
    /// ipvs reads `iptables` too.
    Iptables {
        localhost_node_ports: Unused,
        masquerade_all: bool,
        masquerade_bit: Option<i64>,
        min_sync_period: Unused,
        sync_period: Unused,
    }

    /// `ipvs`
    Ipvs {
        #[serde(rename = "excludeCIDRs")]
        exclude_cidrs: Vec<String>,
        min_sync_period: Unused,
        scheduler: String,
        #[serde(rename = "strictARP")]
        strict_arp: bool,
        sync_period: Option<Duration>,
        tcp_timeout: Option<Duration>,
        tcp_fin_timeout: Option<Duration>,
        udp_timeout: Option<Duration>,
    }

    /// `spillway`, which kube-proxy does not have.
    Spillway {
        weights: Weights,
        mark_range: Option<String>,
        drain_seconds: Option<u32>,
        routing: Option<String>,
        levels: Option<String>,
        capacity: Option<Word>,
        remote: Option<String>,
        shed: Option<bool>,
        affinity_yield: Option<bool>,
        drain_back: Option<bool>,
        cluster_id: Option<String>,
        capacity_tick_milliseconds: Option<i64>,
        slow_start_seconds: Option<i64>,
        reports: Reports,
    }

    /// `spillway.reports`
    Reports {
        service: String,
        key_file: Option<String>,
    }

    /// `spillway.weights`
    Weights {
        node: Option<i64>,
        zone: Option<i64>,
        cluster: Option<i64>,
        remote: Option<i64>,
    }
}

/// Reads a file; also returns the paths of unknown fields.
pub fn parse(text: &str) -> Result<(Configuration, Vec<String>), serde_saphyr::Error> {
    // An empty file is no mistake: it stands for the defaults.
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
    {
        return Ok((Configuration::default(), Vec::new()));
    }
    let mut unknown = Vec::new();
    let file = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_ignored::deserialize(deserializer, |path| {
            // `?` stands for an optional value, which is no part of the path in the file.
            unknown.push(path.to_string().replace(".?", ""));
        })
    })?;
    Ok((file, unknown))
}
