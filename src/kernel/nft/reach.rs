//! What is no service's: packets that only look as if they were for one.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::chains::UNALLOCATED;
use super::expression::Next;
use super::field::Field;
use super::rule::Rule;
use crate::model::Family;

/// The addresses that only a host itself has.
const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

const LINK_LOCAL: IpNet = IpNet::V6(Ipv6Net::new_assert(
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
    10,
));

/// What a process sends from a loopback address is the host's own affair, as with kube-proxy: no
/// endpoint could answer it.
pub fn not_from_loopback() -> Vec<Rule> {
    let rules = LOOPBACK.map(|network| left_alone(network, Field::Source));
    rules.into()
}

/// Node ports are open on all addresses of the node but those that mean something only on it.
pub fn no_node_ports() -> impl Iterator<Item = Rule> {
    let networks = LOOPBACK.into_iter().chain([LINK_LOCAL]);
    networks.map(|network| left_alone(network, Field::Destination))
}

fn left_alone(network: IpNet, field: fn(Family) -> Field) -> Rule {
    let family = Family::of(network.addr());
    Rule::new()
        .family(family)
        .within(field(family), network)
        .next(Next::Return)
}

/// Node ports are open at addresses in these networks only: nothing goes on that is for another one.
pub fn node_ports_within(family: Family, networks: &[IpNet]) -> Option<Rule> {
    if networks.contains(&family.everything()) {
        return None;
    }
    let networks = family.among(networks);
    let elsewhere = networks.fold(Rule::new().family(family), |rule, network| {
        rule.beyond(Field::Destination(family), network)
    });
    Some(elsewhere.next(Next::Return))
}

/// Which packets to look at for [`unallocated`].
pub fn enter() -> Vec<Rule> {
    vec![Rule::new().new_connection().goto(UNALLOCATED)]
}

/// `unallocated`: virtual addresses that are allocated are this node's own. Packets to others would
/// go by the default route to somebody who does not know them either, and perhaps come back.
pub fn unallocated(networks: &[IpNet]) -> Vec<Rule> {
    let rule = |network: &IpNet| {
        let family = Family::of(network.addr());
        Rule::new()
            .family(family)
            .within(Field::Destination(family), *network)
            .elsewhere()
            .next(Next::Drop)
    };
    networks.iter().map(rule).collect()
}
