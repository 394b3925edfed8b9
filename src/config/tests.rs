mod flags;
mod live;
mod wrong;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::kernel::mark::MarkRange;
use crate::model::{
    Capacity, Level, LinkName, Mode, Remote, RemoteUse, Said, Scheduler, ServiceId, Tuning, Weights,
};

fn overrides() -> Overrides {
    Overrides {
        node: Some("East-1".into()),
        ..Overrides::default()
    }
}

fn parsed(text: &str) -> Result<(Settings, Vec<String>), ConfigError> {
    parse(text, Path::new("config.conf"), &overrides())
}

/// The settings of a file in which nothing is worth a warning.
fn sound(text: &str) -> Settings {
    let (settings, warnings) = parsed(text).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    settings
}

#[test]
fn the_file_of_a_kubeadm_cluster_works_unchanged() {
    let settings = sound(include_str!("tests/kubeadm.yaml"));
    let defaults = load(None, &overrides()).unwrap().0;
    let pods = PodDetection::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]);
    assert_eq!(
        settings,
        Settings {
            pods,
            kubeconfig: Some("/var/lib/kube-proxy/kubeconfig.conf".into()),
            ..defaults
        }
    );
}

#[test]
fn our_own_manifest_holds_a_sound_file_with_the_defaults() {
    let manifest: serde_json::Value =
        serde_saphyr::from_str(include_str!("../../daemonset/config.yaml")).unwrap();
    let file = manifest["data"]["config.conf"].as_str().unwrap();
    assert_eq!(sound(file), load(None, &overrides()).unwrap().0);
}

#[test]
fn the_defaults_are_those_of_kube_proxy() {
    let settings = sound("");
    assert_eq!(settings.node, "east-1");
    assert_eq!(settings.weights, Weights::default());
    assert_eq!(settings.scheduler, Scheduler::WeightedRoundRobin);
    assert_eq!(settings.marks, MarkRange::default());
    assert_eq!(
        settings.masquerade,
        Masquerade {
            bit: 14,
            all: false
        }
    );
    assert_eq!(settings.pods, PodDetection::ClusterCidr(Vec::new()));
    assert_eq!(settings.healthz, "[::]:10256".parse().ok());
    assert_eq!(settings.metrics, "127.0.0.1:10249".parse().ok());
    assert_eq!(settings.timeouts, IpvsTimeouts::default());
    assert_eq!(settings.conntrack, Conntrack::default());
    assert_eq!(settings.proc_sys, Path::new("/proc/sys"));
    assert_eq!(settings.patience, Duration::from_mins(1));
    assert_eq!(settings.oom_score_adj, None);
    assert_eq!(
        settings.socket.as_deref(),
        Some(Path::new("/run/spillway/spillway.sock"))
    );
    assert!(!settings.strict_arp && !settings.bind_hard_fail);
}

#[test]
fn every_field_that_applies_is_read() {
    let settings = sound(
        "
bindAddress: '::'
bindAddressHardFail: true
clusterCIDR: 10.244.1.0/16, fd00:10:244::/56
featureGates: {AllowServiceExternalIPs: false}
healthzBindAddress: 127.0.0.1:1
nodePortAddresses: [192.0.2.7/24, primary, '2001:db8::/64']
iptables: {masqueradeAll: true, masqueradeBit: 15}
ipvs: {strictARP: true, syncPeriod: 10s, tcpTimeout: 2h, tcpFinTimeout: 1m30s, udpTimeout: 1500ms, scheduler: wrr}
oomScoreAdj: -998
conntrack:
  maxPerCore: 0
  min: 7
  tcpEstablishedTimeout: 0s
  tcpCloseWaitTimeout: 1m
  tcpBeLiberal: true
  udpTimeout: 30s
  udpStreamTimeout: 3m
spillway: {weights: {node: 65535, cluster: 1}, markRange: 0x20000000/4, drainSeconds: 60}
",
    );
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let cidrs = ["10.244.0.0/16", "fd00:10:244::/56"].map(|it| it.parse().unwrap());
    assert_eq!(settings.pods, PodDetection::ClusterCidr(cidrs.into()));
    assert!(!settings.external_ips);
    let words = ["primary", "192.0.2.0/24", "2001:db8::/64"];
    assert_eq!(settings.node_ports.words(), words);
    assert_eq!(settings.healthz, "127.0.0.1:1".parse().ok());
    assert_eq!(settings.metrics, "[::1]:10249".parse().ok());
    assert_eq!(settings.masquerade, Masquerade { bit: 15, all: true });
    assert!(settings.strict_arp && settings.bind_hard_fail);
    let timeouts = IpvsTimeouts {
        tcp: seconds(7200),
        tcp_fin: seconds(90),
        udp: seconds(2),
    };
    assert_eq!(settings.timeouts, timeouts);
    let conntrack = Conntrack {
        max_per_core: None,
        min: 7,
        tcp_established: None,
        tcp_close_wait: seconds(60),
        udp: seconds(30),
        udp_stream: seconds(180),
        tcp_be_liberal: true,
    };
    assert_eq!(settings.conntrack, conntrack);
    let weight = |level| settings.weights.of(level).get();
    assert_eq!(
        [Level::Node, Level::Zone, Level::Cluster].map(weight),
        [65535, 30, 1]
    );
    assert_eq!(settings.marks, MarkRange::new(0x2000_0000, 4).unwrap());
    assert_eq!(settings.drain, Duration::from_mins(1));
    assert_eq!(settings.patience, Duration::from_secs(20));
    assert_eq!(settings.oom_score_adj, Some(-998));
}

#[test]
fn nobody_need_say_anything_of_levels_and_capacity() {
    let settings = sound("");
    let defaults = Tuning {
        routing: Said::Valid(Mode::Prefer),
        levels: Said::Valid(Level::USUAL.to_vec()),
        capacity: Said::Valid(Capacity::Unlimited),
        remote: Said::Valid(Remote::default()),
        shed: Said::Valid(false),
        affinity_yield: Said::Valid(false),
        drain_back: Said::Valid(false),
        ..Tuning::default()
    };
    assert_eq!(settings.defaults, defaults);
    assert_eq!(settings.cluster_id, None);
    assert_eq!(settings.tick, Duration::from_millis(500));
    assert_eq!(settings.slow_start, Duration::from_secs(30));
}

#[test]
fn levels_and_capacity_are_written_as_in_annotations() {
    let settings = sound(
        "
spillway:
  routing: spill
  levels: node,remote
  capacity: 100
  remote: always:b,c
  shed: true
  affinityYield: true
  drainBack: true
  clusterId: east-1.example
  capacityTickMilliseconds: 1000
  slowStartSeconds: 0
",
    );
    let hundred = std::num::NonZeroU32::new(100).unwrap();
    let defaults = Tuning {
        routing: Said::Valid(Mode::Spill),
        levels: Said::Valid(vec![Level::Node, Level::Remote]),
        capacity: Said::Valid(Capacity::Connections(hundred)),
        remote: Said::Valid(Remote {
            when: RemoteUse::Always,
            order: vec!["b".into(), "c".into()],
        }),
        shed: Said::Valid(true),
        affinity_yield: Said::Valid(true),
        drain_back: Said::Valid(true),
        ..Tuning::default()
    };
    assert_eq!(settings.defaults, defaults);
    assert_eq!(settings.cluster_id.as_deref(), Some("east-1.example"));
    assert_eq!(settings.tick, Duration::from_secs(1));
    assert_eq!(settings.slow_start, Duration::ZERO);
    let auto = sound("spillway: {capacity: auto}").defaults.capacity;
    assert_eq!(auto, Said::Valid(Capacity::Auto));
}

#[test]
fn reports_go_to_the_endpoints_of_a_service_unless_they_are_off() {
    let reports = |text| sound(text).reports;
    let default = reports("").unwrap();
    assert_eq!(default.service, ServiceId::new("kube-system", "spillway"));
    assert_eq!(default.key_file, None);
    let other = reports("spillway: {reports: {service: net/agents, keyFile: /etc/key}}").unwrap();
    assert_eq!(other.service, ServiceId::new("net", "agents"));
    assert_eq!(other.key_file, Some("/etc/key".into()));
    assert_eq!(reports("spillway: {reports: {service: off}}"), None);
}

#[test]
fn mode_nftables_brings_its_own_masquerade_section() {
    let sections = "iptables: {masqueradeBit: 1}\nnftables: {masqueradeBit: 2}\n";
    let bit = |mode: &str| {
        let (settings, _) = parsed(&format!("mode: {mode}\n{sections}")).unwrap();
        settings.masquerade.bit
    };
    assert_eq!(["ipvs", "iptables", "nftables"].map(bit), [1, 1, 2]);
}

#[test]
fn flags_go_before_the_file() {
    let overrides = Overrides {
        node: Some("west-2".into()),
        healthz_bind_address: Some("off".into()),
        metrics_bind_address: Some("0.0.0.0".into()),
        proc_sys: Some("/host/proc/sys".into()),
        socket: Some("off".into()),
        ..Overrides::default()
    };
    let file = "hostnameOverride: other\nhealthzBindAddress: 127.0.0.1\nmetricsBindAddress: bad\n";
    let (settings, _) = parse(file, Path::new("config.conf"), &overrides).unwrap();
    assert_eq!(settings.node, "west-2");
    assert_eq!(settings.healthz, None);
    assert_eq!(settings.metrics, "0.0.0.0:10249".parse().ok());
    assert_eq!(settings.proc_sys, Path::new("/host/proc/sys"));
    assert_eq!(settings.socket, None);
}

#[test]
fn the_node_is_named_by_the_file_or_else_by_the_host() {
    let node = |file| {
        parse(file, Path::new(""), &Overrides::default())
            .unwrap()
            .0
            .node
    };
    assert_eq!(node("hostnameOverride: ' East-3 '"), "east-3");
    let host = nix::sys::utsname::uname().unwrap();
    assert_eq!(node(""), host.nodename().to_string_lossy().to_lowercase());
}

#[test]
fn a_bind_address_is_the_nodes_own_unless_it_stands_for_all() {
    let bind = |text: &str| sound(&format!("bindAddress: '{text}'")).bind;
    assert_eq!(
        ["192.0.2.7", "2001:db8::7"].map(bind),
        ["192.0.2.7", "2001:db8::7"].map(|text| text.parse().ok())
    );
    assert_eq!(["", "0.0.0.0", "::"].map(bind), [None; 3]);
}

#[test]
fn values_without_effect_are_named_in_warnings() {
    for (text, field) in [
        ("mode: nftables", "mode: "),
        ("nodePortAddresses: [10.0.0.0/8]", "nodePortAddresses: "),
        ("ipvs: {scheduler: rr}", "ipvs.scheduler: "),
        ("ipvs: {scheduler: lc}", "ipvs.scheduler: with \"lc\" "),
        ("ipvs: {scheduler: even}", "ipvs.scheduler: \"even\" "),
    ] {
        let (_, warnings) = parsed(text).unwrap();
        assert_eq!(warnings.len(), 1, "{text}");
        assert!(
            warnings[0].starts_with(&format!("config.conf: {field}")),
            "{warnings:?}"
        );
    }
}

#[test]
fn unknown_fields_are_named_in_one_warning() {
    let (_, warnings) =
        parsed("ipvs: {stictARP: true}\nspillway: {weights: {rack: 1}}\nnew: {a: [1]}\n").unwrap();
    assert_eq!(
        warnings,
        [
            "config.conf: unknown fields: ipvs.stictARP, spillway.weights.rack, new; they have no effect"
        ]
    );
}

#[test]
fn each_way_to_tell_pods_from_others_is_read() {
    let link = |name| LinkName::new(name).unwrap();
    for (text, pods) in [
        ("detectLocalMode: ClusterCIDR", PodDetection::default()),
        ("detectLocalMode: NodeCIDR", PodDetection::NodeCidr),
        (
            "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}",
            PodDetection::Bridge(link("cni0")),
        ),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
            PodDetection::LinkPrefix(link("veth")),
        ),
    ] {
        assert_eq!(sound(text).pods, pods, "{text}");
    }
}

#[test]
fn the_conntrack_table_grows_with_the_machine_within_limits() {
    let conntrack = Conntrack::default();
    assert_eq!(
        [1, 8, 32, 1000].map(|cpus| conntrack.max(cpus)),
        [
            Some(131_072),
            Some(262_144),
            Some(1_048_576),
            Some(1_048_576),
        ]
    );
    let left_alone = Conntrack {
        max_per_core: None,
        ..conntrack
    };
    assert_eq!(left_alone.max(8), None);
}

#[test]
fn every_scheduler_of_ipvs_may_be_the_usual_one() {
    for scheduler in Scheduler::ALL {
        let (settings, _) = parsed(&format!("ipvs: {{scheduler: {scheduler}}}")).unwrap();
        assert_eq!(settings.scheduler, scheduler);
    }
}
