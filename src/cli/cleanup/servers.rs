//! Taking virtual servers out, at once or when they have no connection left; and which of them
//! kube-proxy's mode ipvs made. It has no mark on them, so they are told by where they are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ipnet::IpNet;

use crate::kernel::ipvs::{Client, Command, Destination, DestinationEntry, ServiceKey};
use crate::kernel::link;

/// The node ports of a cluster whose API server does not say otherwise
/// (`--service-node-port-range`).
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;
/// How often connections are counted while they end.
const LOOK: Duration = Duration::from_secs(1);

/// This node's addresses.
#[derive(Debug, Default)]
pub struct Addresses {
    /// On the link kube-ipvs0: virtual ones.
    virtuals: BTreeSet<IpAddr>,
    /// On all other links.
    hosts: BTreeSet<IpAddr>,
}

impl Addresses {
    /// As they are now.
    pub fn read() -> Result<Self> {
        let mut addresses = Self::default();
        let all = link::all_addresses().context("the node's addresses cannot be read")?;
        for (link, ip) in all {
            let there = match link.as_str() {
                link::NAME => &mut addresses.virtuals,
                _ => &mut addresses.hosts,
            };
            there.insert(ip);
        }
        Ok(addresses)
    }

    /// Whether a virtual server is kube-proxy's: at an address of its link, or at a node port of
    /// an address of this node.
    pub fn is_kube_proxys(&self, key: &ServiceKey, exclude: &[IpNet]) -> bool {
        match key {
            ServiceKey::Mark { .. } => false,
            ServiceKey::Address { ip, port, .. } => {
                let node_port = NODE_PORTS.contains(port) && self.hosts.contains(ip);
                let excluded = exclude.iter().any(|cidr| cidr.contains(ip));
                !excluded && (self.virtuals.contains(ip) || node_port)
            }
        }
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
    use super::*;
    use crate::model::Protocol;

    #[test]
    fn kube_proxys_are_those_at_its_link_and_at_node_ports() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses = Addresses {
            virtuals: BTreeSet::from([ip("10.96.0.10"), ip("fd00:96::a"), ip("203.0.113.9")]),
            hosts: BTreeSet::from([ip("192.0.2.1")]),
        };
        let exclude = ["203.0.113.0/24".parse().unwrap()];
        let at = |text: &str, port| ServiceKey::Address {
            protocol: Protocol::Tcp,
            ip: ip(text),
            port,
        };
        let family = crate::model::Family::V4;
        for (key, wanted) in [
            (at("10.96.0.10", 80), true),
            (at("fd00:96::a", 80), true),
            (at("192.0.2.1", 30_080), true),
            // Another program's, as keepalived makes them.
            (at("192.0.2.1", 80), false),
            (at("198.51.100.1", 80), false),
            (at("203.0.113.9", 80), false),
            (ServiceKey::Mark { family, mark: 7 }, false),
        ] {
            assert_eq!(addresses.is_kube_proxys(&key, &exclude), wanted, "{key:?}");
        }
    }
}
