//! What the lab's network looks like, as plain data: clusters, their nodes and zones, and which
//! address belongs to whom. Everything else derives from this one description.
//!
//! | what | IPv4 | IPv6 |
//! |---|---|---|
//! | node `n` of cluster `c` | `172.16.c.n/24` | `fd00:16:c::n/64` |
//! | gateway and API server of cluster `c` | `172.16.c.254` | `fd00:16:c::fe` |
//! | pods of node `n` of cluster `c` | `10.c.n.0/24` | `fd00:10:c:n::/64` |
//! | Services of cluster `c` | `10.(95+c).0.0/16` | `fd00:96:c::/112` |
//! | the outside client | `198.51.100.10` | `2001:db8:51::10` |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Addresses {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Addresses {
    /// Both addresses, IPv4 first.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Both addresses as routes to one host, `/32` and `/128`.
    pub fn hosts(self) -> [IpNet; 2] {
        self.both().map(IpNet::from)
    }
}

/// One address range of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// The IPv4 range.
    pub v4: Ipv4Net,
    /// The IPv6 range.
    pub v6: Ipv6Net,
}

impl Ranges {
    /// Both ranges, IPv4 first.
    pub fn both(self) -> [IpNet; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// The addresses number `host` in both ranges, counted from the network's own address.
    pub fn host(self, host: u16) -> Addresses {
        Addresses {
            v4: (self.v4.network().to_bits() + u32::from(host)).into(),
            v6: (self.v6.network().to_bits() + u128::from(host)).into(),
        }
    }

    /// An address with the prefix lengths of these ranges, as it is put on a link.
    pub fn on_link(self, addresses: Addresses) -> [IpNet; 2] {
        let [v4, v6] = addresses.both();
        [
            IpNet::new_assert(v4, self.v4.prefix_len()),
            IpNet::new_assert(v6, self.v6.prefix_len()),
        ]
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name, unique in the topology, e.g. `east-1`.
    pub name: String,
    /// Its `topology.kubernetes.io/zone`.
    pub zone: String,
    /// Its `InternalIP`s.
    pub addresses: Addresses,
    /// Its `podCIDRs`.
    pub pods: Ranges,
}

/// A cluster: nodes on one Ethernet segment, with a gateway that also hosts the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Its name, e.g. `east`.
    pub name: String,
    /// The segment of its nodes.
    pub segment: Ranges,
    /// The gateway on that segment.
    pub gateway: Addresses,
    /// All its pods, on whatever node.
    pub pods: Ranges,
    /// Where its Services' `clusterIPs` come from.
    pub services: Ranges,
    /// Its nodes.
    pub nodes: Vec<NodeSpec>,
}

/// What of a cluster can be reached from the other end of a [`Link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nodes and pods: one flat network.
    Pods,
    /// Nodes only; pods are reached through host ports or a gateway.
    Nodes,
}

/// A line between the gateways of two clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The names of the two clusters.
    pub ends: [String; 2],
    /// What each end reaches of the other.
    pub reach: Reach,
}

/// The whole network. Besides the clusters there is one client host, [`Topology::OUTSIDE`], that
/// is no cluster member and has routes to the nodes of every cluster, not to pods or Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The clusters.
    pub clusters: Vec<ClusterSpec>,
    /// The lines between them.
    pub links: Vec<Link>,
}

impl Topology {
    /// The addresses of the client host outside all clusters (documentation ranges, RFC 5737 and
    /// RFC 3849).
    pub const OUTSIDE: Addresses = Addresses {
        v4: Ipv4Addr::new(198, 51, 100, 10),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x10),
    };

    /// Clusters `east` and `west` with three nodes each; pods reach each other across.
    pub fn two_clusters() -> Self {
        Self {
            clusters: vec![
                ClusterSpec::new("east", 1, 3),
                ClusterSpec::new("west", 2, 3),
            ],
            links: vec![Link {
                ends: ["east".into(), "west".into()],
                reach: Reach::Pods,
            }],
        }
    }

    /// Cluster `east` with `nodes` nodes (1 to 253).
    pub fn one_cluster(nodes: u8) -> Self {
        Self {
            clusters: vec![ClusterSpec::new("east", 1, nodes)],
            links: Vec::new(),
        }
    }

    /// Node `east-1` alone.
    pub fn one_node() -> Self {
        Self::one_cluster(1)
    }
}

impl ClusterSpec {
    /// Cluster number `number` (1 to 99) with nodes `NAME-1`, `NAME-2`, …; of every three nodes
    /// the first two share a zone and the third has its own: `NAME-a`, `NAME-b`, `NAME-c`, ….
    pub fn new(name: &str, number: u8, nodes: u8) -> Self {
        let c = u16::from(number);
        let segment = ranges(
            (Ipv4Addr::new(172, 16, number, 0), 24),
            (Ipv6Addr::new(0xfd00, 0x16, c, 0, 0, 0, 0, 0), 64),
        );
        let node = |n: u8| NodeSpec {
            name: format!("{name}-{n}"),
            zone: format!("{name}-{}", zone_letter(n)),
            addresses: segment.host(n.into()),
            pods: ranges(
                (Ipv4Addr::new(10, number, n, 0), 24),
                (Ipv6Addr::new(0xfd00, 0x10, c, n.into(), 0, 0, 0, 0), 64),
            ),
        };
        Self {
            name: name.to_owned(),
            segment,
            gateway: segment.host(254),
            pods: ranges(
                (Ipv4Addr::new(10, number, 0, 0), 16),
                (Ipv6Addr::new(0xfd00, 0x10, c, 0, 0, 0, 0, 0), 48),
            ),
            services: ranges(
                (Ipv4Addr::new(10, 95 + number, 0, 0), 16),
                (Ipv6Addr::new(0xfd00, 0x96, c, 0, 0, 0, 0, 0), 112),
            ),
            nodes: (1..=nodes).map(node).collect(),
        }
    }
}

/// Nodes 1, 2, 3, 4, 5, 6, … are in zones a, a, b, c, c, d, ….
fn zone_letter(node: u8) -> char {
    let zone = (node - 1) / 3 * 2 + (node - 1) % 3 / 2;
    char::from(b'a' + zone % 26)
}

fn ranges((v4, v4_bits): (Ipv4Addr, u8), (v6, v6_bits): (Ipv6Addr, u8)) -> Ranges {
    Ranges {
        v4: Ipv4Net::new_assert(v4, v4_bits),
        v6: Ipv6Net::new_assert(v6, v6_bits),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nodes_one_and_two_share_a_zone_and_three_is_alone() {
        let zones: Vec<_> = ClusterSpec::new("east", 1, 6)
            .nodes
            .into_iter()
            .map(|n| n.zone)
            .collect();
        assert_eq!(
            zones,
            ["east-a", "east-a", "east-b", "east-c", "east-c", "east-d"]
        );
    }

    #[test]
    fn addresses_follow_the_table() {
        let world = Topology::two_clusters();
        let west = &world.clusters[1];
        let node = &west.nodes[2];
        assert_eq!(node.name, "west-3");
        assert_eq!(node.addresses.v4, Ipv4Addr::new(172, 16, 2, 3));
        assert_eq!(node.addresses.v6.to_string(), "fd00:16:2::3");
        assert_eq!(node.pods.v4.to_string(), "10.2.3.0/24");
        assert_eq!(node.pods.v6.to_string(), "fd00:10:2:3::/64");
        assert_eq!(west.services.host(10).v4.to_string(), "10.97.0.10");
        assert_eq!(west.services.host(10).v6.to_string(), "fd00:96:2::a");
        assert_eq!(west.gateway.v4.to_string(), "172.16.2.254");
    }

    #[test]
    fn no_two_ranges_overlap() {
        let world = Topology::two_clusters();
        let ranges: Vec<IpNet> = world
            .clusters
            .iter()
            .flat_map(|cluster| {
                let own = [cluster.segment, cluster.services];
                own.into_iter().chain(cluster.nodes.iter().map(|n| n.pods))
            })
            .flat_map(Ranges::both)
            .collect();
        for (i, a) in ranges.iter().enumerate() {
            for b in &ranges[i + 1..] {
                assert!(!a.contains(b) && !b.contains(a), "{a} and {b} overlap");
            }
        }
        let names: BTreeSet<_> = world
            .clusters
            .iter()
            .flat_map(|c| &c.nodes)
            .map(|n| &n.name)
            .collect();
        assert_eq!(names.len(), 6);
    }
}
