//! Which endpoints serve a service port, and how near each is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::{Here, Limits, RealServer};
use crate::model::{Capacity, Endpoint, EndpointSlice, Family, Level, ServicePort};

/// The real servers of one family of a service port, in the order of their addresses.
pub fn serving(
    port: &ServicePort,
    family: Family,
    slices: &[&EndpointSlice],
    here: &Here,
) -> Vec<RealServer> {
    let candidates = candidates(port, family, slices);
    let ready = |endpoint: &Endpoint| endpoint.conditions.ready;
    let leaving =
        |endpoint: &Endpoint| endpoint.conditions.serving && endpoint.conditions.terminating;
    // Terminating endpoints that still answer are better than none (KEP-1669).
    if candidates.values().any(|endpoint| ready(endpoint)) {
        select(&candidates, here, ready)
    } else {
        select(&candidates, here, leaving)
    }
}

type Candidates<'a> = BTreeMap<(IpAddr, NonZeroU16), &'a Endpoint>;

fn candidates<'a>(
    port: &ServicePort,
    family: Family,
    slices: &[&'a EndpointSlice],
) -> Candidates<'a> {
    let mut found = Candidates::new();
    for slice in slices.iter().filter(|slice| slice.family == family) {
        let ports = slice
            .ports
            .iter()
            .filter(|candidate| candidate.name == port.name && candidate.protocol == port.protocol);
        for target in ports {
            for endpoint in &slice.endpoints {
                let key = (endpoint.ip, target.port);
                // While a pod's address passes to a new pod both may be listed: the one on its
                // way out must not hide the other.
                if endpoint.conditions.terminating && found.contains_key(&key) {
                    continue;
                }
                found.insert(key, endpoint);
            }
        }
    }
    found
}

fn select(
    candidates: &Candidates<'_>,
    here: &Here,
    wanted: impl Fn(&Endpoint) -> bool,
) -> Vec<RealServer> {
    candidates
        .iter()
        .filter(|(_, endpoint)| wanted(endpoint))
        .map(|((ip, port), endpoint)| {
            let level = level(endpoint, here);
            RealServer {
                ip: *ip,
                port: *port,
                level,
                cluster: None,
                rank: 0,
                capacity: Capacity::Unlimited,
                masquerade: false,
                weight: here.weights.of(level).get().into(),
                limits: Limits::default(),
            }
        })
        .collect()
}

/// How near an endpoint is. One without a node name is taken to be elsewhere, and so is one
/// without a zone or seen from a node without a zone.
fn level(endpoint: &Endpoint, here: &Here) -> Level {
    if endpoint.node.as_ref() == Some(&here.node) {
        Level::Node
    } else if endpoint.zone.is_some() && endpoint.zone == here.zone {
        Level::Zone
    } else {
        Level::Cluster
    }
}
