//! A cluster of any size, as the model sees it.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use spillway::model::{
    Conditions, Endpoint, EndpointSlice, Family, Protocol, Said, Service, ServiceId, ServicePort,
    Since, SliceId, SlicePort, TrafficPolicy, Tuning,
};
use spillway::plan::Here;

/// The node that plans are made for: one of ten, in one of three zones.
pub fn here() -> Here {
    Here {
        node: Arc::from("node-0"),
        zone: Some(Arc::from("zone-0")),
        ..Here::default()
    }
}

/// The Service of this number.
pub fn service(number: u32) -> Service {
    Service {
        id: ServiceId::new("bench", format!("service-{number}")),
        cluster_ips: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a60_0000 + number + 1))],
        internal: TrafficPolicy::Cluster,
        external: None,
        ports: vec![ServicePort {
            name: Arc::from("http"),
            protocol: Protocol::Tcp,
            port: port(80),
            node_port: None,
        }],
        affinity_seconds: None,
        tuning: Tuning::default(),
        global: Said::Nothing,
    }
}

/// The only slice of the Service of this number.
pub fn slice(number: u32, endpoints: u32) -> EndpointSlice {
    let id = ServiceId::new("bench", format!("service-{number}"));
    EndpointSlice {
        id: SliceId {
            namespace: id.namespace.clone(),
            name: Arc::from(format!("service-{number}-a")),
        },
        service: id,
        cluster: None,
        capacity: Said::Nothing,
        reach: Said::Nothing,
        family: Family::V4,
        ports: vec![SlicePort {
            name: Arc::from("http"),
            protocol: Protocol::Tcp,
            port: port(8080),
        }],
        endpoints: (0..endpoints)
            .map(|place| endpoint(number * endpoints + place))
            .collect(),
        since: Since::default(),
    }
}

/// The endpoint of this number, on one of ten nodes.
pub fn endpoint(number: u32) -> Endpoint {
    Endpoint {
        ip: IpAddr::V4(Ipv4Addr::from_bits(0x0a80_0000 + number)),
        conditions: Conditions {
            ready: true,
            serving: true,
            terminating: false,
        },
        node: Some(Arc::from(format!("node-{}", number % 10))),
        zone: Some(Arc::from(format!("zone-{}", number % 10 % 3))),
        hints: None,
    }
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not 0")
}
