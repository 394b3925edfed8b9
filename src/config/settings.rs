//! What the rest of the house needs to know, checked.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{Flags, NodePortAddresses, PodDetection};
use crate::kernel::mark::MarkRange;
use crate::model::{Scheduler, ServiceId, Tuning, Weights};

/// All settings of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name of the Node that the agent runs on.
    pub node: String,
    /// The same where somebody has given it; empty where it is the name of the host.
    pub hostname_override: String,
    /// The Node's first address of its family, whatever the Node says.
    pub bind: Option<IpAddr>,
    /// The kubeconfig file for the API server; `None`: the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// The default weights of the levels.
    pub weights: Weights,
    /// How IPVS picks a real server by default.
    pub scheduler: Scheduler,
    /// What is true of all services where neither they nor the Node say otherwise; says nothing of
    /// weights and scheduler, which are above.
    pub defaults: Tuning,
    /// This cluster's id. Goes before that of the `ClusterProperty`, since the operator of this
    /// very agent wrote it.
    pub cluster_id: Option<String>,
    /// How often capacities are looked after.
    pub tick: Duration,
    /// How long a new endpoint takes to get its full share.
    pub slow_start: Duration,
    /// The firewall marks that are ours.
    pub marks: MarkRange,
    /// Which connections get an address of the node as their source.
    pub masquerade: Masquerade,
    /// How pods are told from other clients.
    pub pods: PodDetection,
    /// At which of the node's addresses node ports are served.
    pub node_ports: NodePortAddresses,
    /// Whether the field `externalIPs` of Services counts.
    pub external_ips: bool,
    /// Ranges whose virtual servers are others', which `spillway cleanup` leaves alone.
    pub exclude_cidrs: Vec<IpNet>,
    /// Where health is served; `None`: nowhere. `[::]` stands for all addresses of both families.
    pub healthz: Option<SocketAddr>,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// The unix socket that answers `spillway routes`; `None`: nowhere.
    pub socket: Option<PathBuf>,
    /// Whether to give up where the health or metrics address is taken, instead of trying again.
    pub bind_hard_fail: bool,
    /// How long a change may wait for the kernel before the agent is unhealthy.
    pub patience: Duration,
    /// How readily the kernel ends the agent when memory runs out, from never (-1000) to first (1000);
    /// `None` leaves it as whoever started the agent wants it.
    pub oom_score_adj: Option<i16>,
    /// Whether to answer ARP for virtual addresses only on the interface that has them, which is
    /// none (`arp_ignore` 1, `arp_announce` 2).
    pub strict_arp: bool,
    /// How long IPVS remembers idle connections.
    pub timeouts: IpvsTimeouts,
    /// What is asked of connection tracking.
    pub conntrack: Conntrack,
    /// How long an endpoint that has left may keep its connections.
    pub drain: Duration,
    /// How demand is reported to the other agents; `None`: not at all.
    pub reports: Option<Reports>,
    /// Where sysctls are: `/proc/sys`, or where a container has the host's.
    pub proc_sys: PathBuf,
}

impl Settings {
    /// The default of [`Settings::socket`].
    pub const SOCKET: &str = "/run/spillway/spillway.sock";
    /// The default of [`Settings::drain`]: longer than the grace period of almost every pod.
    pub const DRAIN: Duration = Duration::from_hours(1);
    /// The default of [`Settings::tick`].
    pub const TICK: Duration = Duration::from_millis(500);
    /// The default of [`Settings::slow_start`].
    pub const SLOW_START: Duration = Duration::from_secs(30);
}

/// How demand is reported to the other agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// The Service whose endpoints are the agents.
    pub service: ServiceId,
    /// The file with the keys that reports are sealed with, one a line; `None`: they are not.
    pub key_file: Option<PathBuf>,
}

/// Which connections get an address of the node as their source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masquerade {
    /// The bit of the firewall mark that says so, 0 to 31.
    pub bit: u8,
    /// All connections to a ClusterIP, not only those from outside the pods' addresses.
    pub all: bool,
}

impl Default for Masquerade {
    /// Bit 14 (0x4000), as in kube-proxy.
    fn default() -> Self {
        Self {
            bit: 14,
            all: false,
        }
    }
}

/// How long IPVS remembers idle connections; `None` leaves the kernel's value (900, 120 and 300 s
/// unless somebody changed it). Whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpvsTimeouts {
    /// Established TCP connections.
    pub tcp: Option<Duration>,
    /// TCP connections after a FIN.
    pub tcp_fin: Option<Duration>,
    /// UDP and everything else.
    pub udp: Option<Duration>,
}

/// What is asked of connection tracking; `None` leaves the kernel's value. The defaults are those
/// of kube-proxy. Durations are whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Connections per processor.
    pub max_per_core: Option<u32>,
    /// Connections at least.
    pub min: u32,
    /// `nf_conntrack_tcp_timeout_established`.
    pub tcp_established: Option<Duration>,
    /// `nf_conntrack_tcp_timeout_close_wait`.
    pub tcp_close_wait: Option<Duration>,
    /// `nf_conntrack_udp_timeout`.
    pub udp: Option<Duration>,
    /// `nf_conntrack_udp_timeout_stream`.
    pub udp_stream: Option<Duration>,
    /// Whether to set `nf_conntrack_tcp_be_liberal`.
    pub tcp_be_liberal: bool,
}

impl Default for Conntrack {
    fn default() -> Self {
        Self {
            max_per_core: Some(32_768),
            min: 131_072,
            tcp_established: Some(Duration::from_hours(24)),
            tcp_close_wait: Some(Duration::from_hours(1)),
            udp: None,
            udp_stream: None,
            tcp_be_liberal: false,
        }
    }
}

impl Conntrack {
    /// The most connections that kube-proxy ever asks for (since Kubernetes 1.36).
    const MOST: u32 = 1_048_576;

    /// `nf_conntrack_max` for a machine with so many processors.
    pub fn max(&self, processors: u32) -> Option<u32> {
        let wanted = self.max_per_core?.saturating_mul(processors);
        Some(wanted.max(self.min).min(Self::MOST))
    }
}

/// The settings of the command line, which go before those of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Overrides {
    /// Name of the Node that the agent runs on [default: hostnameOverride, or the host name]
    #[arg(long, value_name = "NAME", visible_alias = "hostname-override")]
    pub node: Option<String>,
    /// Address for /healthz and /livez, or "off" [default: port 10256 of all]
    #[arg(long, value_name = "ADDRESS")]
    pub healthz_bind_address: Option<String>,
    /// Address for /metrics, or "off" [default: 127.0.0.1:10249]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_bind_address: Option<String>,
    /// Path of the socket for `spillway routes` and `why`, or "off" [default: /run/spillway/spillway.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Where the host's /proc/sys is mounted, if the agent's own is read-only
    #[arg(long, value_name = "DIRECTORY")]
    pub proc_sys: Option<PathBuf>,
    /// kube-proxy's own flags.
    #[command(flatten)]
    pub flags: Flags,
}
