//! Several Services for the same pods, several protocols, ports and slices of one Service, and pods
//! on the host's network.

use anyhow::{Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::objects::{Endpoint, Port, Service};
use lab::world::{ECHO_PORT, Pod};

use crate::bed::{Bed, NODE_PORT, fails, fails_over, seen, served_by, served_over};

/// e2e: "should function for multiple endpoint-Services with same selector".
pub fn services_may_share_their_pods_and_one_may_go() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let pods = [&bed.pods[0], &bed.pods[1]];
    let node_port = |number| Port::tcp("http", 80).to(ECHO_PORT).node_port(number);
    let one = cluster.service("one", [node_port(NODE_PORT)]);
    let other = cluster.service("other", [node_port(NODE_PORT + 1)]);
    cluster.publish(&one, pods)?;
    cluster.publish(&other, pods)?;
    let node = bed.node()?;
    let ways = |service: &Service, port| [service.v4(80), node.v4(port)];
    for to in [ways(&one, NODE_PORT), ways(&other, NODE_PORT + 1)].concat() {
        served_by(&bed.client, to, &pods)?;
    }

    cluster.api().delete("services", "default", one.name())?;
    for to in ways(&one, NODE_PORT) {
        fails(&bed.client, to, &Failure::Refused)?;
    }
    for to in ways(&other, NODE_PORT + 1) {
        served_by(&bed.client, to, &pods)?;
    }
    Ok(())
}

/// e2e: "should serve endpoints on same port and different protocols": the one that is taken away
/// is gone, and no other. Node ports as well.
pub fn one_port_number_serves_three_protocols_each_for_itself() -> Result<()> {
    let bed = Bed::start()?;
    let (near, far) = (&bed.pods[0], &bed.pods[1]);
    let ports = [
        (Protocol::Tcp, Port::tcp("tcp", 80)),
        (Protocol::Udp, Port::udp("udp", 80)),
        (Protocol::Sctp, Port::sctp("sctp", 80)),
    ];
    let ports = ports.map(|(protocol, port)| (protocol, port.to(ECHO_PORT).node_port(NODE_PORT)));
    let with = |left: &[(Protocol, Port)]| left.iter().map(|(_, port)| port.clone()).collect();
    let all: Vec<Port> = with(&ports);
    let web = bed.cluster()?.service("web", all).dual_stack();
    bed.cluster()?.publish(&web, [near, far])?;
    let node_port = bed.node()?.v4(NODE_PORT);
    let ways = [web.v4(80), web.v6(80), node_port];
    for (protocol, _) in &ports {
        for to in ways {
            served_over(*protocol, &bed.client, to, &[near, far])?;
        }
        served_over(*protocol, bed.world.outside(), node_port, &[near, far])?;
    }

    for gone in 0..2 {
        let left: Vec<Port> = with(&ports[gone + 1..]);
        let web = web.clone().with_ports(left);
        bed.cluster()?.publish(&web, [near, far])?;
        for to in ways {
            fails_over(ports[gone].0, &bed.client, to, &Failure::Refused)?;
        }
        for (protocol, _) in &ports[gone + 1..] {
            served_over(*protocol, &bed.client, web.v4(80), &[near, far])?;
            served_over(*protocol, &bed.client, node_port, &[near, far])?;
        }
    }
    Ok(())
}

/// e2e: "named targetPorts that resolve to different ports", "multiport endpoints", "multiple ports
/// in several slices".
pub fn ports_lead_where_their_slices_say() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let [one, other, _] = [&bed.pods[0], &bed.pods[1], &bed.pods[2]];
    let host = bed.world.node("east-2")?.echo(9001)?;
    let more = bed.world.node("east-3")?.echo(9002)?;
    let http = |target| Port::tcp("http", 80).to(target);
    let web = cluster.service("web", [http(ECHO_PORT), Port::tcp("more", 81)]);
    let web = web.dual_stack();
    add_slices(&bed, &web, "host", http(host.port), &host)?;
    add_slices(
        &bed,
        &web,
        "more",
        Port::tcp("more", 81).to(more.port),
        &more,
    )?;
    let only_http = web.clone().with_ports([http(ECHO_PORT)]);
    cluster.set_endpoints(&only_http, [one, other])?;
    cluster.api().apply(web.object())?;
    served_by(&bed.client, web.v4(80), &[one, other, &host])?;
    served_by(&bed.client, web.v6(80), &[one, other, &host])?;
    served_by(&bed.client, web.v4(81), &[&more])?;

    for family in ["ipv4", "ipv6"] {
        let name = format!("web-{family}-host");
        cluster.api().delete("endpointslices", "default", &name)?;
    }
    served_by(&bed.client, web.v4(80), &[one, other])?;
    served_by(&bed.client, web.v6(80), &[one, other])?;
    served_by(&bed.client, web.v4(81), &[&more])
}

/// Slices beside those of `set_endpoints`, with a port and a pod of their own.
fn add_slices(bed: &Bed, web: &Service, suffix: &str, port: Port, pod: &Pod) -> Result<()> {
    let with_port = web.clone().with_ports([port]);
    let mut slices = with_port.slices(&[Endpoint::from(pod)]);
    for slice in &mut slices {
        let name = slice["metadata"]["name"].as_str().unwrap_or_default();
        slice["metadata"]["name"] = format!("{name}-{suffix}").into();
    }
    bed.cluster()?.api().apply_all(slices)?;
    Ok(())
}

/// e2e: "service endpoints using hostNetwork", "respect internalTrafficPolicy=Local Pod and Node, to
/// Pod (hostNetwork: true)".
pub fn pods_on_the_hosts_network_serve_and_are_of_their_node() -> Result<()> {
    const PORT: u16 = 9_001;
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let far = bed.world.node("east-2")?;
    let [near_pod, far_pod] = [node.echo(PORT)?, far.echo(PORT)?];
    let both = [&near_pod, &far_pod];
    let port = Port::tcp("http", 80).to(PORT).node_port(NODE_PORT);
    let web = cluster.service("web", [port]).dual_stack();
    cluster.publish(&web, both)?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, &both)?;
        served_by(node, to, &both)?;
    }
    for to in [node.v4(NODE_PORT), node.v6(NODE_PORT)] {
        served_by(outside, to, &both)?;
        served_by(&bed.client, to, &both)?;
        served_by(node, to, &both)?;
    }

    let local = web.clone().internal_local().external_local();
    cluster.publish(&local, both)?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, &[&near_pod])?;
        served_by(node, to, &[&near_pod])?;
    }
    let client = seen(&bed.client, web.v4(80))?;
    let is_pod = bed.client.addresses.both().contains(&client);
    ensure!(is_pod, "the pod saw {client} instead of the client");
    served_by(outside, node.v4(NODE_PORT), &[&near_pod])?;

    cluster.set_endpoints(&local, [&far_pod])?;
    fails(&bed.client, web.v4(80), &Failure::TimedOut)?;
    fails(node, web.v6(80), &Failure::TimedOut)?;
    fails(outside, node.v4(NODE_PORT), &Failure::TimedOut)
}
