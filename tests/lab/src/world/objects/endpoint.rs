//! Endpoints of a Service, before they are put into slices.

use std::sync::Arc;

use serde_json::{Value, json};

use super::family::Family;
use crate::world::node::Pod;
use crate::world::topology::{Addresses, NodeSpec};

/// One endpoint: a pod with its addresses, its place and its conditions. Ready unless said
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    addresses: Addresses,
    node: Arc<NodeSpec>,
    pod: String,
    ready: bool,
    serving: bool,
    terminating: bool,
    zone_hint: Option<String>,
    node_hint: Option<String>,
}

impl Endpoint {
    /// A ready endpoint of a pod; a `/` in the pod's name becomes a `.`, as object names need.
    pub fn new(addresses: Addresses, node: &Arc<NodeSpec>, pod: &str) -> Self {
        Self {
            addresses,
            node: node.clone(),
            pod: pod.replace('/', "."),
            ready: true,
            serving: true,
            terminating: false,
            zone_hint: None,
            node_hint: None,
        }
    }

    /// The endpoint fails its readiness probe.
    #[must_use]
    pub fn not_ready(self) -> Self {
        Self {
            ready: false,
            serving: false,
            ..self
        }
    }

    /// The pod is being deleted and still answers.
    #[must_use]
    pub fn terminating(self) -> Self {
        Self {
            ready: false,
            serving: true,
            terminating: true,
            ..self
        }
    }

    /// The pod is being deleted and does not answer any more.
    #[must_use]
    pub fn terminated(self) -> Self {
        Self {
            ready: false,
            serving: false,
            terminating: true,
            ..self
        }
    }

    /// Whatever the pod's state is, its Service has `publishNotReadyAddresses`.
    #[must_use]
    pub fn published(self) -> Self {
        Self {
            ready: true,
            ..self
        }
    }

    /// The endpoint is meant for clients of a zone (`hints.forZones`).
    #[must_use]
    pub fn hint(self, zone: &str) -> Self {
        Self {
            zone_hint: Some(zone.to_owned()),
            ..self
        }
    }

    /// The endpoint is meant for clients of its own node and, where they have none, of its own zone
    /// (what `trafficDistribution: PreferSameNode` makes).
    #[must_use]
    pub fn hint_node(self) -> Self {
        let node = self.node.clone();
        Self {
            node_hint: Some(node.name.clone()),
            ..self.hint(&node.zone)
        }
    }

    /// The entry for a slice of one address family.
    pub(super) fn object(&self, namespace: &str, family: Family) -> Value {
        let mut endpoint = json!({
            "addresses": [family.of(self.addresses)],
            "conditions": {
                "ready": self.ready,
                "serving": self.serving,
                "terminating": self.terminating,
            },
            "nodeName": self.node.name,
            "zone": self.node.zone,
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": self.pod},
        });
        if let Some(zone) = &self.zone_hint {
            endpoint["hints"]["forZones"] = json!([{"name": zone}]);
        }
        if let Some(node) = &self.node_hint {
            endpoint["hints"]["forNodes"] = json!([{"name": node}]);
        }
        endpoint
    }
}

impl From<&Pod> for Endpoint {
    fn from(pod: &Pod) -> Self {
        Self::new(pod.addresses, &pod.node, &pod.name)
    }
}

impl From<&&Pod> for Endpoint {
    fn from(pod: &&Pod) -> Self {
        Self::from(*pod)
    }
}
