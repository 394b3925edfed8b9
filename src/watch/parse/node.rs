//! The agent's own Node.

use std::net::IpAddr;

use super::annotations::node_tuning;
use super::{MAP, Problem, Report, TEXT};
use crate::model::{Neighbour, Node};
use crate::watch::names::Names;
use crate::watch::objects::{self, ZONE};

/// On nodes that the cluster autoscaler is about to remove (KEP-3836).
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

const NETWORKS: &str = "give one network per family";

/// Checks a Node.
pub fn node(object: objects::Node, names: &mut Names) -> (Node, Vec<Problem>) {
    let metadata = object.metadata;
    let mut report = Report::new("Node", &metadata);
    let spec = report.value("spec", MAP, object.spec).unwrap_or_default();
    let taints = report.list("spec.taints", MAP, spec.taints);
    let doomed = taints.into_iter().any(|(index, taint)| {
        let key = report.value(format_args!("spec.taints[{index}].key"), TEXT, taint.key);
        key.as_deref() == Some(TO_BE_DELETED)
    });
    let pod_cidrs = report.list("spec.podCIDRs", NETWORKS, spec.pod_cidrs);
    let pod_cidrs = pod_cidrs.into_iter().map(|(_, network)| network).collect();
    let status = report.value("status", MAP, object.status);
    let addresses = status.unwrap_or_default().addresses;
    let addresses = report.list("status.addresses", MAP, addresses).into_iter();
    let (mut ips, mut outer) = (Vec::new(), Vec::new());
    for (_, one) in addresses {
        let ip: Option<IpAddr> = one.address.ok().and_then(|text| text.parse().ok());
        match one.kind.ok().as_deref() {
            Some("InternalIP") => ips.extend(ip),
            Some("ExternalIP") => outer.extend(ip),
            _ => {}
        }
    }
    ips.append(&mut outer);
    let zone = metadata.labels.as_ref().and_then(|labels| labels.get(ZONE));
    let node = Node {
        zone: zone
            .filter(|zone| !zone.is_empty())
            .map(|zone| names.intern(zone)),
        ips,
        pod_cidrs,
        eligible: metadata.deletion_timestamp.is_none() && !doomed,
        tuning: node_tuning(&mut report),
    };
    (node, report.problems)
}

/// What another Node says.
pub fn neighbour(object: objects::Neighbour, names: &mut Names) -> Neighbour {
    let metadata = object.metadata;
    Neighbour {
        name: names.intern(metadata.name.as_deref().unwrap_or_default()),
        tuning: node_tuning(&mut Report::new("Node", &metadata)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Node {
        let object = serde_json::from_str(json).unwrap();
        let (node, problems) = node(object, &mut Names::default());
        assert_eq!(problems, []);
        node
    }

    #[test]
    fn the_zone_is_that_of_the_label() {
        let zone = |label: &str| {
            parsed(&format!(
                r#"{{"metadata": {{"name": "n", "labels": {{"topology.kubernetes.io/zone": "{label}"}}}}}}"#
            ))
            .zone
        };
        assert_eq!(zone("a").as_deref(), Some("a"));
        assert_eq!(zone(""), None);
        assert_eq!(parsed(r#"{"metadata": {"name": "n"}}"#).zone, None);
    }

    #[test]
    fn its_addresses_are_those_that_are_no_names_the_clusters_own_first() {
        let node = parsed(
            r#"{"metadata": {"name": "n"}, "status": {"addresses": [
                {"type": "ExternalIP", "address": "2001:db8::7"},
                {"type": "InternalIP", "address": "192.168.0.7"},
                {"type": "Hostname", "address": "n"}
            ]}}"#,
        );
        let ips: Vec<String> = node.ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["192.168.0.7", "2001:db8::7"]);
    }

    #[test]
    fn its_pods_have_the_networks_that_the_control_plane_gave_it() {
        let node = parsed(
            r#"{"spec": {"podCIDR": "10.1.1.0/24", "podCIDRs": ["10.1.1.0/24", "fd00:1::/64"]}}"#,
        );
        let networks: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.1.1.0/24", "fd00:1::/64"]);
    }

    #[test]
    fn a_node_on_its_way_out_is_not_eligible() {
        for (json, eligible) in [
            (r#"{"metadata": {"name": "n"}}"#, true),
            (
                r#"{"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}"#,
                false,
            ),
            (
                r#"{"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}}"#,
                false,
            ),
            (
                r#"{"spec": {"taints": [{"key": "example.com/other"}]}}"#,
                true,
            ),
            (r#"{"spec": {"taints": null}}"#, true),
        ] {
            assert_eq!(parsed(json).eligible, eligible, "{json}");
        }
    }
}
