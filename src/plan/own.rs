//! Level `self`: a pod that calls a service which it belongs to gets itself.
//!
//! The kernel tells such a client by its address, so each endpoint on this node has a virtual
//! server of its own, in which it comes first. The others are there for when it is full.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::endpoints::Candidate;
use super::{Frontend, PortPlan, VirtualServer};
use crate::model::{EndpointSet, Family, Level};

/// The endpoint sets of the clients that are endpoints on this node, by the candidates of all
/// clients and how connections divide among some.
pub fn sets(
    all: &PortPlan,
    family: Family,
    candidates: &[Candidate],
    serve: impl Fn(Family, Vec<Candidate>) -> VirtualServer,
) -> Vec<(EndpointSet, PortPlan)> {
    let clients: BTreeSet<IpAddr> = candidates
        .iter()
        .filter(|one| one.local)
        .map(|one| one.ip)
        .collect();
    clients
        .into_iter()
        .map(|client| {
            let seen = candidates.iter().cloned().map(|one| Candidate {
                level: if one.ip == client {
                    Level::Own
                } else {
                    one.level
                },
                ..one
            });
            let plan = PortPlan {
                frontends: frontends(all, client),
                servers: vec![serve(family, seen.collect())],
                ..PortPlan::default()
            };
            (EndpointSet::Own(client), plan)
        })
        .collect()
}

/// The virtual addresses of the service port, for this client alone. Node ports are for clients
/// from elsewhere.
fn frontends(all: &PortPlan, client: IpAddr) -> Vec<Frontend> {
    let frontends = all.frontends.iter();
    frontends
        .filter_map(|frontend| match *frontend {
            Frontend::Address(ip, port) if ip.is_ipv4() == client.is_ipv4() => {
                Some(Frontend::Own(client, ip, port))
            }
            Frontend::Address(..)
            | Frontend::NodePort(..)
            | Frontend::Own(..)
            | Frontend::Outside(..)
            | Frontend::OutsideNodePort(..) => None,
        })
        .collect()
}
