//! The Kubernetes objects that Spillway acts on, reduced to the fields that it uses and already
//! checked: every address parses and every port is a port.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use super::{Family, NodeTuning, Protocol, Reach, Said, ServiceId, SliceCapacity, SliceId, Tuning};

/// A Service or `ServiceImport` that has virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub id: ServiceId,
    /// At most one per family.
    pub cluster_ips: Vec<IpAddr>,
    /// Which endpoints serve clients of those (`internalTrafficPolicy`).
    pub internal: TrafficPolicy,
    /// How clients from outside of the cluster find it; none for most.
    pub external: Option<Box<External>>,
    /// Its ports, in the order of the object.
    pub ports: Vec<ServicePort>,
    /// `sessionAffinity: ClientIP` and its timeout in seconds (1 to 86,400).
    pub affinity_seconds: Option<u32>,
    /// What its annotations ask for.
    pub tuning: Tuning,
    /// `spillway.io/global`: endpoints that other clusters export under the same name serve this
    /// Service, too.
    pub global: Said<bool>,
}

/// Which endpoints serve a kind of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// All of them.
    #[default]
    Cluster,
    /// Those on the node where the client's packets arrive.
    Local,
}

/// How clients from outside of the cluster find a Service, besides its node ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// Which endpoints serve them, at node ports too (`externalTrafficPolicy`).
    pub policy: TrafficPolicy,
    /// `externalIPs`: addresses that somebody routes to the nodes, perhaps a node's own.
    pub ips: Vec<IpAddr>,
    /// The addresses of a load balancer that hands packets on as they are (`ipMode: VIP`).
    pub balancers: Vec<IpAddr>,
    /// The networks whose clients the load balancer's addresses are for; of a family without any,
    /// for everybody.
    pub sources: Vec<IpNet>,
    /// Where load balancers ask whether this node has endpoints of its own; only one of type
    /// `LoadBalancer` with policy `Local` has such a port.
    pub health_port: Option<NonZeroU16>,
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty where the Service has a single unnamed port.
    pub name: Arc<str>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port on the Service's addresses.
    pub port: NonZeroU16,
    /// The port on every node, where the Service has one.
    pub node_port: Option<NonZeroU16>,
}

/// Another Node, of which all agents shall know what it says of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: Arc<str>,
    /// What its annotations ask for.
    pub tuning: NodeTuning,
}

/// Networks that virtual addresses of Services are allocated from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    /// Its name.
    pub name: Arc<str>,
    /// At most one per family.
    pub networks: Vec<IpNet>,
}

/// A part of a Service's endpoints; a Service may have many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Its name.
    pub id: SliceId,
    /// The Service or `ServiceImport` that its endpoints serve.
    pub service: ServiceId,
    /// The id of the cluster that exports them; none for the slice of a Service.
    pub cluster: Option<Arc<str>>,
    /// What its annotation says of its endpoints' capacity.
    pub capacity: Said<SliceCapacity>,
    /// How its addresses are reached.
    pub reach: Said<Reach>,
    /// The family of all its addresses.
    pub family: Family,
    /// The ports that every endpoint of the slice listens on.
    pub ports: Vec<SlicePort>,
    /// The endpoints, in the order of the object.
    pub endpoints: Vec<Endpoint>,
    /// When the change of pods or Service happened that made it what it is.
    pub since: Since,
}

/// A time at which something became what it is. It makes no difference between two objects: all are
/// equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since(pub Option<SystemTime>);

impl PartialEq for Since {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Since {}

/// A port that a slice's endpoints listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// The Service port that it stands behind.
    pub name: Arc<str>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port at the endpoint.
    pub port: NonZeroU16,
}

/// Something that answers for a Service, usually a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The first address; Kubernetes gives the others no meaning.
    pub ip: IpAddr,
    /// Whether it may be sent connections.
    pub conditions: Conditions,
    /// The node that it runs on.
    pub node: Option<Arc<str>>,
    /// The zone that it runs in.
    pub zone: Option<Arc<str>>,
    /// Whose clients it is meant for, where that is said. Most have none, hence the box.
    pub hints: Option<Box<Hints>>,
}

/// Whose clients an endpoint is meant for (`EndpointSlice.endpoints[].hints`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Those on these nodes.
    pub nodes: Vec<Arc<str>>,
    /// Those in these zones.
    pub zones: Vec<Arc<str>>,
}

/// An endpoint's conditions, with Kubernetes' defaults for those left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Wants traffic (left out: yes).
    pub ready: bool,
    /// Answers, perhaps while it is terminating (left out: yes).
    pub serving: bool,
    /// Is on its way out (left out: no).
    pub terminating: bool,
}

/// The node that this agent runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its `topology.kubernetes.io/zone` label.
    pub zone: Option<Arc<str>>,
    /// Its own addresses, those within the cluster first.
    pub ips: Vec<IpAddr>,
    /// The networks of its pods, where the control plane gives each node its own.
    pub pod_cidrs: Vec<IpNet>,
    /// Whether new connections may be steered to it by load balancers: it exists, is not being
    /// deleted, and has no `ToBeDeletedByClusterAutoscaler` taint.
    pub eligible: bool,
    /// What its annotations ask for.
    pub tuning: NodeTuning,
}
