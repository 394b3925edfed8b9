//! What the table's rules are made from: the configuration, and what is known of the Node and the
//! cluster.

use ipnet::IpNet;

use crate::config::{NodePortAddresses, PodDetection, Settings};
use crate::kernel::nft::{Base, Links, Pods};
use crate::model::Node;

/// What the table's rules are made from.
#[derive(Debug)]
pub struct Ground {
    settled: Base,
    pods: PodDetection,
    /// At which addresses node ports are served.
    node_ports: NodePortAddresses,
}

impl Ground {
    /// As the configuration says.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settled: Base {
                masquerade_bit: settings.masquerade.bit,
                masquerade_all: settings.masquerade.all,
                ..Base::new(settings.marks)
            },
            pods: settings.pods.clone(),
            node_ports: settings.node_ports.clone(),
        }
    }

    /// On a Node like this, in a cluster whose virtual addresses are in these networks.
    pub fn base(&self, node: &Node, service_networks: Vec<IpNet>) -> Base {
        let pods = match &self.pods {
            PodDetection::ClusterCidr(networks) => Pods::Within(networks.clone()),
            PodDetection::NodeCidr => Pods::Within(node.pod_cidrs.clone()),
            PodDetection::Bridge(name) => Pods::At(Links::Named(name.clone())),
            PodDetection::LinkPrefix(prefix) => Pods::At(Links::StartingWith(prefix.clone())),
        };
        Base {
            pods,
            node_port_networks: self.node_ports.on(&node.ips),
            service_networks,
            ..self.settled.clone()
        }
    }
}
