//! Taking virtual servers out, at once or when they have no connection left; and which of them
//! kube-proxy's mode ipvs made.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ipnet::IpNet;

use crate::kernel::ipvs::{Client, Command, Destination, DestinationEntry, ServiceKey};

/// How often connections are counted while they end.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a virtual server is kube-proxy's: it is found by an address that is not in
/// `excludeCIDRs`. Where kube-proxy runs in mode ipvs it removes at every sync what is not its own of
/// these, so nobody else can have had one. Neither the address nor the port would tell more: node
/// ports are at addresses of any link, load balancers' addresses may be, and that of a Service which
/// has been deleted is on none.
pub fn is_kube_proxys(key: &ServiceKey, exclude: &[IpNet]) -> bool {
    match key {
        ServiceKey::Mark { .. } => false,
        ServiceKey::Address { ip, .. } => !exclude.iter().any(|cidr| cidr.contains(ip)),
    }
}

/// Removes the virtual servers that are `chosen`, and returns how many there were. They get no new
/// connections from now on, and those that they have may take as long as `patience` to end.
pub fn remove(chosen: impl Fn(&ServiceKey) -> bool, patience: Duration) -> Result<usize> {
    let mut ipvs = Client::connect()?;
    let mut left: Vec<ServiceKey> = ipvs
        .services()?
        .iter()
        .map(|entry| entry.service.key)
        .filter(chosen)
        .collect();
    let count = left.len();
    if !patience.is_zero() {
        quiesce(&mut ipvs, &left)?;
    }
    let start = Instant::now();
    while !left.is_empty() {
        let over = start.elapsed() >= patience;
        let mut idle = Vec::new();
        let mut busy = Vec::new();
        for key in left {
            let serves = |it: &DestinationEntry| it.active > 0 || it.inactive > 0;
            if !over && ipvs.destinations(&key)?.iter().any(serves) {
                busy.push(key);
            } else {
                idle.push(Command::DelService(key));
            }
        }
        ipvs.submit(&idle)
            .context("virtual servers cannot be removed")?;
        left = busy;
        if !left.is_empty() {
            sleep(LOOK);
        }
    }
    Ok(count)
}

/// Gives all real servers the weight 0: they finish the connections that they have.
fn quiesce(ipvs: &mut Client, services: &[ServiceKey]) -> Result<()> {
    let mut commands = Vec::new();
    for key in services {
        for entry in ipvs.destinations(key)? {
            let destination = Destination {
                weight: 0,
                ..entry.destination
            };
            commands.push(Command::SetDestination(*key, destination));
        }
    }
    ipvs.submit(&commands)
        .context("real servers cannot be kept from new connections")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{Family, Protocol};

    #[test]
    fn kube_proxys_are_those_at_addresses_that_are_not_excluded() {
        let exclude = ["203.0.113.0/24", "2001:db8::/64"].map(|cidr| cidr.parse().unwrap());
        let at = |ip: &str, port| ServiceKey::Address {
            protocol: Protocol::Tcp,
            ip: ip.parse::<IpAddr>().unwrap(),
            port,
        };
        for (key, wanted) in [
            (at("10.96.0.10", 80), true),
            (at("fd00:96::a", 80), true),
            // Node ports, in whichever range the cluster has them.
            (at("192.0.2.1", 30_080), true),
            (at("192.0.2.1", 20_080), true),
            // Another program's.
            (at("203.0.113.9", 80), false),
            (at("2001:db8::9", 80), false),
            (
                ServiceKey::Mark {
                    family: Family::V4,
                    mark: 7,
                },
                false,
            ),
        ] {
            assert_eq!(is_kube_proxys(&key, &exclude), wanted, "{key:?}");
        }
    }
}
