//! At which addresses of this node health-check node ports are open: those of node ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tracing::warn;

use crate::kernel::link;
use crate::model::Family;

/// The addresses to listen at: the unspecified one where all are meant. An address that the node gets
/// later counts from the next change of a check on.
pub fn listening(family: Family, networks: &[IpNet]) -> Vec<IpAddr> {
    if networks.contains(&family.everything()) {
        return vec![match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }];
    }
    within(family, networks, own())
}

/// Those that are meant. A loopback address has no node port.
fn within(
    family: Family,
    networks: &[IpNet],
    own: impl IntoIterator<Item = IpAddr>,
) -> Vec<IpAddr> {
    let mut ips: Vec<IpAddr> = own.into_iter().collect();
    ips.retain(|ip| {
        let meant = networks.iter().any(|network| network.contains(ip));
        Family::of(*ip) == family && !ip.is_loopback() && meant
    });
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// This node's own addresses; virtual ones are not.
fn own() -> Vec<IpAddr> {
    match link::all_addresses() {
        Ok(all) => {
            let own = all.filter(|(link, _)| link != link::NAME);
            own.map(|(_, ip)| ip).collect()
        }
        Err(error) => {
            warn!("this node's addresses cannot be read: {error}");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_one_and_others_are_those_that_the_node_has() {
        let everything = Family::ALL.map(Family::everything);
        let all = Family::ALL.map(|family| listening(family, &everything));
        assert_eq!(all.map(|ips| ips[0].is_unspecified()), [true, true]);
        // No host has an address of a class that is reserved (RFC 1112).
        let none = listening(Family::V4, &["240.0.0.0/4".parse().unwrap()]);
        assert_eq!(none, Vec::<IpAddr>::new());
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
        let v4 = within(Family::V4, &networks, own);
        assert_eq!(v4, ["10.0.0.1", "10.0.0.2"].map(ip));
        assert_eq!(within(Family::V6, &networks, own), [ip("fd00::1")]);
    }
}
