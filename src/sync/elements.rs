//! What a service port needs in the table, in the table's words.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::routes::Claim;
use crate::kernel::mark::Mark;
use crate::kernel::nft::Element;
use crate::model::Protocol;
use crate::plan::{Frontend, Guard, PortPlan};

/// The element that leads a frontend to a mark.
pub fn element((protocol, frontend): Claim, mark: Mark) -> Element {
    match frontend {
        Frontend::Address(ip, port) => Element::Service {
            ip,
            protocol,
            port,
            mark,
        },
        Frontend::Own(client, ip, port) => Element::Own {
            client,
            ip,
            protocol,
            port,
            mark,
        },
        Frontend::Outside(ip, port) => Element::Outside {
            ip,
            protocol,
            port,
            mark,
        },
        Frontend::NodePort(family, port) => Element::NodePort {
            family,
            protocol,
            port,
            mark,
        },
        Frontend::OutsideNodePort(family, port) => Element::OutsideNodePort {
            family,
            protocol,
            port,
            mark,
        },
    }
}

/// The frontend of an element, and the mark that it leads to; none where it leads nowhere.
pub fn route(element: &Element) -> Option<(Claim, Mark)> {
    let (protocol, frontend, mark) = match *element {
        Element::Service {
            ip,
            protocol,
            port,
            mark,
        } => (protocol, Frontend::Address(ip, port), mark),
        Element::Own {
            client,
            ip,
            protocol,
            port,
            mark,
        } => (protocol, Frontend::Own(client, ip, port), mark),
        Element::Outside {
            ip,
            protocol,
            port,
            mark,
        } => (protocol, Frontend::Outside(ip, port), mark),
        Element::NodePort {
            family,
            protocol,
            port,
            mark,
        } => (protocol, Frontend::NodePort(family, port), mark),
        Element::OutsideNodePort {
            family,
            protocol,
            port,
            mark,
        } => (protocol, Frontend::OutsideNodePort(family, port), mark),
        Element::Vip(_)
        | Element::External { .. }
        | Element::Probed { .. }
        | Element::Guarded { .. }
        | Element::Allowed { .. }
        | Element::Hairpin(_)
        | Element::Host { .. }
        | Element::Called { .. }
        | Element::Affinity(_) => return None,
    };
    Some(((protocol, frontend), mark))
}

/// The virtual addresses among frontends.
pub fn addresses(frontends: &[Frontend]) -> impl Iterator<Item = IpAddr> {
    frontends.iter().filter_map(|frontend| match frontend {
        Frontend::Address(ip, _) => Some(*ip),
        // Those for some clients alone are another endpoint set's as well, for all others.
        Frontend::Own(..)
        | Frontend::Outside(..)
        | Frontend::NodePort(..)
        | Frontend::OutsideNodePort(..) => None,
    })
}

/// The members of the table's sets that a service port needs, besides what leads to it. What holds
/// for an external address holds only if that is the service port's own, as `owned` tells: another
/// Service may name the same.
pub fn members(
    protocol: Protocol,
    plan: &PortPlan,
    owned: impl Fn(Frontend) -> bool,
) -> Vec<Element> {
    let vips = addresses(&plan.frontends).map(Element::Vip);
    let stated = |frontend: &&Frontend| !plan.is_allocated(**frontend) && owned(**frontend);
    let external: Vec<(IpAddr, NonZeroU16)> = plan
        .frontends
        .iter()
        .filter(stated)
        .filter_map(|frontend| match *frontend {
            Frontend::Address(ip, port) => Some((ip, port)),
            _ => None,
        })
        .collect();
    let guards = plan.guards.iter();
    let guards = guards
        .filter(|guard| external.contains(&(guard.ip, guard.port)))
        .flat_map(|guard| guarded(protocol, guard));
    let probes = plan.probes.iter();
    let probes = probes.filter(|at| external.iter().any(|(ip, _)| *ip == at.ip()));
    let probes = probes.filter_map(|at| {
        Some(Element::Probed {
            ip: at.ip(),
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(at.port())?,
        })
    });
    let hairpins = plan.local_addresses().into_iter().map(Element::Hairpin);
    let hosts = plan.masqueraded().into_iter().filter_map(|host| {
        Some(Element::Host {
            ip: host.ip(),
            protocol,
            port: NonZeroU16::new(host.port())?,
        })
    });
    let outside = external
        .iter()
        .map(|&(ip, port)| Element::External { ip, protocol, port });
    vips.chain(outside)
        .chain(guards)
        .chain(probes)
        .chain(hairpins)
        .chain(hosts)
        .collect()
}

fn guarded(protocol: Protocol, guard: &Guard) -> impl Iterator<Item = Element> {
    let (ip, port) = (guard.ip, guard.port);
    let allowed = guard.sources.iter().map(move |source| Element::Allowed {
        ip,
        protocol,
        port,
        source: *source,
    });
    let guarded = Element::Guarded { ip, protocol, port };
    std::iter::once(guarded).chain(allowed)
}
