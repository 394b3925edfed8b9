//! What goes wrong for one Service stops no other.

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::Place as _;
use lab::world::objects::Port;
use lab::world::{ECHO_PORT, Pod};
use spillway::kernel::link::Link;

use crate::bed::{Bed, tool, until_served_by};

const MULTICAST_ADDRESS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: refused, namespace: shop}
spec: {clusterIP: "ff0e::1", ports: [{name: http, port: 80, protocol: TCP}]}
"#;

const MULTICAST_ENDPOINT: &str = r#"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-extra, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: tcp, port: 8080, protocol: TCP}]
endpoints: [{addresses: ["239.1.1.1"]}]
"#;

pub fn a_refused_virtual_address_stops_no_other_service() -> Result<()> {
    let bed = Bed::start()?;
    bed.cluster()?.api().apply_yaml(MULTICAST_ADDRESS)?;
    bed.agent()?.wait_log("ff0e::1")?;
    web_is_served(&bed)
}

/// While the agent runs, and from its start on: then no address of the other family is even tried.
pub fn on_a_node_without_ipv6_services_are_served_over_ipv4() -> Result<()> {
    let mut bed = Bed::start()?;
    let switch = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
    bed.node()?
        .netns()
        .enter(|| std::fs::write(switch, "1"))??;
    web_is_served(&bed)?;
    bed.agent.take().context("an agent")?.terminate()?;
    bed.agent = Some(bed.world.agent("east-1")?);
    bed.agent()?.wait_ready()?;
    bed.agent()?.wait_log("this node has no IPv6")?;
    web_is_served(&bed)?;
    let metrics = bed.agent()?.metrics()?;
    let failing = metrics.get("spillway_failing_objects");
    ensure!(failing == Some(&0.0), "objects that fail: {failing:?}");
    Ok(())
}

pub fn a_refused_endpoint_stops_no_other() -> Result<()> {
    let bed = Bed::start()?;
    bed.cluster()?.api().apply_yaml(MULTICAST_ENDPOINT)?;
    web_is_served(&bed)?;
    bed.agent()?.wait_log("239.1.1.1")?;
    Ok(())
}

pub fn a_link_that_somebody_deletes_comes_back_with_the_next_service() -> Result<()> {
    let bed = Bed::start()?;
    web_is_served(&bed)?;
    bed.node()?.netns().enter(Link::delete)??;
    let other = bed
        .cluster()?
        .service("other", [Port::tcp("http", 80).to(ECHO_PORT)]);
    bed.cluster()?.publish(&other, &bed.pods)?;
    let all: Vec<&Pod> = bed.pods.iter().collect();
    until_served_by(&bed.client, other.v4(80), Protocol::Tcp, &all)?;
    let addresses = bed
        .node()?
        .netns()
        .enter(|| Link::open()?.addresses())??
        .len();
    // Of `web`, one of each family, and of `other`.
    ensure!(addresses >= 3, "{addresses} addresses are back");
    Ok(())
}

/// e2e: "should recreate its iptables rules if they are deleted". Nothing else changes meanwhile.
pub fn what_somebody_flushes_is_put_back() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<&Pod> = bed.pods.iter().collect();
    let is_served = || -> Result<()> {
        for to in [web.v4(80), web.v6(80)] {
            until_served_by(&bed.client, to, Protocol::Tcp, &all)?;
        }
        Ok(())
    };
    is_served()?;
    let netns = bed.node()?.netns();
    for command in ["nft flush ruleset", "ipvsadm -C"] {
        netns.enter(|| tool(command))??;
        is_served().with_context(|| format!("after `{command}`"))?;
    }
    netns.enter(Link::delete)??;
    is_served().context("after the link was deleted")
}

fn web_is_served(bed: &Bed) -> Result<()> {
    let web = bed.web(&bed.pods)?;
    let all: Vec<&Pod> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)
}
