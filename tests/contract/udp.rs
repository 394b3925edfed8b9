//! UDP at every kind of address, and flows that are older than the pod they have to find.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::objects::{Endpoint, Port, Service};
use lab::world::{Netns, Place, Pod, Topology};
use nix::libc;

use crate::bed::{Bed, NODE_PORT, fails_over, served_over, until};

const UDP: Protocol = Protocol::Udp;
/// More than a packet holds on these links.
const LARGE: usize = 2_000;

fn dns(bed: &Bed) -> Result<Service> {
    bed.web_at(Port::udp("dns", 53))
}

/// The frontends of [`dns`] that clients from outside use.
fn ways_in(bed: &Bed) -> Result<Vec<SocketAddr>> {
    let ways = bed.ways_in()?.into_iter();
    let port = |to: SocketAddr| if to.port() == 80 { 53 } else { to.port() };
    Ok(ways.map(|to| (to.ip(), port(to)).into()).collect())
}

/// e2e: "Granular Checks" over UDP; large requests.
pub fn every_frontend_takes_datagrams_small_and_large() -> Result<()> {
    let bed = Bed::start()?;
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let dns = dns(&bed)?;
    bed.cluster()?.publish(&dns, [near, far])?;
    let (outside, node) = (bed.world.outside(), bed.node()?);
    for to in [dns.v4(53), dns.v6(53)] {
        served_over(UDP, &bed.client, to, &[near, far])?;
        served_over(UDP, node, to, &[near, far])?;
    }
    let ways = ways_in(&bed)?;
    for to in &ways {
        served_over(UDP, outside, *to, &[near, far])?;
        served_over(UDP, &bed.client, *to, &[near, far])?;
    }

    for pod in [near, far] {
        bed.cluster()?.set_endpoints(&dns, [pod])?;
        for to in [dns.v4(53), dns.v6(53)] {
            served_over(UDP, &bed.client, to, &[pod])?;
            answered_at_length(&bed.client, to)?;
        }
        // To a process of the node the address is a local one, so that its packets are made for
        // `lo`: the first is too long, and only then does IPVS say how much fits. (Over IPv6 the
        // kernel does not learn it: a known limit.)
        until("a process of the node is answered at length", || {
            Ok(answered_at_length(node, dns.v4(53)).is_ok())
        })?;
        for to in &ways {
            answered_at_length(outside, *to)?;
        }
    }
    Ok(())
}

fn answered_at_length(client: &impl Place, to: SocketAddr) -> Result<()> {
    let answer = client.ask_udp_at_length(to, LARGE);
    answer.with_context(|| format!("{LARGE} bytes to {to}"))?;
    Ok(())
}

/// As over TCP: outside clients keep their address and get the pods of the node that they come to,
/// inside ones those of theirs, and no answer without one.
pub fn traffic_policies_hold_for_datagrams() -> Result<()> {
    let bed = Bed::start()?;
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let dns = dns(&bed)?;
    let local = dns.clone().external_local().internal_local();
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let ways = ways_in(&bed)?;
    bed.cluster()?.publish(&local, [near, far])?;
    for to in &ways {
        served_over(UDP, outside, *to, &[near])?;
        let client = outside.ask_udp(*to, None)?.seen_client.ip();
        let is_outside = Topology::OUTSIDE.both().contains(&client);
        ensure!(is_outside, "{to}: the pod saw {client}");
        served_over(UDP, &bed.client, *to, &[near, far])?;
    }
    served_over(UDP, &bed.client, dns.v4(53), &[near])?;

    bed.cluster()?.set_endpoints(&local, [far])?;
    served_over(UDP, &bed.client, node.v4(NODE_PORT), &[far])?;
    for to in [node.v4(NODE_PORT), ways[0]] {
        fails_over(UDP, outside, to, &Failure::TimedOut)?;
    }
    fails_over(UDP, &bed.client, dns.v4(53), &Failure::TimedOut)?;
    // A process of the node itself is told by its kernel.
    let denied = Failure::Other(io::Error::from_raw_os_error(libc::EPERM).to_string());
    fails_over(UDP, node, dns.v6(53), &denied)?;

    bed.cluster()?.publish(&dns, [far])?;
    served_over(UDP, outside, node.v4(NODE_PORT), &[far])?;
    served_over(UDP, &bed.client, dns.v4(53), &[far])?;
    let client = outside.ask_udp(node.v4(NODE_PORT), None)?.seen_client;
    ensure!(node.has(client.ip()), "the pod saw {client}");

    bed.cluster()?.set_endpoints(&dns, Vec::<&Pod>::new())?;
    fails_over(UDP, &bed.client, dns.v4(53), &Failure::Refused)
}

/// e2e: "should be able to preserve UDP traffic when server pod cycles" for a NodePort, a
/// ClusterIP, hostNetwork clients and load balancers, and "when initial unready endpoints get
/// ready". Every client keeps its port, and so its flow, through all of it.
pub fn flows_find_the_first_pod_and_the_one_after_it() -> Result<()> {
    let bed = Bed::start()?;
    let dns = dns(&bed)?;
    let (outside, node) = (bed.world.outside().netns(), bed.node()?);
    let (pod, host) = (bed.client.netns(), node.netns());
    let flows = [
        (pod, dns.v4(53)),
        (pod, dns.v6(53)),
        (host, dns.v4(53)),
        (host, node.v4(NODE_PORT)),
        (outside, node.v4(NODE_PORT)),
        (outside, node.v6(NODE_PORT)),
        (outside, ways_in(&bed)?[0]),
    ];
    cycle(&bed, &dns, &flows, ["east-2", "east-3"])
}

/// The same with `internalTrafficPolicy: Local`, where a DaemonSet replaces its pod of the node.
pub fn flows_find_the_next_pod_of_their_node() -> Result<()> {
    let bed = Bed::start()?;
    let dns = dns(&bed)?.internal_local().external_local();
    let (outside, node) = (bed.world.outside().netns(), bed.node()?);
    let (pod, host) = (bed.client.netns(), node.netns());
    let flows = [
        (pod, dns.v4(53)),
        (pod, dns.v6(53)),
        (host, dns.v4(53)),
        (outside, node.v4(NODE_PORT)),
    ];
    cycle(&bed, &dns, &flows, ["east-1", "east-1"])
}

/// A pod that is not ready yet, becomes so, and dies and is replaced by one on another node.
fn cycle(
    bed: &Bed,
    dns: &Service,
    flows: &[(&Netns, SocketAddr)],
    [old, new]: [&str; 2],
) -> Result<()> {
    let old = bed.world.node(old)?.pod("old")?;
    let waiting = Endpoint::from(&old).not_ready();
    bed.cluster()?.publish(dns, [waiting])?;
    until("a Service without endpoints refuses", || {
        Ok(ask(flows[0].0, flows[0].1) == Err(Failure::Refused))
    })?;
    for (from, to) in flows {
        let answer = ask(*from, *to);
        ensure!(answer.is_err(), "{to} was answered by {answer:?}");
    }
    bed.cluster()?.set_endpoints(dns, [&old])?;
    all_find(flows, &old)?;

    let leaving = Endpoint::from(&old).terminated();
    bed.cluster()?.set_endpoints(dns, [leaving])?;
    old.kill()?;
    let new = bed.world.node(new)?.pod("new")?;
    bed.cluster()?.set_endpoints(dns, [&new])?;
    all_find(flows, &new)
}

fn all_find(flows: &[(&Netns, SocketAddr)], pod: &Pod) -> Result<()> {
    for (from, to) in flows {
        let mut last = None;
        let found = until("the flow finds its pod", || {
            let answer = ask(*from, *to);
            let found = matches!(&answer, Ok(by) if *by == pod.name);
            last = Some(answer);
            Ok(found)
        });
        found.with_context(|| format!("{to}: not {}, but {last:?}", pod.name))?;
    }
    Ok(())
}

/// Who answers a client that always asks from the same port.
fn ask(from: &impl Place, to: SocketAddr) -> Result<String, Failure> {
    const FROM: u16 = 4_500;
    let answer = from.ask_udp_within(to, Some(FROM), Duration::from_secs(1))?;
    Ok(answer.answered_by)
}

/// e2e: "should be able to cleanup conntrack entries when UDP service target port changes for a
/// NodePort service".
pub fn flows_find_another_target_port() -> Result<()> {
    let bed = Bed::start()?;
    let dns = dns(&bed)?;
    let far = bed.world.node("east-2")?;
    let servers = [far.echo(9001)?, far.echo(9002)?];
    let (outside, node) = (bed.world.outside().netns(), bed.node()?);
    let flows = [
        (outside, node.v4(NODE_PORT)),
        (outside, node.v6(NODE_PORT)),
        (bed.client.netns(), dns.v4(53)),
    ];
    for server in &servers {
        let port = Port::udp("dns", 53).node_port(NODE_PORT).to(server.port);
        let dns = dns.clone().with_ports([port]);
        bed.cluster()?.publish(&dns, [server])?;
        all_find(&flows, server)?;
    }
    Ok(())
}
