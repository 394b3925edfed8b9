//! Node objects.

use serde_json::{Value, json};

use crate::world::topology::{ClusterSpec, NodeSpec};

/// The Node object of a node, as its kubelet and the controllers would leave it.
pub fn node(cluster: &ClusterSpec, node: &NodeSpec) -> Value {
    let internal = |address: std::net::IpAddr| json!({"type": "InternalIP", "address": address});
    let [v4, v6] = node.addresses.both().map(internal);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/region": cluster.name,
                "topology.kubernetes.io/zone": node.zone,
            },
        },
        "spec": {
            "podCIDR": node.pods.v4,
            "podCIDRs": node.pods.both(),
        },
        "status": {
            "addresses": [v4, v6, {"type": "Hostname", "address": node.name}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_its_zone_addresses_and_pod_ranges() {
        let cluster = ClusterSpec::new("east", 1, 3);
        let object = node(&cluster, &cluster.nodes[2]);
        assert_eq!(
            object["metadata"]["labels"]["topology.kubernetes.io/zone"],
            "east-b"
        );
        assert_eq!(
            object["spec"]["podCIDRs"],
            json!(["10.1.3.0/24", "fd00:10:1:3::/64"])
        );
        let addresses = object["status"]["addresses"].as_array().expect("addresses");
        let internal: Vec<_> = addresses
            .iter()
            .filter(|address| address["type"] == "InternalIP")
            .map(|address| address["address"].as_str().expect("an address"))
            .collect();
        assert_eq!(internal, ["172.16.1.3", "fd00:16:1::3"]);
    }
}
