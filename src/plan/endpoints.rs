//! Which endpoints serve a port, and how near each is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Here;
use super::routing::Routing;
use crate::model::{
    Capacity, Endpoint, EndpointSlice, Family, Level, Reach, RemoteUse, ServicePort,
};

/// An endpoint that may serve, in its place.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub ip: IpAddr,
    pub port: NonZeroU16,
    pub level: Level,
    pub local: bool,
    /// The cluster that it is in, if that is another one.
    pub cluster: Option<Arc<str>>,
    pub capacity: Capacity,
    pub masquerade: bool,
}

/// The endpoints that serve one family of a service port, in the order of their addresses.
pub fn serving(
    port: &ServicePort,
    family: Family,
    slices: &[&EndpointSlice],
    routing: &Routing<'_>,
    here: &Here,
) -> Vec<Candidate> {
    let found = listed(port, family, slices);
    let ready = |endpoint: &Endpoint| endpoint.conditions.ready;
    let leaving =
        |endpoint: &Endpoint| endpoint.conditions.serving && endpoint.conditions.terminating;
    let usable = |wanted: &dyn Fn(&Endpoint) -> bool| {
        let wanted = found.iter().filter(|(_, (_, endpoint))| wanted(endpoint));
        let placed = wanted
            .filter_map(|(at, (slice, endpoint))| candidate(*at, slice, endpoint, routing, here));
        unless_evacuated(placed.collect(), routing)
    };
    let candidates = usable(&ready);
    if candidates.is_empty() {
        // Terminating endpoints that still answer are better than none (KEP-1669).
        usable(&leaving)
    } else {
        candidates
    }
}

type Listed<'a> = BTreeMap<(IpAddr, NonZeroU16), (&'a EndpointSlice, &'a Endpoint)>;

fn listed<'a>(port: &ServicePort, family: Family, slices: &[&'a EndpointSlice]) -> Listed<'a> {
    let mut found = Listed::new();
    for slice in slices.iter().filter(|slice| slice.family == family) {
        let ports = slice
            .ports
            .iter()
            .filter(|candidate| candidate.name == port.name && candidate.protocol == port.protocol);
        for target in ports {
            for endpoint in &slice.endpoints {
                let key = (endpoint.ip, target.port);
                let best = found.entry(key).or_insert((*slice, endpoint));
                if merit(slice, endpoint) > merit(best.0, best.1) {
                    *best = (*slice, endpoint);
                }
            }
        }
    }
    found
}

/// Which of two listings of one address counts: that of this cluster, then the one that serves.
/// While a pod's address passes to a new pod, or moves between slices, both may be listed.
fn merit(slice: &EndpointSlice, endpoint: &Endpoint) -> (bool, bool, bool) {
    let conditions = endpoint.conditions;
    (
        slice.cluster.is_none(),
        conditions.ready,
        conditions.serving,
    )
}

/// An endpoint in its place; none if its level is not in use.
fn candidate(
    (ip, port): (IpAddr, NonZeroU16),
    slice: &EndpointSlice,
    endpoint: &Endpoint,
    routing: &Routing<'_>,
    here: &Here,
) -> Option<Candidate> {
    let cluster = abroad(slice, here).cloned();
    if cluster.is_some() && routing.remote == RemoteUse::Never {
        return None;
    }
    let near = near(slice, endpoint, here);
    Some(Candidate {
        ip,
        port,
        level: routing.level(near)?,
        local: near == Level::Node,
        capacity: routing.capacity(slice, ip, near),
        masquerade: slice.reach.get() == Some(&Reach::Host),
        cluster,
    })
}

/// The cluster of a slice's endpoints, if that is another one.
fn abroad<'a>(slice: &'a EndpointSlice, here: &Here) -> Option<&'a Arc<str>> {
    slice.cluster.as_ref().filter(|id| **id != here.cluster)
}

/// How near an endpoint is, whatever levels are in use.
pub fn near(slice: &EndpointSlice, endpoint: &Endpoint, here: &Here) -> Level {
    match abroad(slice, here) {
        Some(_) => Level::Remote,
        None => level(endpoint, here),
    }
}

/// How near an endpoint of this cluster is. One without a node name is taken to be elsewhere, and
/// so is one without a zone or seen from a node without a zone.
fn level(endpoint: &Endpoint, here: &Here) -> Level {
    if endpoint.node.as_ref() == Some(&here.node) {
        Level::Node
    } else if endpoint.zone.is_some() && endpoint.zone == here.zone {
        Level::Zone
    } else {
        Level::Cluster
    }
}

/// Leaves out what is being evacuated, unless nothing else serves.
fn unless_evacuated(candidates: Vec<Candidate>, routing: &Routing<'_>) -> Vec<Candidate> {
    let stays = |one: &Candidate| !routing.is_evacuated(one.level, one.cluster.as_ref());
    if candidates.iter().any(stays) {
        candidates.into_iter().filter(stays).collect()
    } else {
        candidates
    }
}
