//! From what the cluster looks like to what the kernel shall hold. Pure: no clock, no I/O.
//!
//! The rules, in the order in which they are applied to each family of each service port:
//!
//! 1. Candidates are the endpoints of all slices of the Service and family that have a port of
//!    that name and protocol; an address and port that occurs twice counts once.
//! 2. Those that are ready serve, if there are hints only those that are meant for this node's
//!    clients. If there are none, those that still serve while they terminate. Clients under a
//!    traffic policy `Local` have a set of their own: the same of this node alone, without hints.
//! 3. An endpoint's level is how near it is to this node; its weight is that of its level.
//! 4. The real servers stand in an order that differs from node to node.
//! 5. Where level `self` is in use, an endpoint on this node has a set of its own, with itself
//!    before all others.

mod divide;
mod endpoints;
mod frontends;
mod hints;
mod ladder;
mod order;
mod own;
mod routing;
mod wanted;
mod words;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{
    EndpointSet, EndpointSlice, Family, HostCapacity, Level, NodeTuning, Scheduler, Service,
    ServicePort, ServicePortId, SetId, TrafficPolicy, Tuning, Weights,
};
use endpoints::Endpoints;
pub use endpoints::abroad;
use routing::Routing;
pub use wanted::{
    Frontend, Guard, Limits, PortPlan, RealServer, ServicePlan, Style, Unserved, VirtualServer,
};
pub use words::{By, Word, words};

/// Where the plan is made for, and how it weighs what it finds.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// This node's name.
    pub node: Arc<str>,
    /// This node's zone, if it has one.
    pub zone: Option<Arc<str>>,
    /// This node's own addresses.
    pub ips: Vec<IpAddr>,
    /// This cluster's id, empty where it has none.
    pub cluster: Arc<str>,
    /// The weight of each level, where nothing else is said.
    pub weights: Weights,
    /// How IPVS picks a real server, where nothing else is said.
    pub scheduler: Scheduler,
    /// What the configuration file asks for.
    pub defaults: Tuning,
    /// Whether `externalIPs` mean nothing.
    pub without_external_ips: bool,
    /// Whether this node has no IPv6.
    pub without_ipv6: bool,
    /// What this node's annotations ask for.
    pub tuning: NodeTuning,
    /// What other Nodes say of their pods, as far as all shall know it.
    pub neighbours: HashMap<Arc<str>, HostCapacity>,
}

impl Here {
    /// The families that this node has.
    pub fn families(&self) -> &'static [Family] {
        if self.without_ipv6 {
            &[Family::V4]
        } else {
            &Family::ALL
        }
    }
}

/// What the kernel of this node shall hold for a Service with these slices.
pub fn plan(service: &Service, slices: &[&EndpointSlice], here: &Here) -> ServicePlan {
    let routing = Routing::of(service, here);
    service
        .ports
        .iter()
        .flat_map(|port| {
            let id = ServicePortId {
                service: service.id.clone(),
                port: port.name.clone(),
                protocol: port.protocol,
            };
            let sets = plan_port(service, port, slices, &routing, here);
            let named = move |(set, plan)| {
                let port = id.clone();
                (SetId { port, set }, plan)
            };
            sets.into_iter().map(named)
        })
        .collect()
}

fn plan_port(
    service: &Service,
    port: &ServicePort,
    slices: &[&EndpointSlice],
    routing: &Routing<'_>,
    here: &Here,
) -> Vec<(EndpointSet, PortPlan)> {
    let has_family = |family: &Family| {
        let mut ips = service.cluster_ips.iter();
        ips.any(|ip| Family::of(*ip) == *family)
    };
    let families = here.families().iter().copied();
    let families: Vec<Family> = families.filter(has_family).collect();
    let serve = |family, candidates| {
        let mut division = divide::divide(candidates, port.protocol, routing, here);
        order::shuffle(&mut division.reals, &here.node);
        VirtualServer {
            family,
            scheduler: division.scheduler,
            style: division.style,
            shed: routing.shed,
            // A client with affinity would come back to the same endpoint.
            drain_back: routing.drain_back && division.affinity.is_none(),
            affinity: division.affinity,
            reals: division.reals,
            unserved: Unserved::Refused,
        }
    };

    let found = frontends::frontends(service, port, &families, here);
    let mut all = PortPlan {
        frontends: found.all,
        external: found.external,
        guards: found.guards,
        probes: found.probes,
        ..PortPlan::default()
    };
    let mut local = PortPlan {
        frontends: found.local,
        ..PortPlan::default()
    };
    let mut sets = Vec::new();
    for family in families {
        let endpoints = Endpoints::of(port, family, slices, routing, here);
        let candidates = endpoints.all();
        if routing.levels.contains(&Level::Own) {
            // Themselves first, then what they would get otherwise.
            sets.extend(match service.internal {
                TrafficPolicy::Cluster => own::sets(&all, family, &candidates, serve),
                TrafficPolicy::Local => own::sets(&local, family, &endpoints.local(), serve),
            });
        }
        if all.is_found_in(family) {
            all.servers.push(serve(family, candidates));
        }
        if local.is_found_in(family) {
            local.servers.push(VirtualServer {
                unserved: if endpoints.any() {
                    Unserved::Dropped
                } else {
                    Unserved::Refused
                },
                ..serve(family, endpoints.local())
            });
        }
    }
    sets.extend([(EndpointSet::All, all), (EndpointSet::Local, local)]);
    sets.retain(|(_, plan)| !plan.frontends.is_empty());
    sets
}

#[cfg(test)]
mod tests;
