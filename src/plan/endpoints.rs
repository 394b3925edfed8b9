//! Which endpoints serve a port, and how near each is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Here;
use super::hints::Meant;
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

/// What is known of the endpoints of one family of a service port.
pub struct Endpoints<'a> {
    listed: Listed<'a>,
    routing: &'a Routing<'a>,
    here: &'a Here,
}

impl<'a> Endpoints<'a> {
    /// Those that the slices list.
    pub fn of(
        port: &ServicePort,
        family: Family,
        slices: &[&'a EndpointSlice],
        routing: &'a Routing<'a>,
        here: &'a Here,
    ) -> Self {
        Self {
            listed: listed(port, family, slices),
            routing,
            here,
        }
    }

    /// Those that serve under policy `Cluster`, in the order of their addresses.
    pub fn all(&self) -> Vec<Candidate> {
        let own = self.listed.values();
        let own = own.filter(|(slice, _)| abroad(slice, self.here).is_none());
        let ready = own.map(|(_, endpoint)| *endpoint);
        let ready: Vec<&Endpoint> = ready.filter(|endpoint| is_ready(endpoint)).collect();
        let meant = Meant::of(&ready, self.here);
        // Of other clusters' endpoints this one's control plane says nothing.
        let hinted = self.placed(|slice, endpoint| {
            is_ready(endpoint)
                && (abroad(slice, self.here).is_some() || meant.includes(endpoint, self.here))
        });
        let staying = self.not_evacuated(hinted);
        if staying.iter().any(|one| one.level != Level::Remote) {
            return staying;
        }
        let ready = self.unless_evacuated(self.placed(|_, endpoint| is_ready(endpoint)));
        if !ready.is_empty() {
            return ready;
        }
        // Terminating endpoints that still answer are better than none (KEP-1669).
        self.unless_evacuated(self.placed(|_, endpoint| is_leaving(endpoint)))
    }

    /// Those that serve under policy `Local`, in the order of their addresses. It does not matter
    /// what others there are, what hints say or which levels are in use.
    pub fn local(&self) -> Vec<Candidate> {
        let on_this_node = |serving: fn(&Endpoint) -> bool| -> Vec<Candidate> {
            let listed = self.listed.iter();
            let serving = listed.filter(|(_, (slice, endpoint))| {
                near(slice, endpoint, self.here) == Level::Node && serving(endpoint)
            });
            let level = self.routing.level(Level::Node).unwrap_or(Level::Node);
            serving
                .map(|(at, (slice, endpoint))| self.candidate(*at, slice, endpoint, level))
                .collect()
        };
        let ready = on_this_node(is_ready);
        if ready.is_empty() {
            on_this_node(is_leaving)
        } else {
            ready
        }
    }

    /// Whether there is any that may serve, on whatever node.
    pub fn any(&self) -> bool {
        let mut listed = self.listed.values();
        listed.any(|(slice, endpoint)| {
            (is_ready(endpoint) || is_leaving(endpoint)) && self.level(slice, endpoint).is_some()
        })
    }

    /// Those of the wanted ones whose level is in use.
    fn placed(&self, wanted: impl Fn(&EndpointSlice, &Endpoint) -> bool) -> Vec<Candidate> {
        let wanted = self
            .listed
            .iter()
            .filter(|(_, (slice, endpoint))| wanted(slice, endpoint));
        wanted
            .filter_map(|(at, (slice, endpoint))| {
                let level = self.level(slice, endpoint)?;
                Some(self.candidate(*at, slice, endpoint, level))
            })
            .collect()
    }

    /// The level of an endpoint among those in use; none if it belongs to none of them.
    fn level(&self, slice: &EndpointSlice, endpoint: &Endpoint) -> Option<Level> {
        if abroad(slice, self.here).is_some() && self.routing.remote == RemoteUse::Never {
            return None;
        }
        self.routing.level(near(slice, endpoint, self.here))
    }

    fn candidate(
        &self,
        (ip, port): (IpAddr, NonZeroU16),
        slice: &EndpointSlice,
        endpoint: &Endpoint,
        level: Level,
    ) -> Candidate {
        let near = near(slice, endpoint, self.here);
        Candidate {
            ip,
            port,
            level,
            local: near == Level::Node,
            capacity: self.routing.capacity(slice, endpoint, near),
            masquerade: slice.reach.get() == Some(&Reach::Host),
            cluster: abroad(slice, self.here).cloned(),
        }
    }

    /// Leaves out what is being evacuated.
    fn not_evacuated(&self, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        candidates.retain(|one| !self.routing.is_evacuated(one.level, one.cluster.as_ref()));
        candidates
    }

    /// Leaves out what is being evacuated, unless nothing else serves.
    fn unless_evacuated(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let staying = self.not_evacuated(candidates.clone());
        if staying.is_empty() {
            candidates
        } else {
            staying
        }
    }
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.ready
}

/// Whether an endpoint still answers on its way out.
fn is_leaving(endpoint: &Endpoint) -> bool {
    endpoint.conditions.serving && endpoint.conditions.terminating
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

/// Which of two listings of one address counts: that of this cluster, then one that is ready, then
/// one that is not on its way out. While a pod's address passes to a new pod, or moves between
/// slices, both may be listed, and the address is the new one's.
fn merit(slice: &EndpointSlice, endpoint: &Endpoint) -> (bool, bool, bool, bool) {
    let conditions = endpoint.conditions;
    (
        slice.cluster.is_none(),
        conditions.ready,
        !conditions.terminating,
        conditions.serving,
    )
}

/// The cluster of a slice's endpoints, if that is another one.
pub fn abroad<'a>(slice: &'a EndpointSlice, here: &Here) -> Option<&'a Arc<str>> {
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
