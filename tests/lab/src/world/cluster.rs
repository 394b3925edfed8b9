//! A cluster: its nodes, the gateway they share, and its API server.

use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::netns::Netns;
use super::node::Node;
use super::topology::ClusterSpec;
use super::wiring;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    spec: ClusterSpec,
    gateway: Netns,
    nodes: Vec<Node>,
}

impl Cluster {
    pub(super) fn start(spec: &ClusterSpec, runtime: &Arc<Runtime>) -> Result<Self> {
        let gateway = wiring::gateway(spec)?;
        let nodes = spec
            .nodes
            .iter()
            .map(|node| {
                let netns = wiring::node(spec, node, &gateway)?;
                Ok(Node::new(node.clone(), netns, runtime.clone()))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            spec: spec.clone(),
            gateway,
            nodes,
        })
    }

    /// Its description.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// Its nodes, in the order of the topology.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The gateway of its nodes, on their segment: where a router or a load balancer would be.
    pub fn gateway(&self) -> &Netns {
        &self.gateway
    }
}
