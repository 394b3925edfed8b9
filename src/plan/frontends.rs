//! Where clients find a service port, and which of its endpoints serve them there.
//!
//! | client | at | endpoints |
//! |---|---|---|
//! | any | `ClusterIP` | by `internalTrafficPolicy` |
//! | from outside of the cluster | node port, external and load balancer's address | by `externalTrafficPolicy` |
//! | pod, or the node itself | the same | all: it would get there on its own, so that it is spared the way out and back in |

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Frontend, Guard, Here};
use crate::model::{External, Family, Service, ServicePort, TrafficPolicy};

/// The frontends of a service port by endpoint set, each list sorted.
#[derive(Debug, Default)]
pub struct Frontends {
    /// Those that lead to all endpoints.
    pub all: Vec<Frontend>,
    /// Those that lead to the endpoints of this node.
    pub local: Vec<Frontend>,
    /// The addresses among them that clients from outside know, sorted.
    pub external: Vec<IpAddr>,
    /// Those of them that are not for everybody.
    pub guards: Vec<Guard>,
    /// Where this node itself answers a load balancer at its address, sorted.
    pub probes: Vec<SocketAddr>,
}

/// The frontends of a service port in these families: those of the node that the Service has a
/// `ClusterIP` of.
pub fn frontends(
    service: &Service,
    port: &ServicePort,
    families: &[Family],
    here: &Here,
) -> Frontends {
    let nothing = External::default();
    let outside = service.external.as_deref().unwrap_or(&nothing);
    let ips: &[IpAddr] = if here.without_external_ips {
        &[]
    } else {
        &outside.ips
    };
    let mut external: Vec<IpAddr> = ips.iter().chain(&outside.balancers).copied().collect();
    let in_family = |ip: &IpAddr| families.contains(&Family::of(*ip));
    external.retain(|ip| in_family(ip) && !service.cluster_ips.contains(ip));
    external.sort_unstable();
    external.dedup();

    let mut found = Frontends::default();
    let internal = service.cluster_ips.iter().filter(|ip| in_family(ip));
    let internal = internal.map(|ip| Frontend::Address(*ip, port.port));
    match service.internal {
        TrafficPolicy::Cluster => found.all.extend(internal),
        TrafficPolicy::Local => found.local.extend(internal),
    }
    let addresses = external.iter();
    found
        .all
        .extend(addresses.map(|ip| Frontend::Address(*ip, port.port)));
    let node_ports = |frontend: fn(Family, _) -> Frontend| {
        let families = families.iter();
        families.filter_map(move |family| Some(frontend(*family, port.node_port?)))
    };
    found.all.extend(node_ports(Frontend::NodePort));
    if outside.policy == TrafficPolicy::Local {
        let addresses = external.iter();
        found
            .local
            .extend(addresses.map(|ip| Frontend::Outside(*ip, port.port)));
        found.local.extend(node_ports(Frontend::OutsideNodePort));
    }
    for frontends in [&mut found.all, &mut found.local] {
        frontends.sort_unstable();
        frontends.dedup();
    }
    for ip in external.iter().filter(|ip| outside.balancers.contains(ip)) {
        let guard = guard(*ip, port, &outside.sources, here);
        found.guards.extend(guard);
        let probe = outside.health_port.map(|at| SocketAddr::new(*ip, at.get()));
        found.probes.extend(probe);
    }
    found.external = external;
    found
}

/// Who may use a load balancer's address; `None`: everybody.
fn guard(ip: IpAddr, port: &ServicePort, sources: &[IpNet], here: &Here) -> Option<Guard> {
    let mut sources: Vec<IpNet> = Family::of(ip).among(sources).collect();
    if sources.is_empty() || sources.iter().any(|network| network.prefix_len() == 0) {
        return None;
    }
    // What this node sends to the address comes from that very address, since it is a local one.
    let contains_this_node = |network: &IpNet| here.ips.iter().any(|ip| network.contains(ip));
    if sources.iter().any(contains_this_node) {
        sources.push(ip.into());
    }
    Some(Guard {
        ip,
        port: port.port,
        sources: IpNet::aggregate(&sources),
    })
}
