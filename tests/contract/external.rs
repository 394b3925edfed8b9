//! `externalTrafficPolicy`: whom clients from outside get, and who they are to the pods.

use anyhow::{Result, ensure};
use lab::traffic::Failure;
use lab::world::{Pod, Topology};

use crate::bed::{Bed, fails, seen, served_by};

/// An outside client gets the pods of the node that it comes to, and they see who it is; without
/// any it gets no answer. For pods and the node itself it is as if they had gone out and back in.
pub fn under_policy_local_outside_gets_this_node_and_pods_and_the_node_get_all() -> Result<()> {
    let bed = Bed::start()?;
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?.external_local();
    bed.cluster()?.publish(&web, [near, far])?;
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let ways = bed.ways_in()?;
    for to in &ways {
        served_by(outside, *to, &[near])?;
        let client = seen(outside, *to)?;
        let is_outside = Topology::OUTSIDE.both().contains(&client);
        ensure!(is_outside, "{to}: the pod saw {client}");

        served_by(&bed.client, *to, &[near, far])?;
        let client = seen(&bed.client, *to)?;
        let is_pod = bed.client.addresses.both().contains(&client);
        ensure!(is_pod, "{to}: the pod saw {client} instead of the client");

        served_by(node, *to, &[near, far])?;
    }

    bed.cluster()?.set_endpoints(&web, [far])?;
    for to in &ways {
        fails(outside, *to, &Failure::TimedOut)?;
        served_by(&bed.client, *to, &[far])?;
        served_by(node, *to, &[far])?;
        // Its own source would be the address itself, which all nodes have.
        let client = seen(node, *to)?;
        ensure!(node.has(client), "{to}: the pod saw {client}");
    }

    bed.cluster()?.set_endpoints(&web, Vec::<&Pod>::new())?;
    for to in &ways {
        fails(outside, *to, &Failure::Refused)?;
        fails(&bed.client, *to, &Failure::Refused)?;
        fails(node, *to, &Failure::Refused)?;
    }
    Ok(())
}

/// Any pod answers an outside client, by way of the node that it came to. The policy is changed
/// live.
pub fn under_policy_cluster_outside_is_masqueraded_and_served_by_all() -> Result<()> {
    let bed = Bed::start()?;
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?;
    let web = web.spec("externalTrafficPolicy", "Cluster".into());
    let local = web.clone().external_local();
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let ways = bed.ways_in()?;
    bed.cluster()?.publish(&web, [far])?;
    for to in &ways {
        served_by(outside, *to, &[far])?;
        for client in [seen(outside, *to)?, seen(&bed.client, *to)?] {
            ensure!(node.has(client), "{to}: the pod saw {client}");
        }
    }
    bed.cluster()?.publish(&local, [far])?;
    fails(outside, ways[0], &Failure::TimedOut)?;
    bed.cluster()?.publish(&web, [near, far])?;
    served_by(outside, ways[0], &[near, far])
}
