//! Settings as a file, and what changes from one file to the next.

use super::*;

/// A file in which nothing is as it is by default.
const OTHER: &str = "
bindAddress: 192.0.2.7
bindAddressHardFail: true
clientConnection: {kubeconfig: /etc/kubeconfig}
clusterCIDR: 10.0.0.0/8,fd00::/8
conntrack: {maxPerCore: 0, min: 3, tcpBeLiberal: true, udpTimeout: 9s, tcpEstablishedTimeout: 0s}
featureGates: {AllowServiceExternalIPs: false}
healthzBindAddress: 127.0.0.1:7
nodePortAddresses: [primary, 192.0.2.0/24]
hostnameOverride: a2
iptables: {masqueradeAll: true, masqueradeBit: 3}
ipvs: {excludeCIDRs: [192.0.2.0/24], strictARP: true, syncPeriod: 7s, tcpTimeout: 15m, udpTimeout: 5s}
metricsBindAddress: 'off'
oomScoreAdj: -998
spillway:
  affinityYield: true
  capacity: 100
  capacityTickMilliseconds: 1000
  clusterId: east-1
  drainBack: true
  drainSeconds: 7
  levels: node,remote
  markRange: 0x02000000/9
  remote: always:b,c
  reports: {service: net/agents, keyFile: /etc/key}
  routing: spill
  shed: true
  slowStartSeconds: 0
  weights: {node: 9, zone: 8, cluster: 7, remote: 6}
";

fn read(text: &str) -> Settings {
    let (settings, warnings) = parse(text, Path::new(""), &Overrides::default()).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    settings
}

#[test]
fn what_is_written_is_what_was_read() {
    for text in [
        "hostnameOverride: a1",
        "",
        OTHER,
        "spillway: {reports: {service: off}}",
        "detectLocalMode: NodeCIDR",
        "{detectLocalMode: BridgeInterface, detectLocal: {bridgeInterface: cni0}}",
        "{detectLocalMode: InterfaceNamePrefix, detectLocal: {interfaceNamePrefix: cali}}",
    ] {
        let settings = read(text);
        assert_eq!(read(&settings.written().to_string()), settings, "{text}");
    }
}

#[test]
fn the_name_of_the_host_is_not_written_for_others() {
    let name = |text: &str| read(text).written()["hostnameOverride"].clone();
    assert_eq!([name(""), name("hostnameOverride: a1")], ["", "a1"]);
    let given = Overrides {
        node: Some("a2".into()),
        ..Overrides::default()
    };
    let (settings, _) = load(None, &given).unwrap();
    assert_eq!(settings.written()["hostnameOverride"], "a2");
}

#[test]
fn what_is_written_has_a_kind_and_kube_proxys_own_names() {
    let written = read("hostnameOverride: a1").written();
    assert_eq!(written["apiVersion"], "kubeproxy.config.k8s.io/v1alpha1");
    assert_eq!(written["kind"], "KubeProxyConfiguration");
    assert_eq!(written["mode"], "ipvs");
    assert_eq!(written["conntrack"]["tcpCloseWaitTimeout"], "3600s");
}

#[test]
fn a_change_says_what_waits_for_a_restart() {
    let (before, after) = (read("hostnameOverride: a1"), read(OTHER));
    assert!(before.difference(&before).is_empty());
    let difference = before.difference(&after);
    assert_eq!(
        difference.live,
        [
            "spillway.weights",
            "spillway",
            "ipvs.strictARP",
            "ipvs.*Timeout",
            "conntrack",
            "nodePortAddresses",
            "masqueradeAll",
            "clusterCIDR or detectLocal",
            "featureGates",
            "ipvs.excludeCIDRs"
        ]
    );
    assert_eq!(difference.restart.len(), 15, "{difference:?}");
    // What has taken effect is no difference any more, and nothing else has.
    let now = before.with_live(&after);
    assert_eq!(before.difference(&now).restart, Vec::<&str>::new());
    assert_eq!(now.difference(&after).live, Vec::<&str>::new());
}
