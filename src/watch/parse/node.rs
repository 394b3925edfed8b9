//! The agent's own Node.

use super::annotations::node_tuning;
use super::{MAP, Problem, Report, TEXT};
use crate::model::{Neighbour, Node};
use crate::watch::names::Names;
use crate::watch::objects::{self, ZONE};

/// On nodes that the cluster autoscaler is about to remove (KEP-3836).
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

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
    let status = report.value("status", MAP, object.status);
    let addresses = status.unwrap_or_default().addresses;
    let addresses = report.list("status.addresses", MAP, addresses).into_iter();
    let ips = addresses.filter_map(|(_, one)| match one.kind.ok()?.as_str() {
        "InternalIP" | "ExternalIP" => one.address.ok()?.parse().ok(),
        _ => None,
    });
    let ips = ips.collect();
    let zone = metadata.labels.as_ref().and_then(|labels| labels.get(ZONE));
    let node = Node {
        zone: zone
            .filter(|zone| !zone.is_empty())
            .map(|zone| names.intern(zone)),
        ips,
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
    fn its_addresses_are_those_that_are_no_names() {
        let node = parsed(
            r#"{"metadata": {"name": "n"}, "status": {"addresses": [
                {"type": "InternalIP", "address": "192.168.0.7"},
                {"type": "ExternalIP", "address": "2001:db8::7"},
                {"type": "Hostname", "address": "n"}
            ]}}"#,
        );
        let ips: Vec<String> = node.ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["192.168.0.7", "2001:db8::7"]);
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
