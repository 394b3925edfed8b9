//! What the nodes of a cluster do together, each with an agent of its own.

use std::io::ErrorKind;

use anyhow::{Context, Result, ensure};
use lab::traffic::Failure;
use lab::world::{Node, Place, Topology};
use serde_json::json;

use crate::bed::{Bed, NODE_PORT, fails, seen, served_by, until};

pub const HEALTH_CHECK: u16 = 31_971;

/// e2e: "should implement NodePort and `HealthCheckNodePort` correctly when externalTrafficPolicy
/// changes".
pub fn node_ports_and_health_checks_follow_the_external_policy() -> Result<()> {
    let bed = Bed::with_agents(&["east-1", "east-2", "east-3"])?;
    let nodes = bed.cluster()?.nodes();
    let [first, home, third] = [&nodes[0], &nodes[1], &nodes[2]];
    let pod = &bed.pods[1];
    let outside = bed.world.outside();
    let cluster = bed.web()?;
    let local = cluster.clone().external_local();
    let local = local.spec("healthCheckNodePort", json!(HEALTH_CHECK));

    bed.cluster()?.publish(&local, [pod])?;
    health(&bed, home, Some(200))?;
    health(&bed, first, Some(503))?;
    health(&bed, third, Some(503))?;
    for to in [home.v4(NODE_PORT), home.v6(NODE_PORT)] {
        served_by(outside, to, &[pod])?;
        let client = seen(outside, to)?;
        let is_outside = Topology::OUTSIDE.both().contains(&client);
        ensure!(is_outside, "{to}: the pod saw {client}");
    }
    // From where clients are in the cluster they get in by their own node.
    for to in [first.v4(NODE_PORT), first.v6(NODE_PORT)] {
        served_by(&bed.client, to, &[pod])?;
        served_by(first, to, &[pod])?;
    }
    fails(outside, first.v4(NODE_PORT), &Failure::TimedOut)?;
    fails(outside, third.v6(NODE_PORT), &Failure::TimedOut)?;
    fails(first, third.v4(NODE_PORT), &Failure::TimedOut)?;

    bed.cluster()?.publish(&cluster, [pod])?;
    for node in nodes {
        health(&bed, node, None)?;
        served_by(outside, node.v4(NODE_PORT), &[pod])?;
        served_by(outside, node.v6(NODE_PORT), &[pod])?;
        served_by(first, node.v4(NODE_PORT), &[pod])?;
    }

    bed.cluster()?.publish(&local, [pod])?;
    health(&bed, home, Some(200))?;
    health(&bed, first, Some(503))?;
    fails(outside, third.v4(NODE_PORT), &Failure::TimedOut)?;
    fails(first, third.v4(NODE_PORT), &Failure::TimedOut)?;
    served_by(first, first.v4(NODE_PORT), &[pod])?;
    served_by(outside, home.v4(NODE_PORT), &[pod])
}

/// Asks for a node's health check until it answers with this code; none: nobody listens.
pub fn health(bed: &Bed, node: &Node, wanted: Option<u16>) -> Result<()> {
    for to in [node.v4(HEALTH_CHECK), node.v6(HEALTH_CHECK)] {
        let mut last = None;
        let found = until("the health check says so", || {
            let answer = bed.world.outside().http_get(to, "/healthz");
            let found = match &answer {
                Ok((code, _)) => wanted == Some(*code),
                Err(error) => wanted.is_none() && error.kind() == ErrorKind::ConnectionRefused,
            };
            last = Some(answer);
            Ok(found)
        });
        found.with_context(|| format!("{to}, not {wanted:?}, but {last:?}"))?;
    }
    Ok(())
}
