//! kube-proxy's command line.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    overrides: Overrides,
}

fn given(line: &str) -> Overrides {
    let words = ["agent"].into_iter().chain(line.split_whitespace());
    Line::try_parse_from(words).unwrap().overrides
}

fn settings(line: &str, file: &str) -> Settings {
    let (settings, warnings) = parse(file, Path::new("config.conf"), &given(line)).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    settings
}

/// Every flag says the same as its field.
#[test]
fn flags_of_kube_proxy_are_fields_by_another_name() {
    for (line, file) in [
        ("--hostname-override East-3", "hostnameOverride: east-3"),
        ("--bind-address ::1", "bindAddress: ::1"),
        ("--bind-address-hard-fail", "bindAddressHardFail: true"),
        (
            "--healthz-bind-address 127.0.0.1",
            "healthzBindAddress: 127.0.0.1",
        ),
        ("--metrics-bind-address :9", "metricsBindAddress: ':9'"),
        (
            "--cluster-cidr 10.0.0.0/8,fd00::/8",
            "clusterCIDR: 10.0.0.0/8,fd00::/8",
        ),
        (
            "--detect-local-mode BridgeInterface --pod-bridge-interface cni0",
            "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}",
        ),
        (
            "--detect-local-mode InterfaceNamePrefix --pod-interface-name-prefix veth",
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
        ),
        (
            "--nodeport-addresses primary,192.0.2.0/24",
            "nodePortAddresses: [primary, 192.0.2.0/24]",
        ),
        (
            "--feature-gates AllowServiceExternalIPs=false",
            "featureGates: {AllowServiceExternalIPs: false}",
        ),
        (
            "--feature-gates AllowServiceExternalIPs=true --feature-gates=AllowServiceExternalIPs=F",
            "featureGates: {AllowServiceExternalIPs: false}",
        ),
        ("--masquerade-all", "iptables: {masqueradeAll: true}"),
        ("--masquerade-all=T", "iptables: {masqueradeAll: true}"),
        ("--masquerade-all=0", "iptables: {masqueradeAll: false}"),
        (
            "--iptables-masquerade-bit 3",
            "iptables: {masqueradeBit: 3}",
        ),
        ("--ipvs-scheduler wrr", "ipvs: {scheduler: wrr}"),
        ("--ipvs-strict-arp=true", "ipvs: {strictARP: true}"),
        (
            "--ipvs-exclude-cidrs 10.0.0.0/8,192.0.2.0/24",
            "ipvs: {excludeCIDRs: [10.0.0.0/8, 192.0.2.0/24]}",
        ),
        ("--ipvs-tcp-timeout 15m", "ipvs: {tcpTimeout: 15m}"),
        ("--ipvs-tcpfin-timeout 5s", "ipvs: {tcpFinTimeout: 5s}"),
        ("--ipvs-udp-timeout 1m0s", "ipvs: {udpTimeout: 1m}"),
        ("--ipvs-sync-period 1m", "ipvs: {syncPeriod: 1m}"),
        ("--oom-score-adj -998", "oomScoreAdj: -998"),
        ("--oom-score-adj=7", "oomScoreAdj: 7"),
        ("--conntrack-max-per-core 0", "conntrack: {maxPerCore: 0}"),
        ("--conntrack-min 7", "conntrack: {min: 7}"),
        (
            "--conntrack-tcp-timeout-established 2h",
            "conntrack: {tcpEstablishedTimeout: 2h}",
        ),
        (
            "--conntrack-tcp-timeout-close-wait 2m",
            "conntrack: {tcpCloseWaitTimeout: 2m}",
        ),
        (
            "--conntrack-tcp-be-liberal",
            "conntrack: {tcpBeLiberal: true}",
        ),
        ("--conntrack-udp-timeout 9s", "conntrack: {udpTimeout: 9s}"),
        (
            "--conntrack-udp-timeout-stream 9s",
            "conntrack: {udpStreamTimeout: 9s}",
        ),
        ("--proxy-mode ipvs", "mode: ipvs"),
    ] {
        let host = if line.contains("hostname") {
            ""
        } else {
            "--node a1"
        };
        let other = if line.contains("hostname") {
            file.to_owned()
        } else {
            format!("{file}\nhostnameOverride: a1")
        };
        assert_eq!(
            settings(&format!("{line} {host}"), ""),
            settings("", &other),
            "{line}"
        );
    }
}

#[test]
fn a_flag_goes_before_the_field() {
    let file = "ipvs: {scheduler: rr, strictARP: true}\nclusterCIDR: bad";
    let line = "--ipvs-scheduler wrr --ipvs-strict-arp=false --cluster-cidr 10.0.0.0/8";
    let settings = settings(line, file);
    assert_eq!(settings.scheduler, Scheduler::WeightedRoundRobin);
    assert!(!settings.strict_arp);
    let cidrs = vec!["10.0.0.0/8".parse().unwrap()];
    assert_eq!(settings.pods, PodDetection::ClusterCidr(cidrs));
}

#[test]
fn a_wrong_value_of_a_flag_is_blamed_on_the_flag() {
    let overrides = given("--ipvs-udp-timeout=-1s --cluster-cidr x");
    let error = parse("", Path::new("config.conf"), &overrides)
        .unwrap_err()
        .to_string();
    for (line, flag) in error.lines().zip(["--ipvs-udp-timeout", "--cluster-cidr"]) {
        assert!(error.contains(&format!("command line: {flag}: ")), "{line}");
    }
}

#[test]
fn flags_for_what_spillway_has_not_are_taken_and_named_in_one_warning() {
    let overrides = given("--profiling --kube-api-qps=5 --vmodule=a=4,b=5 --logging-format json");
    let (_, warnings) = parse("", Path::new("config.conf"), &overrides).unwrap();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    for flag in [
        "--profiling",
        "--kube-api-qps",
        "--vmodule",
        "--logging-format",
    ] {
        assert!(warning.contains(flag), "{warning}");
    }
}

#[test]
fn verbosity_is_taken_as_klog_takes_it() {
    for line in ["--v 4", "--v=4", "-v 4", "-v=4", "-v4", "-v=2 -v=4"] {
        let (_, warnings) = parse("", Path::new("config.conf"), &given(line)).unwrap();
        assert_eq!(
            warnings,
            ["command line: --v: no effect here: --v"],
            "{line}"
        );
    }
}

#[test]
fn booleans_are_those_of_go() {
    let read = |value: &str| {
        let flag = format!("--ipvs-strict-arp={value}");
        let line = Line::try_parse_from(["agent", &flag]);
        line.ok()?.overrides.flags.ipvs_strict_arp
    };
    for (values, meaning) in [
        (["1", "t", "T", "TRUE", "true", "True"], Some(true)),
        (["0", "f", "F", "FALSE", "false", "False"], Some(false)),
        (["", "2", "yes", "tRUE", "on", " true"], None),
    ] {
        assert_eq!(values.map(read), [meaning; 6], "{values:?}");
    }
}

#[test]
fn fields_of_other_proxies_are_named_in_one_warning() {
    let file = "
iptables: {syncPeriod: 30s, localhostNodePorts: false}
nftables: {masqueradeAll: true, minSyncPeriod: 1s}
winkernel: {enableDSR: true}
clientConnection: {qps: 5}
featureGates: {AllAlpha: true, AllowServiceExternalIPs: true}
configSyncPeriod: 15m
";
    let (_, warnings) = parsed(file).unwrap();
    assert_eq!(
        warnings,
        [
            "config.conf: fields of other proxies: clientConnection.qps, configSyncPeriod, \
             featureGates.AllAlpha, iptables.syncPeriod, nftables.masqueradeAll, nftables.minSyncPeriod, \
             winkernel; they have no effect"
        ]
    );
}
