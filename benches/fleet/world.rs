//! The pods and Services of all clusters, as the API shows them.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use spillway::capacity;
use spillway::model::{
    Capacity, Conditions, Endpoint, EndpointSlice, Family, Mode, Protocol, Said, Service,
    ServiceId, ServicePort, Since, SliceCapacity, SliceId, SlicePort, TrafficPolicy, Tuning,
};

/// A pod's number, which its address is made of.
pub type PodId = u32;

const POD_PORT: NonZeroU16 = NonZeroU16::new(8080).expect("a port");
const FIRST_POD: u32 = 0x0a00_0001;

/// Where something runs.
#[derive(Clone, Debug)]
pub struct Place {
    pub node: Arc<str>,
    pub zone: Arc<str>,
    pub cluster: Arc<str>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    pub service: usize,
    pub place: Place,
    pub capacity: NonZeroU32,
    /// Open connections of all nodes together: the truth that no node sees.
    pub active: u32,
    pub alive: bool,
}

/// The address of a pod.
pub fn address(pod: PodId) -> capacity::Address {
    (IpAddr::V4(Ipv4Addr::from_bits(FIRST_POD + pod)), POD_PORT)
}

/// The pod at an address.
pub fn pod_at(ip: IpAddr) -> Option<PodId> {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().checked_sub(FIRST_POD),
        IpAddr::V6(_) => None,
    }
}

/// A Service and its endpoints.
pub struct Backend {
    pub service: Service,
    /// The pods that the API lists as ready.
    pub listed: Vec<PodId>,
    /// One for each cluster.
    pub slices: Vec<EndpointSlice>,
}

impl Backend {
    /// A Service without endpoints.
    pub fn new(number: usize) -> Self {
        let offset = u32::try_from(number).expect("few services");
        Self {
            service: Service {
                id: ServiceId::new("fleet", format!("service-{number}")),
                cluster_ips: vec![IpAddr::V4(Ipv4Addr::from_bits(0xac10_0001 + offset))],
                internal: TrafficPolicy::Cluster,
                external: None,
                ports: vec![ServicePort {
                    name: Arc::from("http"),
                    protocol: Protocol::Tcp,
                    port: NonZeroU16::MIN,
                    node_port: None,
                }],
                affinity_seconds: None,
                tuning: Tuning {
                    routing: Said::Valid(Mode::Spill),
                    ..Tuning::default()
                },
                global: Said::Valid(true),
            },
            listed: Vec::new(),
            slices: Vec::new(),
        }
    }

    /// Makes the slices anew from the listed pods.
    pub fn publish(&mut self, pods: &[Pod], clusters: &[Arc<str>]) {
        self.slices = clusters
            .iter()
            .map(|cluster| self.slice(pods, cluster))
            .collect();
    }

    fn slice(&self, pods: &[Pod], cluster: &Arc<str>) -> EndpointSlice {
        let mine = || {
            let listed = self.listed.iter().map(|id| (*id, &pods[*id as usize]));
            listed.filter(|(_, pod)| pod.place.cluster == *cluster)
        };
        let mut capacities: Vec<(IpAddr, Capacity)> = mine()
            .map(|(id, pod)| (address(id).0, Capacity::Connections(pod.capacity)))
            .collect();
        capacities.sort_unstable_by_key(|(ip, _)| *ip);
        EndpointSlice {
            id: SliceId {
                namespace: self.service.id.namespace.clone(),
                name: Arc::from(format!("{}-{cluster}", self.service.id.name)),
            },
            service: self.service.id.clone(),
            cluster: Some(cluster.clone()),
            capacity: Said::Valid(SliceCapacity {
                default: None,
                of: capacities,
            }),
            reach: Said::Nothing,
            family: Family::V4,
            ports: vec![SlicePort {
                name: Arc::from("http"),
                protocol: Protocol::Tcp,
                port: POD_PORT,
            }],
            endpoints: mine().map(|(id, pod)| endpoint(id, pod)).collect(),
            since: Since::default(),
        }
    }

    /// The pods of a cluster, as the water-fill wants them.
    pub fn vessels(&self, pods: &[Pod], cluster: &Arc<str>) -> Vec<capacity::Pod> {
        let listed = self.listed.iter().map(|id| (*id, &pods[*id as usize]));
        listed
            .filter(|(_, pod)| pod.place.cluster == *cluster)
            .map(|(id, pod)| {
                let (ip, port) = address(id);
                capacity::Pod {
                    ip,
                    port,
                    node: Some(pod.place.node.clone()),
                    zone: Some(pod.place.zone.clone()),
                    capacity: pod.capacity,
                }
            })
            .collect()
    }
}

fn endpoint(id: PodId, pod: &Pod) -> Endpoint {
    Endpoint {
        ip: address(id).0,
        conditions: Conditions {
            ready: true,
            serving: true,
            terminating: false,
        },
        node: Some(pod.place.node.clone()),
        zone: Some(pod.place.zone.clone()),
        hints: None,
    }
}
