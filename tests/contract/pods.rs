//! `detectLocalMode`: who is a pod, and so keeps its address on the way to a `ClusterIP` and gets all
//! endpoints of a Service with policy `Local`. Each way of telling, over both families.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::world::objects::Port;
use lab::world::{ECHO_PORT, Pod};
use serde_json::json;

use crate::bed::{Bed, NODE_PORT, saying, seen, served_by};

/// The lab calls the node's end of a pod's link so, and numbers them.
const LINKS: &str = "pod";

pub fn pods_are_told_by_the_link_that_they_are_at() -> Result<()> {
    // The first pod of the node has link 2, so the client has this one.
    let link = format!("{LINKS}3");
    told(&Bed::with(&saying(&format!(
        "detectLocalMode: BridgeInterface\ndetectLocal: {{bridgeInterface: {link}}}"
    )))?)
}

pub fn pods_are_told_by_what_their_links_are_called() -> Result<()> {
    told(&Bed::with(&saying(&format!(
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {{interfaceNamePrefix: {LINKS}}}"
    )))?)
}

/// e2e: "should preserve source pod IP for traffic thru service cluster IP", from two nodes.
pub fn pods_are_told_by_the_networks_of_all_pods() -> Result<()> {
    let bed = Bed::with_agents(&["east-1", "east-2"])?;
    told(&bed)?;
    let cluster = bed.cluster()?;
    let web = cluster.service("seen", [Port::tcp("http", 80).to(ECHO_PORT)]);
    let web = web.dual_stack();
    let pod = &bed.pods[2];
    cluster.publish(&web, [pod])?;
    for client in [&bed.client, &bed.world.node("east-2")?.pod("client")?] {
        for to in [web.v4(80), web.v6(80)] {
            served_by(client, to, &[pod])?;
            is_seen(client, to)?;
        }
    }
    Ok(())
}

/// They may change: who is in none of them is a client from outside.
pub fn pods_are_told_by_the_networks_of_the_node() -> Result<()> {
    let bed = Bed::with(&saying("detectLocalMode: NodeCIDR"))?;
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?.external_local();
    bed.cluster()?.publish(&web, [near, far])?;
    let (api, node) = (bed.cluster()?.api(), bed.node()?);
    let others = json!(["10.99.0.0/24", "fd00:99::/64"]);
    for (networks, pods) in [
        (others, &[near][..]),
        (json!(node.spec.pods.both()), &[near, far]),
    ] {
        let patch = json!({"spec": {"podCIDRs": networks}});
        api.patch("nodes", "", "east-1", patch)?;
        for to in [node.v4(NODE_PORT), node.v6(NODE_PORT)] {
            served_by(&bed.client, to, pods)?;
        }
    }
    told(&bed)
}

/// `masqueradeAll`: pods see the node as the client of every `ClusterIP`. Policy Local keeps the
/// addresses of clients from outside all the same.
pub fn where_all_is_masqueraded_pods_see_the_node() -> Result<()> {
    let bed = Bed::with(&saying("iptables: {masqueradeAll: true}"))?;
    let pods = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?.external_local();
    bed.cluster()?.publish(&web, pods)?;
    let (outside, node) = (bed.world.outside(), bed.node()?);
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, &pods)?;
        let client = seen(&bed.client, to)?;
        ensure!(node.has(client), "{to}: the pod saw {client}");
    }
    for to in [node.v4(NODE_PORT), node.v6(NODE_PORT)] {
        served_by(outside, to, &pods[..1])?;
        let client = seen(outside, to)?;
        ensure!(!node.has(client), "{to}: the pod saw {client}");
    }
    Ok(())
}

fn told(bed: &Bed) -> Result<()> {
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?.external_local();
    bed.cluster()?.publish(&web, [near, far])?;
    let (outside, node) = (bed.world.outside(), bed.node()?);
    for to in [node.v4(NODE_PORT), node.v6(NODE_PORT)] {
        served_by(outside, to, &[near])?;
        served_by(&bed.client, to, &[near, far])?;
        served_by(node, to, &[near, far])?;
    }

    bed.cluster()?.set_endpoints(&web, [far])?;
    for to in [web.v4(80), web.v6(80)] {
        bed.world.announce(to.ip(), "east-1")?;
        served_by(&bed.client, to, &[far])?;
        is_seen(&bed.client, to)?;
        served_by(outside, to, &[far])?;
        let client = seen(outside, to)?;
        ensure!(
            node.has(client),
            "{to}: the pod saw {client} instead of the node"
        );
        served_by(node, to, &[far])?;
    }
    Ok(())
}

/// That the pod which answers a pod sees its address.
fn is_seen(client: &Pod, to: SocketAddr) -> Result<()> {
    let seen = seen(client, to)?;
    let is_own = client.addresses.both().contains(&seen);
    ensure!(is_own, "{to}: the pod saw {seen}");
    Ok(())
}
