//! `trafficDistribution`: the control plane turns it into hints, which say for whom a pod is.

use anyhow::Result;
use lab::world::Pod;
use lab::world::objects::Endpoint;

use crate::bed::{Bed, served_by};

/// e2e: `PreferClose` and `PreferSameZone`. A client gets all pods of its zone and no others, or
/// all there are where its zone has none.
pub fn a_zone_keeps_its_traffic_and_one_without_pods_sends_it_everywhere() -> Result<()> {
    let bed = Bed::with_agents(&["east-1", "east-3"])?;
    let elsewhere = bed.world.node("east-3")?.pod("client")?;
    let web = bed.web()?;
    let (same_zone, other_zone) = (&[&bed.pods[0], &bed.pods[1]], &[&bed.pods[2]]);
    let hinted = |pods: &[&Pod]| -> Vec<Endpoint> {
        let zone = |pod: &&Pod| Endpoint::from(pod).hint(&pod.node.zone);
        pods.iter().map(zone).collect()
    };
    let all: Vec<&Pod> = bed.pods.iter().collect();
    bed.cluster()?.publish(&web, hinted(&all))?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, same_zone)?;
        served_by(&elsewhere, to, other_zone)?;
    }
    bed.cluster()?.set_endpoints(&web, hinted(same_zone))?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&elsewhere, to, same_zone)?;
        served_by(&bed.client, to, same_zone)?;
    }
    bed.cluster()?.set_endpoints(&web, hinted(&all))?;
    served_by(&elsewhere, web.v4(80), other_zone)
}

/// e2e: `PreferSameNode`. A client gets the pod of its node, else those of its zone, else all, and
/// its node's again when that is back.
pub fn a_node_keeps_its_traffic_while_it_has_a_pod() -> Result<()> {
    let bed = Bed::start()?;
    let zone_mate = bed.world.node("east-2")?.pod("more")?;
    let stranger = bed.world.node("east-3")?.pod("more")?;
    let [own, near, far] = [&bed.pods[0], &bed.pods[1], &bed.pods[2]];
    let hinted = |pods: &[&Pod]| -> Vec<Endpoint> {
        let node = |pod: &&Pod| Endpoint::from(pod).hint_node();
        pods.iter().map(node).collect()
    };
    let web = bed.web()?;
    let all = [own, near, &zone_mate, far, &stranger];
    bed.cluster()?.publish(&web, hinted(&all))?;
    let (zone, rest) = (&[near, &zone_mate], &[far, &stranger]);
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, &[own])?;
    }
    // A pod that fails its probe has no hints, and those of the others count on.
    let mut failing = hinted(&all[1..]);
    failing.push(Endpoint::from(own).not_ready());
    bed.cluster()?.set_endpoints(&web, failing)?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, zone)?;
    }
    bed.cluster()?.set_endpoints(&web, hinted(rest))?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, rest)?;
    }
    bed.cluster()?.set_endpoints(&web, hinted(&all))?;
    served_by(&bed.client, web.v4(80), &[own])
}
