//! Short ways to write down a cluster, for tests.
#![allow(missing_docs, clippy::missing_panics_doc)]

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::{
    Conditions, Endpoint, EndpointSlice, Family, Protocol, Said, Service, ServiceId, ServicePort,
    Since, SliceId, SlicePort, TrafficPolicy, Tuning,
};

pub const READY: Conditions = Conditions {
    ready: true,
    serving: true,
    terminating: false,
};
pub const UNREADY: Conditions = Conditions {
    ready: false,
    serving: false,
    terminating: false,
};
pub const TERMINATING: Conditions = Conditions {
    ready: false,
    serving: true,
    terminating: true,
};

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a port")
}

pub fn id(name: &str) -> ServiceId {
    ServiceId::new("default", name)
}

/// A Service `default/NAME` with TCP port 80 named `http`.
pub fn service(name: &str, cluster_ips: &[&str]) -> Service {
    Service {
        id: id(name),
        cluster_ips: cluster_ips.iter().map(|text| ip(text)).collect(),
        internal: TrafficPolicy::Cluster,
        external: None,
        ports: vec![service_port("http", Protocol::Tcp, 80)],
        affinity_seconds: None,
        tuning: Tuning::default(),
        global: Said::Nothing,
    }
}

pub fn service_port(name: &str, protocol: Protocol, number: u16) -> ServicePort {
    ServicePort {
        name: Arc::from(name),
        protocol,
        port: port(number),
        node_port: None,
    }
}

/// A ready endpoint on a node, in the zone that is named after it.
pub fn endpoint(address: &str, node: &str, zone: &str) -> Endpoint {
    Endpoint {
        ip: ip(address),
        conditions: READY,
        node: Some(Arc::from(node)),
        zone: Some(Arc::from(zone)),
        hints: None,
    }
}

/// The slice `default/NAME` of a Service; its endpoints listen on 8080 behind `http`.
pub fn slice(name: &str, service: &str, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let family = endpoints
        .first()
        .map_or(Family::V4, |endpoint| Family::of(endpoint.ip));
    EndpointSlice {
        id: SliceId {
            namespace: Arc::from("default"),
            name: Arc::from(name),
        },
        service: id(service),
        cluster: None,
        capacity: Said::Nothing,
        reach: Said::Nothing,
        family,
        ports: vec![SlicePort {
            name: Arc::from("http"),
            protocol: Protocol::Tcp,
            port: port(8080),
        }],
        endpoints,
        since: Since::default(),
    }
}
