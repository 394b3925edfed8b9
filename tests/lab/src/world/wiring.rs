//! The cables and routes of a topology.
//!
//! ```text
//!              outside                a link to the gateway of every cluster
//!             /       \
//!   east-fabric ───── west-fabric     gateways, each with its cluster's segment behind it
//!    │   │   │         │   │   │
//!    1   2   3         1   2   3      nodes: the default route goes to the gateway, the other
//!    │                                nodes' pods straight to those nodes
//!   pods                              each on a link of its own, its node being the gateway
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::net::{Net, Via};
use super::netns::Netns;
use super::topology::{Addresses, ClusterSpec, NodeSpec, Ranges, Reach, Topology};

/// The segment of a cluster's nodes, in its gateway.
const SEGMENT: &str = "br0";
/// A node's or pod's own link.
const UPLINK: &str = "eth0";
/// The gateways' links to the outside client.
const OUTSIDE: &str = "outside";

/// Everywhere else.
const DEFAULT: Ranges = Ranges {
    v4: Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0),
    v6: Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0),
};

/// What a pod's default route points to: the node's end of its link, the same on every link.
const POD_GATEWAY: Addresses = Addresses {
    v4: Ipv4Addr::new(169, 254, 1, 1),
    v6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
};

/// Makes a cluster's gateway with the segment behind it.
pub(super) fn gateway(cluster: &ClusterSpec) -> Result<Netns> {
    let netns = host(&format!("{}-fabric", cluster.name))?;
    netns.configure(|net| {
        net.forward()?;
        net.bridge(SEGMENT)?;
        net.address(SEGMENT, cluster.segment.on_link(cluster.gateway))
    })?;
    Ok(netns)
}

/// Makes a node and plugs it into its cluster's segment.
pub(super) fn node(cluster: &ClusterSpec, node: &NodeSpec, gateway: &Netns) -> Result<Netns> {
    let netns = host(&node.name)?;
    netns.configure(|net| {
        net.forward()?;
        net.veth(UPLINK, &node.name, gateway)?;
        net.address(UPLINK, cluster.segment.on_link(node.addresses))?;
        routes(net, DEFAULT.both(), cluster.gateway, UPLINK, None)?;
        for other in cluster.nodes.iter().filter(|other| other.name != node.name) {
            routes(net, other.pods.both(), other.addresses, UPLINK, None)?;
        }
        // Packets to a pod that is gone end here instead of circling through the gateway.
        for pods in node.pods.both() {
            net.route(pods, Via::Blackhole, None)?;
        }
        Ok(())
    })?;
    gateway.configure(|net| {
        net.plug(&node.name, SEGMENT)?;
        net.up(&node.name)?;
        routes(net, node.pods.both(), node.addresses, SEGMENT, None)
    })?;
    Ok(netns)
}

/// Makes a pod with its own link to its node, named `link` there.
pub(super) fn pod(
    name: &str,
    addresses: Addresses,
    link: &str,
    node: &NodeSpec,
    home: &Netns,
) -> Result<Netns> {
    let netns = host(&format!("{}.{name}", node.name))?;
    home.configure(|net| {
        net.veth(link, UPLINK, &netns)?;
        net.link_address(link, POD_GATEWAY.hosts())?;
        for (pod, source) in addresses.hosts().into_iter().zip(node.addresses.both()) {
            net.route(pod, Via::Link(link), Some(source))?;
        }
        Ok(())
    })?;
    netns.configure(|net| {
        net.up(UPLINK)?;
        net.address(UPLINK, addresses.hosts())?;
        routes(net, DEFAULT.both(), POD_GATEWAY, UPLINK, None)
    })?;
    Ok(netns)
}

/// Makes the client host outside all clusters.
pub(super) fn outside() -> Result<Netns> {
    host(OUTSIDE)
}

/// Connects the outside client to a cluster: it reaches the nodes there, and they reach it.
pub(super) fn connect_outside(
    outside: &Netns,
    cluster: &ClusterSpec,
    gateway: &Netns,
) -> Result<()> {
    let own = Topology::OUTSIDE;
    outside.configure(|net| {
        net.veth(&cluster.name, OUTSIDE, gateway)?;
        net.address(&cluster.name, own.hosts())?;
        let nodes = cluster.segment.both();
        routes(net, nodes, cluster.gateway, &cluster.name, Some(own))
    })?;
    gateway.configure(|net| {
        net.up(OUTSIDE)?;
        net.address(OUTSIDE, cluster.gateway.hosts())?;
        routes(net, own.hosts(), own, OUTSIDE, None)
    })
}

/// Lays a line between the gateways of two clusters.
pub(super) fn connect(ends: [(&ClusterSpec, &Netns); 2], reach: Reach) -> Result<()> {
    let [(a, a_home), (b, b_home)] = ends;
    a_home.configure(|net| net.veth(&b.name, &a.name, b_home))?;
    for ((near, home), far) in [((a, a_home), b), ((b, b_home), a)] {
        home.configure(|net| {
            net.up(&far.name)?;
            net.address(&far.name, near.gateway.hosts())?;
            routes(net, far.segment.both(), far.gateway, &far.name, None)?;
            let pods = far.nodes.iter().filter(|_| reach == Reach::Pods);
            pods.map(|node| node.pods.both())
                .try_for_each(|pods| routes(net, pods, far.gateway, &far.name, None))
        })?;
    }
    Ok(())
}

/// Routes an address to a node, in its cluster's gateway and from the outside client.
pub(super) fn announce(
    address: IpAddr,
    node: &NodeSpec,
    cluster: &ClusterSpec,
    gateway: &Netns,
    outside: &Netns,
) -> Result<()> {
    let of_family = |addresses: Addresses| match address {
        IpAddr::V4(_) => IpAddr::from(addresses.v4),
        IpAddr::V6(_) => IpAddr::from(addresses.v6),
    };
    let via = Via::Gateway(of_family(node.addresses), SEGMENT);
    gateway.configure(|net| net.route(address.into(), via, None))?;
    let via = Via::Gateway(of_family(cluster.gateway), &cluster.name);
    let source = of_family(Topology::OUTSIDE);
    outside.configure(|net| net.route(address.into(), via, Some(source)))
}

/// Makes a namespace with what every host of the lab has.
fn host(name: &str) -> Result<Netns> {
    let netns = Netns::create(name).with_context(|| format!("make the namespace {name}"))?;
    netns.configure(Net::basics)?;
    Ok(netns)
}

/// Routes one destination of each family over a gateway on a link.
fn routes(
    net: &Net,
    to: [IpNet; 2],
    gateway: Addresses,
    link: &str,
    source: Option<Addresses>,
) -> Result<()> {
    let sources = source.map_or([None; 2], |source| source.both().map(Some));
    for ((to, gateway), source) in to.into_iter().zip(gateway.both()).zip(sources) {
        net.route(to, Via::Gateway(gateway, link), source)?;
    }
    Ok(())
}
