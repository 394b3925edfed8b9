//! A client that uses one source port for two services of the same pod: nothing else tells the two
//! connections apart where they meet the pod.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::objects::Port;
use lab::world::{Place, Pod};

use crate::bed::{Bed, NODE_PORT, served_by, served_over};

/// The first source port that is used: the kernel gives those from 32,768 on to others by chance.
const FROM: u16 = 20_000;

/// At `ClusterIPs`, and of outside clients at node ports that do not hide who they are.
pub fn two_connections_from_one_port_to_one_pod_are_kept_apart() -> Result<()> {
    let bed = Bed::start()?;
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let host = node.echo(9_001)?;
    let mut from = FROM..;
    for (name, pod) in places(&bed, &host) {
        let port = |name, number| Port::tcp(name, number).to(pod.port);
        let ports = [
            port("one", 80).node_port(NODE_PORT),
            port("other", 81).node_port(NODE_PORT + 1),
        ];
        let web = bed.cluster()?.service(name, ports).dual_stack();
        let web = web.external_local();
        bed.cluster()?.publish(&web, [pod])?;
        for pair in [[web.v4(80), web.v4(81)], [web.v6(80), web.v6(81)]] {
            for to in pair {
                served_by(&bed.client, to, &[pod])?;
            }
            let from = from.next().context("no port is left")?;
            outlives(&bed.client, from, pair).with_context(|| format!("{name}, {pair:?}"))?;
        }
        let node_ports = [NODE_PORT, NODE_PORT + 1];
        for pair in [
            node_ports.map(|port| node.v4(port)),
            node_ports.map(|port| node.v6(port)),
        ] {
            // It has none for outside clients but its own.
            if name == "far" {
                continue;
            }
            for to in pair {
                served_by(outside, to, &[pod])?;
            }
            let from = from.next().context("no port is left")?;
            outlives(outside, from, pair).with_context(|| format!("{name}, {pair:?}"))?;
        }
        let api = bed.cluster()?.api();
        api.delete("services", "default", name)?;
    }
    Ok(())
}

/// That an older connection lives beside a younger one and after it, and the other way round.
fn outlives(client: &impl Place, from: u16, [one, other]: [SocketAddr; 2]) -> Result<()> {
    let mut first = client.connect_tcp_from(one, from)?;
    let mut second = client.connect_tcp_from(other, from)?;
    let (seen, too) = (first.seen_client, second.seen_client);
    ensure!(
        seen.ip() == too.ip() && seen.port() != too.port(),
        "they are no twins: {seen} and {too}"
    );
    for _ in 0..3 {
        first.ping().context("the older one")?;
        second.ping().context("the younger one")?;
    }
    drop(second);
    first.ping().context("the older one, alone again")?;
    second = client.connect_tcp_from(other, from + 1_000)?;
    let third = client.connect_tcp_from(one, from + 1_000)?;
    drop(third);
    second.ping().context("who was there first, alone again")?;
    first.ping().context("the oldest one")?;
    Ok(())
}

pub fn two_flows_from_one_port_to_one_pod_are_kept_apart() -> Result<()> {
    let bed = Bed::start()?;
    let host = bed.node()?.echo(9_001)?;
    let mut from = FROM..;
    for (name, pod) in places(&bed, &host) {
        let port = |name, number| Port::udp(name, number).to(pod.port);
        let ports = [port("one", 53), port("other", 54)];
        let dns = bed.cluster()?.service(name, ports).dual_stack();
        bed.cluster()?.publish(&dns, [pod])?;
        for [one, other] in [[dns.v4(53), dns.v4(54)], [dns.v6(53), dns.v6(54)]] {
            for to in [one, other] {
                served_over(Protocol::Udp, &bed.client, to, &[pod])?;
            }
            let from = from.next().context("no port is left")?;
            // The kernel takes an answer from nobody but who was asked.
            for to in [one, other, one, other, one] {
                let answer = bed.client.ask_udp(to, Some(from));
                let answer = answer.with_context(|| format!("{name}, {to}"))?;
                ensure!(answer.answered_by == pod.name, "{to}: {answer}");
            }
        }
    }
    Ok(())
}

/// A pod on the client's node, one on another, and one on the network of the client's node.
fn places<'a>(bed: &'a Bed, host: &'a Pod) -> [(&'static str, &'a Pod); 3] {
    [
        ("near", &bed.pods[0]),
        ("far", &bed.pods[1]),
        ("host", host),
    ]
}
