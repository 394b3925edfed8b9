//! Where connections go.

use anyhow::{Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::objects::Port;
use lab::world::{ECHO_PORT, Place};

use crate::bed::{Bed, until, until_served_by};

/// The weights of a pod on this node, in this zone and elsewhere in the cluster.
const WEIGHTS: [f64; 3] = [100.0, 30.0, 10.0];
const CONNECTIONS: u32 = 1_000;

pub fn connections_divide_by_weight_and_go_elsewhere_when_the_near_pod_is_gone() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let node = bed.node()?;
    // A pod asks for the ClusterIP; a node port is asked for from outside.
    let outside = bed.world.outside();
    let ways = [
        (bed.client.netns(), "ClusterIP IPv4", web.v4(80)),
        (bed.client.netns(), "ClusterIP IPv6", web.v6(80)),
        (outside.netns(), "node port IPv4", node.v4(30080)),
        (outside.netns(), "node port IPv6", node.v6(30080)),
    ];
    let near_and_far: Vec<_> = bed.pods.iter().collect();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for (client, way, to) in ways {
            until_served_by(client, to, protocol, &near_and_far)?;
            let spread = client.spread(to, protocol, CONNECTIONS as usize, 20)?;
            ensure!(spread.failed() == 0, "{way} {protocol}: {spread}");
            let total: f64 = WEIGHTS.iter().sum();
            for (pod, weight) in bed.pods.iter().zip(WEIGHTS) {
                let share =
                    f64::from(u32::try_from(spread.of(&pod.name))?) / f64::from(CONNECTIONS);
                let wanted = weight / total;
                ensure!(
                    (share - wanted).abs() < 0.03,
                    "{way} {protocol}: {} got {share:.3} instead of {wanted:.3}: {spread}",
                    pod.name
                );
            }
        }
    }

    bed.cluster()?.set_endpoints(&web, &bed.pods[1..])?;
    let far: Vec<_> = bed.pods[1..].iter().collect();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for (client, _, to) in ways {
            until_served_by(client, to, protocol, &far)?;
        }
    }
    Ok(())
}

pub fn a_pod_reaches_itself_through_its_service() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods[..1])?;
    let pod = &bed.pods[0];
    for to in [web.v4(80), web.v6(80)] {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            until_served_by(pod, to, protocol, &[pod])?;
        }
    }
    Ok(())
}

pub fn an_outside_client_of_a_node_port_is_answered_from_any_node() -> Result<()> {
    let bed = Bed::start()?;
    bed.web(&bed.pods[2..])?;
    let far = &bed.pods[2];
    let outside = bed.world.outside();
    let to = bed.node()?.v4(30080);
    until_served_by(outside, to, Protocol::Tcp, &[far])?;
    // The reply has to come back through this node, so the pod sees the node.
    let connection = outside.connect_tcp(to)?;
    ensure!(
        bed.node()?.has(connection.seen_client.ip()),
        "the pod saw {} instead of the node",
        connection.seen_client
    );
    Ok(())
}

pub fn a_service_without_endpoints_refuses_and_serves_with_the_first() -> Result<()> {
    let bed = Bed::start()?;
    let none: &[lab::world::Pod] = &[];
    let web = bed.web(none)?;
    for to in [web.v4(80), web.v6(80), bed.node()?.v4(30080)] {
        until("it refuses", || {
            Ok(bed.client.connect_tcp(to).err() == Some(Failure::Refused))
        })?;
    }
    bed.cluster()?.set_endpoints(&web, &bed.pods[1..2])?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &[&bed.pods[1]])?;
    bed.cluster()?.set_endpoints(&web, none)?;
    until("it refuses again", || {
        Ok(bed.client.connect_tcp(web.v4(80)).err() == Some(Failure::Refused))
    })
}

pub fn a_client_with_affinity_stays_with_its_pod() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed
        .cluster()?
        .service("sticky", [Port::tcp("http", 80).to(ECHO_PORT)])
        .affinity(600);
    bed.cluster()?.publish(&web, &bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    let spread = bed.client.spread(web.v4(80), Protocol::Tcp, 50, 5)?;
    ensure!(
        spread.answers.len() == 1 && spread.answered() == 50,
        "{spread}"
    );
    Ok(())
}

pub fn sctp_is_routed() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed
        .cluster()?
        .service("signal", [Port::sctp("sctp", 3868).to(ECHO_PORT)]);
    bed.cluster()?.publish(&web, &bed.pods[2..])?;
    until_served_by(&bed.client, web.v4(3868), Protocol::Sctp, &[&bed.pods[2]])
}
