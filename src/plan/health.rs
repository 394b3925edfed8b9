//! What load balancers are to be told of this node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::Here;
use super::endpoints::near;
use crate::model::{EndpointSlice, Level, Service, TrafficPolicy};

/// What is to be answered at a health-check node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The port of the node.
    pub port: NonZeroU16,
    /// How many endpoints on this node are ready. Those that still serve while they terminate do
    /// not count: new connections are to go to other nodes.
    pub endpoints: usize,
}

/// What is to be answered for a Service; `None` for one without such a port.
pub fn health_check(
    service: &Service,
    slices: &[&EndpointSlice],
    here: &Here,
) -> Option<HealthCheck> {
    let external = service.external.as_deref()?;
    let port = external.health_port?;
    if external.policy != TrafficPolicy::Local {
        return None;
    }
    let mut ready: BTreeSet<IpAddr> = BTreeSet::new();
    for slice in slices {
        let endpoints = slice.endpoints.iter();
        let mine = endpoints.filter(|endpoint| {
            endpoint.conditions.ready && near(slice, endpoint, here) == Level::Node
        });
        ready.extend(mine.map(|endpoint| endpoint.ip));
    }
    Some(HealthCheck {
        port,
        endpoints: ready.len(),
    })
}
