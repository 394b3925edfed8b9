//! What is wrong is an error that says where and what to do.

use super::*;

/// The fields that are wrong with a file.
fn wrong(text: &str) -> Vec<String> {
    match parsed(text) {
        Err(ConfigError::Invalid(wrong)) => wrong.into_iter().map(|wrong| wrong.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_value_is_an_error_that_names_it() {
    for (text, field) in [
        ("apiVersion: kubeproxy.config.k8s.io/v1beta1", "apiVersion"),
        ("kind: KubeletConfiguration", "kind"),
        ("bindAddress: all", "bindAddress"),
        ("healthzBindAddress: 1.2.3.4:70000", "healthzBindAddress"),
        ("metricsBindAddress: everywhere", "metricsBindAddress"),
        ("clusterCIDR: 10.244.0.0", "clusterCIDR"),
        ("clusterCIDR: 10.1.0.0/16,10.2.0.0/16", "clusterCIDR"),
        ("detectLocalMode: ByMagic", "detectLocalMode"),
        (
            "detectLocalMode: BridgeInterface",
            "detectLocal.bridgeInterface",
        ),
        (
            "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: a/b}",
            "detectLocal.bridgeInterface",
        ),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {bridgeInterface: cni0}",
            "detectLocal.interfaceNamePrefix",
        ),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: sixteen-letters-}",
            "detectLocal.interfaceNamePrefix",
        ),
        ("nodePortAddresses: [10.0.0.1]", "nodePortAddresses"),
        (
            "nodePortAddresses: [primary, localhost]",
            "nodePortAddresses",
        ),
        ("iptables: {masqueradeBit: 32}", "iptables.masqueradeBit"),
        ("iptables: {masqueradeBit: -1}", "iptables.masqueradeBit"),
        ("iptables: {masqueradeBit: 24}", "iptables.masqueradeBit"),
        ("ipvs: {syncPeriod: -1s}", "ipvs.syncPeriod"),
        ("oomScoreAdj: -1001", "oomScoreAdj"),
        ("oomScoreAdj: 70000", "oomScoreAdj"),
        ("ipvs: {tcpTimeout: -1s}", "ipvs.tcpTimeout"),
        ("ipvs: {udpTimeout: 1000000h}", "ipvs.udpTimeout"),
        ("conntrack: {udpTimeout: -5s}", "conntrack.udpTimeout"),
        ("ipvs: {excludeCIDRs: [all]}", "ipvs.excludeCIDRs"),
        ("spillway: {weights: {node: 0}}", "spillway.weights.node"),
        (
            "spillway: {weights: {zone: 65536}}",
            "spillway.weights.zone",
        ),
        ("spillway: {markRange: 0x01000000}", "spillway.markRange"),
        ("spillway: {markRange: 0x01000001/8}", "spillway.markRange"),
        ("spillway: {markRange: 0/8}", "spillway.markRange"),
        ("spillway: {routing: nearest}", "spillway.routing"),
        ("spillway: {levels: rack}", "spillway.levels"),
        ("spillway: {capacity: 0}", "spillway.capacity"),
        ("spillway: {capacity: none}", "spillway.capacity"),
        ("spillway: {remote: sometimes}", "spillway.remote"),
        ("spillway: {clusterId: East}", "spillway.clusterId"),
        (
            "spillway: {capacityTickMilliseconds: 99}",
            "spillway.capacityTickMilliseconds",
        ),
        (
            "spillway: {slowStartSeconds: 601}",
            "spillway.slowStartSeconds",
        ),
        (
            "spillway: {slowStartSeconds: -1}",
            "spillway.slowStartSeconds",
        ),
        (
            "spillway: {reports: {service: spillway}}",
            "spillway.reports.service",
        ),
    ] {
        assert_eq!(wrong(text), [field], "{text}");
    }
}

#[test]
fn a_family_without_a_range_for_node_ports_is_named() {
    let (_, warnings) = parsed("nodePortAddresses: [192.0.2.0/24]").unwrap();
    assert_eq!(
        warnings,
        ["config.conf: nodePortAddresses: no IPv6 range: \
             node ports are served at all IPv6 addresses"]
    );
    assert_eq!(
        sound("nodePortAddresses: [all]").node_ports.on(&[]).len(),
        2
    );
}

#[test]
fn all_errors_are_shown_at_once_with_file_field_and_remedy() {
    let error = parsed("clusterCIDR: x\nspillway: {weights: {node: 0}}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "config.conf: spillway.weights.node: found 0; give a number from 1 to 65535\n\
         config.conf: clusterCIDR: found \"x\"; \
         give one range per family, like 10.244.0.0/16,fd00:10:244::/56"
    );
}

#[test]
fn a_wrong_flag_is_not_blamed_on_the_file() {
    let overrides = Overrides {
        node: Some("no such name".into()),
        ..Overrides::default()
    };
    let error = parse("", Path::new("config.conf"), &overrides).unwrap_err();
    assert!(
        error.to_string().starts_with("command line: --node: "),
        "{error}"
    );
}

#[test]
fn what_is_no_yaml_or_of_the_wrong_type_is_shown_with_its_place() {
    for text in [
        "clusterCIDR: [",
        "\nipvs: {strictARP: maybe}",
        "\nipvs: {tcpTimeout: 5}",
    ] {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.starts_with("config.conf: "), "{error}");
        assert!(error.contains("line"), "{error}");
    }
    let missing = load(Some(Path::new("/nowhere/config.conf")), &overrides()).unwrap_err();
    assert!(
        missing.to_string().starts_with("/nowhere/config.conf: "),
        "{missing}"
    );
}
