//! kube-proxy's flags: other names for fields of the file, before which they go.

use std::collections::BTreeMap;

use kube::core::Duration;

use super::file::Configuration;
use super::gates;

/// kube-proxy's flags that apply, under its names. With a file, too, they do what they say:
/// kube-proxy then ignores most of them without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "kube-proxy's own, before the file's fields")]
pub struct Flags {
    /// The Node's first address of its family; that of the loopback address for /metrics is its own
    #[arg(long, value_name = "IP")]
    pub bind_address: Option<String>,
    /// Whether to end where an address for health or metrics is taken
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub bind_address_hard_fail: Option<bool>,
    /// Ranges of the pods' addresses, one per family
    #[arg(long, value_name = "CIDRS")]
    pub cluster_cidr: Option<String>,
    /// How pods are told from other clients
    #[arg(long, value_name = "MODE")]
    pub detect_local_mode: Option<String>,
    /// The bridge that pods are at, for mode `BridgeInterface`
    #[arg(long, value_name = "LINK")]
    pub pod_bridge_interface: Option<String>,
    /// What pods' links start with, for mode `InterfaceNamePrefix`
    #[arg(long, value_name = "PREFIX")]
    pub pod_interface_name_prefix: Option<String>,
    /// Ranges of the node's addresses that serve node ports
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    pub nodeport_addresses: Option<Vec<String>>,
    /// Feature gates, of which `AllowServiceExternalIPs` is followed
    #[arg(long, value_name = "GATES", value_parser = gates::read)]
    pub feature_gates: Vec<BTreeMap<String, bool>>,
    /// Mode of kube-proxy; anything but ipvs has no effect
    #[arg(long, value_name = "MODE")]
    pub proxy_mode: Option<String>,
    /// Whether all connections to a ClusterIP get an address of the node
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub masquerade_all: Option<bool>,
    /// Bit of the firewall mark that says so
    #[arg(long, value_name = "BIT")]
    pub iptables_masquerade_bit: Option<i64>,
    /// How IPVS picks a real server
    #[arg(long, value_name = "NAME")]
    pub ipvs_scheduler: Option<String>,
    /// Ranges whose virtual servers `cleanup` leaves alone
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    pub ipvs_exclude_cidrs: Option<Vec<String>>,
    /// Whether ARP is not answered for virtual addresses
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub ipvs_strict_arp: Option<bool>,
    /// Time-out of idle TCP connections in IPVS
    #[arg(long, value_name = "DURATION")]
    pub ipvs_tcp_timeout: Option<Duration>,
    /// Time-out of TCP connections after a FIN in IPVS
    #[arg(long, value_name = "DURATION")]
    pub ipvs_tcpfin_timeout: Option<Duration>,
    /// Time-out of UDP flows in IPVS
    #[arg(long, value_name = "DURATION")]
    pub ipvs_udp_timeout: Option<Duration>,
    /// Half of the time that a change may wait for the kernel before the agent is unhealthy
    #[arg(long, value_name = "DURATION")]
    pub ipvs_sync_period: Option<Duration>,
    /// How readily the kernel ends the agent when memory runs out, -1000 to 1000
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub oom_score_adj: Option<i64>,
    /// Tracked connections per processor; 0 leaves the kernel's limit
    #[arg(long, value_name = "NUMBER")]
    pub conntrack_max_per_core: Option<u32>,
    /// Tracked connections at least
    #[arg(long, value_name = "NUMBER")]
    pub conntrack_min: Option<u32>,
    /// Time-out of established TCP connections in connection tracking
    #[arg(long, value_name = "DURATION")]
    pub conntrack_tcp_timeout_established: Option<Duration>,
    /// Time-out of TCP connections in `CLOSE_WAIT`
    #[arg(long, value_name = "DURATION")]
    pub conntrack_tcp_timeout_close_wait: Option<Duration>,
    /// Whether packets out of the TCP window are tracked, too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub conntrack_tcp_be_liberal: Option<bool>,
    /// Time-out of UDP flows without an answer
    #[arg(long, value_name = "DURATION")]
    pub conntrack_udp_timeout: Option<Duration>,
    /// Time-out of UDP flows with answers
    #[arg(long, value_name = "DURATION")]
    pub conntrack_udp_timeout_stream: Option<Duration>,
    #[command(flatten)]
    ignored: Ignored,
}

/// A boolean as Go reads it (`strconv.ParseBool`).
pub fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("give true or false"),
    }
}

/// Declares flags that are taken and do nothing, and a list of those that are given.
macro_rules! ignored {
    ($($field:ident $flag:literal $($short:literal)?)*) => {
        /// Flags of kube-proxy for what Spillway has not: taken, so that its command line works
        /// unchanged, and named in a warning.
        #[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
        struct Ignored {
            $(
                #[arg(long = $flag, $(short = $short,)? hide = true, num_args = 0..=1, default_missing_value = "")]
                $field: Vec<String>,
            )*
        }

        impl Ignored {
            fn given(&self) -> Vec<String> {
                let all = [$((concat!("--", $flag), !self.$field.is_empty())),*];
                all.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_owned()).collect()
            }
        }
    };
}

ignored! {
    add_dir_header "add-dir-header"
    alsologtostderr "alsologtostderr"
    config_sync_period "config-sync-period"
    iptables_localhost_nodeports "iptables-localhost-nodeports"
    iptables_min_sync_period "iptables-min-sync-period"
    iptables_sync_period "iptables-sync-period"
    ipvs_min_sync_period "ipvs-min-sync-period"
    kube_api_burst "kube-api-burst"
    kube_api_content_type "kube-api-content-type"
    kube_api_qps "kube-api-qps"
    log_backtrace_at "log-backtrace-at"
    log_dir "log-dir"
    log_file "log-file"
    log_file_max_size "log-file-max-size"
    log_flush_frequency "log-flush-frequency"
    log_json_info_buffer_size "log-json-info-buffer-size"
    log_json_split_stream "log-json-split-stream"
    log_text_info_buffer_size "log-text-info-buffer-size"
    log_text_split_stream "log-text-split-stream"
    logging_format "logging-format"
    logtostderr "logtostderr"
    one_output "one-output"
    profiling "profiling"
    show_hidden_metrics_for_version "show-hidden-metrics-for-version"
    skip_headers "skip-headers"
    skip_log_headers "skip-log-headers"
    stderrthreshold "stderrthreshold"
    verbosity "v" 'v'
    vmodule "vmodule"
}

impl Flags {
    /// Puts what is given into the file's fields. Returns which fields are a flag's now.
    pub fn apply(&self, file: &mut Configuration) -> Vec<(&'static str, &'static str)> {
        let mut taken = Vec::new();
        let mut take = |field, flag| taken.push((field, flag));
        /// `field = value` where the flag is given; `some` for a field that may be left out.
        macro_rules! put {
            ($($given:ident => $($field:ident).+, $path:literal, $flag:literal $(, $some:ident)?;)*) => {$(
                if let Some(value) = &self.$given {
                    file.$($field).+ = put!(@value value $(, $some)?);
                    take($path, $flag);
                }
            )*};
            (@value $value:ident) => { $value.clone() };
            (@value $value:ident, $some:ident) => { Some($value.clone()) };
        }
        put! {
            bind_address => bind_address, "bindAddress", "--bind-address";
            bind_address_hard_fail => bind_address_hard_fail, "bindAddressHardFail", "--bind-address-hard-fail";
            cluster_cidr => cluster_cidr, "clusterCIDR", "--cluster-cidr";
            detect_local_mode => detect_local_mode, "detectLocalMode", "--detect-local-mode";
            pod_bridge_interface => detect_local.bridge_interface, "detectLocal.bridgeInterface", "--pod-bridge-interface";
            pod_interface_name_prefix => detect_local.interface_name_prefix, "detectLocal.interfaceNamePrefix", "--pod-interface-name-prefix";
            nodeport_addresses => node_port_addresses, "nodePortAddresses", "--nodeport-addresses";
            proxy_mode => mode, "mode", "--proxy-mode";
            masquerade_all => iptables.masquerade_all, "iptables.masqueradeAll", "--masquerade-all";
            iptables_masquerade_bit => iptables.masquerade_bit, "iptables.masqueradeBit", "--iptables-masquerade-bit", some;
            ipvs_scheduler => ipvs.scheduler, "ipvs.scheduler", "--ipvs-scheduler";
            ipvs_exclude_cidrs => ipvs.exclude_cidrs, "ipvs.excludeCIDRs", "--ipvs-exclude-cidrs";
            ipvs_strict_arp => ipvs.strict_arp, "ipvs.strictARP", "--ipvs-strict-arp";
            ipvs_tcp_timeout => ipvs.tcp_timeout, "ipvs.tcpTimeout", "--ipvs-tcp-timeout", some;
            ipvs_tcpfin_timeout => ipvs.tcp_fin_timeout, "ipvs.tcpFinTimeout", "--ipvs-tcpfin-timeout", some;
            ipvs_udp_timeout => ipvs.udp_timeout, "ipvs.udpTimeout", "--ipvs-udp-timeout", some;
            ipvs_sync_period => ipvs.sync_period, "ipvs.syncPeriod", "--ipvs-sync-period", some;
            oom_score_adj => oom_score_adj, "oomScoreAdj", "--oom-score-adj", some;
            conntrack_max_per_core => conntrack.max_per_core, "conntrack.maxPerCore", "--conntrack-max-per-core", some;
            conntrack_min => conntrack.min, "conntrack.min", "--conntrack-min", some;
            conntrack_tcp_timeout_established => conntrack.tcp_established_timeout, "conntrack.tcpEstablishedTimeout", "--conntrack-tcp-timeout-established", some;
            conntrack_tcp_timeout_close_wait => conntrack.tcp_close_wait_timeout, "conntrack.tcpCloseWaitTimeout", "--conntrack-tcp-timeout-close-wait", some;
            conntrack_tcp_be_liberal => conntrack.tcp_be_liberal, "conntrack.tcpBeLiberal", "--conntrack-tcp-be-liberal";
            conntrack_udp_timeout => conntrack.udp_timeout, "conntrack.udpTimeout", "--conntrack-udp-timeout", some;
            conntrack_udp_timeout_stream => conntrack.udp_stream_timeout, "conntrack.udpStreamTimeout", "--conntrack-udp-timeout-stream", some;
        }
        if !self.feature_gates.is_empty() {
            file.feature_gates = self.feature_gates.clone().into_iter().flatten().collect();
            taken.push(("featureGates", "--feature-gates"));
        }
        taken
    }

    /// The flags that are given and do nothing.
    pub fn without_effect(&self) -> Vec<String> {
        self.ignored.given()
    }
}
