//! A client that uses one source port for two services of the same pod: nothing else tells the two
//! connections apart where they meet the pod.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::objects::Port;
use lab::world::{Place, Pod};

use crate::bed::{Bed, served_by, served_over};

pub fn two_connections_from_one_port_to_one_pod_are_kept_apart() -> Result<()> {
    let bed = Bed::start()?;
    let host = bed.node()?.echo(9_001)?;
    // On the client's node, on another, and on the network of the client's node.
    let pods = [
        ("near", &bed.pods[0]),
        ("far", &bed.pods[1]),
        ("host", &host),
    ];
    let mut from = 40_000..;
    for (name, pod) in pods {
        let port = |name, number| Port::tcp(name, number).to(pod.port);
        let ports = [port("one", 80), port("other", 81)];
        let web = bed.cluster()?.service(name, ports).dual_stack();
        bed.cluster()?.publish(&web, [pod])?;
        for (one, other) in [(web.v4(80), web.v4(81)), (web.v6(80), web.v6(81))] {
            served_by(&bed.client, one, &[pod])?;
            served_by(&bed.client, other, &[pod])?;
            let mut port = || from.next().context("no port is left");
            outlives(&bed, port()?, one, other).with_context(|| format!("{name}, {one}"))?;
            outlives(&bed, port()?, other, one).with_context(|| format!("{name}, {other}"))?;
        }
    }
    Ok(())
}

/// That an older connection lives beside a younger one and after it, and the other way round.
fn outlives(bed: &Bed, from: u16, older: SocketAddr, younger: SocketAddr) -> Result<()> {
    let mut first = bed.client.connect_tcp_from(older, from)?;
    let mut second = bed.client.connect_tcp_from(younger, from)?;
    ensure!(first.seen_client.ip() == second.seen_client.ip());
    for _ in 0..3 {
        first.ping().context("the older one")?;
        second.ping().context("the younger one")?;
    }
    drop(second);
    first.ping().context("the older one, alone again")?;
    second = bed.client.connect_tcp_from(younger, from + 1_000)?;
    let third = bed.client.connect_tcp_from(older, from + 1_000)?;
    drop(third);
    second.ping().context("who was there first, alone again")?;
    first.ping().context("the oldest one")?;
    Ok(())
}

pub fn two_flows_from_one_port_to_one_pod_are_kept_apart() -> Result<()> {
    let bed = Bed::start()?;
    let pod: &Pod = &bed.pods[1];
    let port = |name, number| Port::udp(name, number).to(pod.port);
    let dns = bed
        .cluster()?
        .service("dns", [port("one", 53), port("other", 54)])
        .dual_stack();
    bed.cluster()?.publish(&dns, [pod])?;
    for (one, other) in [(dns.v4(53), dns.v4(54)), (dns.v6(53), dns.v6(54))] {
        for to in [one, other] {
            served_over(Protocol::Udp, &bed.client, to, &[pod])?;
        }
        // The kernel takes an answer from nobody but who was asked.
        for to in [one, other, one, other, one] {
            let answer = bed.client.ask_udp(to, Some(40_000))?;
            ensure!(answer.answered_by == pod.name, "{to}: {answer}");
        }
    }
    Ok(())
}
