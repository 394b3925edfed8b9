//! Load balancers' addresses and external IPs.

use anyhow::{Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::{Place, Topology};
use serde_json::json;

use crate::bed::{BALANCER, Bed, EXTERNAL, NODE_PORT, fails, served_by};

/// Others get no answer, pods and the node among them; at node ports and external IPs everybody
/// does. The ranges are changed live.
pub fn source_ranges_hold_for_the_load_balancer_alone() -> Result<()> {
    const RANGES: &str = "loadBalancerSourceRanges";
    let bed = Bed::start()?;
    let pod = &bed.pods[1];
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let web = bed.web()?.spec(RANGES, json!(Topology::OUTSIDE.hosts()));
    bed.cluster()?.publish(&web, [pod])?;
    for ip in BALANCER {
        let to = (ip, 80).into();
        served_by(outside, to, &[pod])?;
        fails(&bed.client, to, &Failure::TimedOut)?;
        fails(node, to, &Failure::TimedOut)?;
    }

    let segment = bed.cluster()?.spec().segment.both();
    let web = web.spec(RANGES, json!(segment));
    bed.cluster()?.publish(&web, [pod])?;
    for ip in BALANCER {
        let to = (ip, 80).into();
        fails(outside, to, &Failure::TimedOut)?;
        served_by(node, to, &[pod])?;
    }
    served_by(outside, (EXTERNAL[0], 80).into(), &[pod])?;
    served_by(outside, node.v4(NODE_PORT), &[pod])?;
    served_by(&bed.client, web.v4(80), &[pod])?;

    let web = web.spec(RANGES, json!([]));
    bed.cluster()?.publish(&web, [pod])?;
    served_by(outside, (BALANCER[0], 80).into(), &[pod])
}

/// The Service is served at the node's address, and what the node itself listens at there goes on
/// being reachable.
pub fn an_external_ip_that_is_a_nodes_own_leaves_the_node_reachable() -> Result<()> {
    let bed = Bed::start()?;
    let pod = &bed.pods[1];
    let (outside, node) = (bed.world.outside(), bed.node()?);
    let host = node.echo(9000)?;
    let web = bed.web()?;
    let web = web.spec("externalIPs", json!(node.spec.addresses.both()));
    bed.cluster()?.publish(&web, [pod])?;
    for to in [node.v4(80), node.v6(80)] {
        served_by(outside, to, &[pod])?;
        served_by(&bed.client, to, &[pod])?;
        served_by(node, to, &[pod])?;
    }
    for to in [host.v4(), host.v6()] {
        served_by(outside, to, &[&host])?;
        served_by(&bed.client, to, &[&host])?;
    }
    Ok(())
}

/// `ipMode: Proxy`: what pods send to the address is to get to the load balancer.
pub fn a_load_balancer_that_is_a_proxy_is_not_short_cut() -> Result<()> {
    let bed = Bed::start()?;
    let pod = &bed.pods[1];
    let web = bed.web()?;
    let mut object = web.object();
    for ingress in object["status"]["loadBalancer"]["ingress"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        ingress["ipMode"] = "Proxy".into();
    }
    bed.cluster()?.set_endpoints(&web, [pod])?;
    bed.cluster()?.api().apply(object)?;
    served_by(&bed.client, web.v4(80), &[pod])?;
    for ip in BALANCER {
        let patience = std::time::Duration::from_secs(3);
        let answer = bed.client.connect((ip, 80).into(), Protocol::Tcp, patience);
        ensure!(answer.is_err(), "{ip} was answered by {answer:?}");
    }
    bed.cluster()?.publish(&web, [pod])?;
    served_by(&bed.client, (BALANCER[0], 80).into(), &[pod])
}
