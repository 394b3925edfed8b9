//! At which addresses of this node health-check node ports are open: those of node ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tracing::warn;

use crate::kernel::link;
use crate::model::Family;

/// Whether all addresses of both families are meant: then nobody need know which the node has.
pub fn are_all(networks: &[IpNet]) -> bool {
    let mut families = Family::ALL.iter();
    families.all(|family| networks.contains(&family.everything()))
}

/// The addresses to listen at, of those that the node has: the unspecified one where all are meant.
pub fn listening(family: Family, networks: &[IpNet], own: &[IpAddr]) -> Vec<IpAddr> {
    if networks.contains(&family.everything()) {
        return vec![match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }];
    }
    within(family, networks, own)
}

/// Those that are meant. A loopback address has no node port.
fn within(family: Family, networks: &[IpNet], own: &[IpAddr]) -> Vec<IpAddr> {
    let mut ips = own.to_vec();
    ips.retain(|ip| {
        let meant = networks.iter().any(|network| network.contains(ip));
        Family::of(*ip) == family && !ip.is_loopback() && meant
    });
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// This node's own addresses; virtual ones are not.
pub fn own() -> nix::Result<Vec<IpAddr>> {
    let own = link::all_addresses()?.filter(|(link, _)| link != link::NAME);
    Ok(own.map(|(_, ip)| ip).collect())
}

/// This node's own addresses as they could last be read.
#[derive(Debug, Default)]
pub struct Own(Vec<IpAddr>);

impl Own {
    /// Takes in what has been read. What cannot be read is taken to be as it was: a port that is
    /// closed for a moment takes the node from its load balancers.
    pub fn take(&mut self, read: nix::Result<Vec<IpAddr>>) -> &[IpAddr] {
        match read {
            Ok(own) => self.0 = own,
            Err(error) => warn!("this node's addresses cannot be read: {error}"),
        }
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_one_and_others_are_those_that_the_node_has() {
        let everything = Family::ALL.map(Family::everything);
        let own = own().unwrap();
        assert!(are_all(&everything) && !are_all(&everything[..1]));
        let all = Family::ALL.map(|family| listening(family, &everything, &own));
        assert_eq!(all.map(|ips| ips[0].is_unspecified()), [true, true]);
        // No host has an address of a class that is reserved (RFC 1112).
        let none = listening(Family::V4, &["240.0.0.0/4".parse().unwrap()], &own);
        assert_eq!(none, Vec::<IpAddr>::new());
    }

    #[test]
    fn addresses_that_cannot_be_read_are_as_they_were() {
        let ips = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
        let mut own = Own::default();
        own.take(Ok(ips("192.0.2.1")));
        assert_eq!(own.take(Err(nix::errno::Errno::EMFILE)), ips("192.0.2.1"));
        assert_eq!(own.take(Ok(ips("192.0.2.2"))), ips("192.0.2.2"));
    }

    #[test]
    fn those_within_the_networks_count_once_and_loopback_never_does() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = [
            "10.0.0.2",
            "10.0.0.1",
            "10.0.0.1",
            "127.0.0.1",
            "192.0.2.1",
            "fd00::1",
        ]
        .map(ip);
        let networks = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap());
        let v4 = within(Family::V4, &networks, &own);
        assert_eq!(v4, ["10.0.0.1", "10.0.0.2"].map(ip));
        assert_eq!(within(Family::V6, &networks, &own), [ip("fd00::1")]);
    }
}
