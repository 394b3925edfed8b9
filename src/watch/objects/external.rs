//! The parts of Services and Nodes that are about the world outside of the cluster.

use std::net::IpAddr;

use serde::Deserialize;

use crate::watch::lenient::{Field, FromValue, from_map};

/// `Service.status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceStatus {
    /// What the load balancer says of itself.
    pub load_balancer: Field<LoadBalancer>,
}

/// `Service.status.loadBalancer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Where it takes connections.
    pub ingress: Field<Vec<Field<Ingress>>>,
}

/// One of `Service.status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ingress {
    /// Left out where there is a host name only, which is nothing to a proxy.
    pub ip: Field<IpAddr>,
    /// `VIP` where left out.
    pub ip_mode: Field<IpMode>,
}

/// `Service.status.loadBalancer.ingress[].ipMode` (KEP-1860).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpMode {
    /// Packets reach the nodes as they came to the load balancer.
    Vip,
    /// The load balancer ends connections or rewrites them: nodes never see its address, and what
    /// they send there must get there.
    Proxy,
}

/// `Node.status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its addresses, host names among them.
    pub addresses: Field<Vec<Field<Addressed>>>,
}

/// One of `Node.status.addresses`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Addressed {
    /// `InternalIP`, `ExternalIP`, or a kind of name.
    #[serde(rename = "type")]
    pub kind: Field<String>,
    /// The address or the name.
    pub address: Field<String>,
}

from_map!(ServiceStatus, LoadBalancer, Ingress, NodeStatus, Addressed);

impl FromValue for IpMode {
    fn text(text: &str) -> Option<Self> {
        match text {
            "" | "VIP" => Some(Self::Vip),
            "Proxy" => Some(Self::Proxy),
            _ => None,
        }
    }
}
