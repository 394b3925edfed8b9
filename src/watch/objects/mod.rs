//! Kubernetes objects with only the fields that Spillway uses; all others are skipped while
//! decoding, so that they never take memory. Of Services and `EndpointSlices` their names are noted.

mod external;
mod metadata;
mod multicluster;
mod networking;

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::lenient::{Field, FromValue, from_map};
use super::passed_over::{PassedOver, note_passed_over};
use crate::model::{Family, Protocol, TrafficPolicy};
pub use external::{Addressed, Ingress, IpMode, LoadBalancer, NodeStatus, ServiceStatus};
use metadata::metadata;
pub use multicluster::{
    ClusterProperty, ImportSpec, ImportType, McsVersion, PropertySpec, ServiceImport,
};
pub use networking::{ServiceCidr, ServiceCidrSpec};

/// On Services that another proxy takes care of (well-known label, KEP-2447).
pub const SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// On `EndpointSlices` that are for DNS only (well-known label).
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// On Nodes of which the agents of all nodes shall know what they say of the pods there.
pub const KNOWN_TO_ALL: &str = "spillway.io/known-to-all";
/// On `EndpointSlices`: the Service that they belong to (well-known label).
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// On `EndpointSlices`: the `ServiceImport` that they belong to (KEP-1645).
pub const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";
/// On `EndpointSlices` of a `ServiceImport`: the id of the cluster that exports them (KEP-1645).
pub const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";
/// On `ServiceImports` that a Service made for the purpose stands for (annotation, KEP-1645).
pub const DERIVED_SERVICE: &str = "multicluster.kubernetes.io/derived-service";
/// On `EndpointSlices`: when what they show happened (well-known annotation).
pub const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// On Nodes (well-known label).
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// A Service.
#[derive(Clone, Debug, Default, Deserialize, kube::Resource)]
#[resource(inherit = "core::Service")]
#[serde(default, remote = "Self")]
pub struct Service {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What it shall be.
    pub spec: Field<ServiceSpec>,
    /// What its load balancer has made of it.
    pub status: Field<ServiceStatus>,
    /// The other fields that it has.
    #[serde(skip)]
    pub passed_over: PassedOver,
}

/// `Service.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ExternalName` Services have no endpoints.
    #[serde(rename = "type")]
    pub kind: Field<String>,
    /// The first of `clusterIPs`; the only one in objects older than dual-stack.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Field<ClusterIp>,
    /// One per family.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Field<Vec<Field<ClusterIp>>>,
    /// The families of `clusterIPs`.
    pub ip_families: Field<Vec<Field<Family>>>,
    /// The ports.
    pub ports: Field<Vec<Field<ServicePort>>>,
    /// Whether a client stays with its endpoint.
    pub session_affinity: Field<Affinity>,
    /// For how long.
    pub session_affinity_config: Field<AffinityConfig>,
    /// Which endpoints serve clients of `clusterIPs`.
    pub internal_traffic_policy: Field<TrafficPolicy>,
    /// Which endpoints serve clients of all other addresses.
    pub external_traffic_policy: Field<TrafficPolicy>,
    /// Addresses that somebody routes to the nodes.
    #[serde(rename = "externalIPs")]
    pub external_ips: Field<Vec<Field<IpAddr>>>,
    /// Whose clients the load balancer is for.
    pub load_balancer_source_ranges: Field<Vec<Field<IpNet>>>,
    /// Where the load balancer asks for endpoints; 0 for none.
    pub health_check_node_port: Field<i64>,
}

/// What may stand in `Service.spec.clusterIP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterIp {
    /// `None` (headless) or empty (not given yet).
    None,
    /// An address.
    Ip(IpAddr),
}

/// `Service.spec.sessionAffinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Every connection on its own.
    None,
    /// By the client's address.
    ClientIp,
}

/// One of `Service.spec.ports`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Empty where there is only one.
    pub name: Field<String>,
    /// TCP where left out.
    pub protocol: Field<Protocol>,
    /// On the Service's addresses.
    pub port: Field<i64>,
    /// On every node; 0 for none.
    pub node_port: Field<i64>,
}

/// `Service.spec.sessionAffinityConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AffinityConfig {
    /// For affinity by the client's address.
    #[serde(rename = "clientIP")]
    pub client_ip: Field<ClientIpConfig>,
}

/// `Service.spec.sessionAffinityConfig.clientIP`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientIpConfig {
    /// 1 to 86,400.
    pub timeout_seconds: Field<i64>,
}

/// An `EndpointSlice`.
#[derive(Clone, Debug, Default, Deserialize, kube::Resource)]
#[resource(inherit = "discovery::EndpointSlice")]
#[serde(default, rename_all = "camelCase", remote = "Self")]
pub struct EndpointSlice {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What its addresses are.
    pub address_type: Field<AddressType>,
    /// The ports that all its endpoints have.
    pub ports: Field<Vec<Field<SlicePort>>>,
    /// Its endpoints.
    pub endpoints: Field<Vec<Field<Endpoint>>>,
    /// The other fields that it has.
    #[serde(skip)]
    pub passed_over: PassedOver,
}

/// `EndpointSlice.addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressType {
    /// Addresses of this family.
    Ip(Family),
    /// Host names, which no proxy can use.
    Fqdn,
}

/// One of `EndpointSlice.ports`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SlicePort {
    /// The Service port's name.
    pub name: Field<String>,
    /// TCP where left out.
    pub protocol: Field<Protocol>,
    /// Left out: all ports, which no proxy implements.
    pub port: Field<i64>,
}

/// One of `EndpointSlice.endpoints`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoint {
    /// Only the first counts.
    pub addresses: Field<Vec<Field<IpAddr>>>,
    /// Its conditions.
    pub conditions: Field<Conditions>,
    /// Its node.
    pub node_name: Field<String>,
    /// Its zone.
    pub zone: Field<String>,
    /// Whose clients it is meant for.
    pub hints: Field<Hints>,
}

/// `EndpointSlice.endpoints[].hints`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hints {
    /// Those in these zones.
    pub for_zones: Field<Vec<Field<Hint>>>,
    /// Those on these nodes.
    pub for_nodes: Field<Vec<Field<Hint>>>,
}

/// One of `EndpointSlice.endpoints[].hints.forZones` or `forNodes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Hint {
    /// Of the zone or node.
    pub name: Field<String>,
}

/// `EndpointSlice.endpoints[].conditions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Left out: yes.
    pub ready: Field<bool>,
    /// Left out: yes.
    pub serving: Field<bool>,
    /// Left out: no.
    pub terminating: Field<bool>,
}

/// A Node.
#[derive(Clone, Debug, Default, Deserialize, kube::Resource)]
#[resource(inherit = "core::Node")]
#[serde(default)]
pub struct Node {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What it shall be.
    pub spec: Field<NodeSpec>,
    /// What its kubelet says of it.
    pub status: Field<NodeStatus>,
}

/// A `Node` of which nothing but its annotations counts.
#[derive(Clone, Debug, Default, Deserialize, kube::Resource)]
#[resource(inherit = "core::Node")]
#[serde(default)]
pub struct Neighbour {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
}

/// `Node.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// The networks of its pods, one per family.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Field<Vec<Field<IpNet>>>,
    /// Reasons against the node.
    pub taints: Field<Vec<Field<Taint>>>,
}

/// One of `Node.spec.taints`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Its name.
    pub key: Field<String>,
}

note_passed_over!(Service, EndpointSlice);

from_map!(
    ServiceSpec,
    ServicePort,
    AffinityConfig,
    ClientIpConfig,
    SlicePort,
    Endpoint,
    Conditions,
    Hints,
    Hint,
    NodeSpec,
    Taint,
);

impl FromValue for ClusterIp {
    fn text(text: &str) -> Option<Self> {
        match text {
            "" | "None" => Some(Self::None),
            _ => IpAddr::text(text).map(Self::Ip),
        }
    }
}

impl FromValue for Affinity {
    fn text(text: &str) -> Option<Self> {
        match text {
            "" | "None" => Some(Self::None),
            "ClientIP" => Some(Self::ClientIp),
            _ => None,
        }
    }
}

impl FromValue for TrafficPolicy {
    fn text(text: &str) -> Option<Self> {
        match text {
            "" | "Cluster" => Some(Self::Cluster),
            "Local" => Some(Self::Local),
            _ => None,
        }
    }
}

impl FromValue for IpNet {
    /// Reads networks as Kubernetes does: with blanks around them, and with bits after the prefix.
    fn text(text: &str) -> Option<Self> {
        let network: Self = text.trim().parse().ok()?;
        Some(network.trunc())
    }
}

impl FromValue for AddressType {
    fn text(text: &str) -> Option<Self> {
        match text {
            "FQDN" => Some(Self::Fqdn),
            _ => Family::text(text).map(Self::Ip),
        }
    }
}

impl FromValue for Family {
    fn text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| match family {
            Self::V4 => text == "IPv4",
            Self::V6 => text == "IPv6",
        })
    }
}

impl FromValue for Protocol {
    fn text(text: &str) -> Option<Self> {
        match text {
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl<T> Field<T> {
    /// The value, where it is usable.
    pub fn ok(self) -> Option<T> {
        match self {
            Self::Valid(value) => Some(value),
            Self::Absent | Self::Invalid(_) => None,
        }
    }
}
