//! IPVS in a node's namespace, set by hand.

use std::process::Command;

use anyhow::{Result, ensure};
use lab::traffic::Protocol;
use lab::world::{Place, Topology, World};

pub fn a_virtual_server_spreads_connections_over_pods_on_all_nodes() -> Result<()> {
    let world = World::start(&Topology::one_cluster(3))?;
    let pods = ["east-1", "east-2", "east-3"]
        .iter()
        .map(|node| world.node(node)?.pod("echo"))
        .collect::<Result<Vec<_>>>()?;
    let client = world.node("east-1")?.pod("client")?;
    // IPVS needs the answers to pass through the client's node, which they do: it is the pod's
    // gateway.
    let node = world.node("east-1")?;
    let address = "10.96.0.10".parse()?;
    node.netns()
        .configure(|net| net.address("lo", [std::net::IpAddr::into(address)]))?;
    ipvsadm(node, "-A -t 10.96.0.10:80 -s rr")?;
    for pod in &pods {
        ipvsadm(node, &format!("-a -t 10.96.0.10:80 -r {} -m", pod.v4()))?;
    }
    let spread = client.spread((address, 80).into(), Protocol::Tcp, 30, 5)?;
    for pod in &pods {
        ensure!(spread.of(&pod.name) == 10, "{spread}");
    }
    Ok(())
}

fn ipvsadm(node: &impl Place, arguments: &str) -> Result<()> {
    let mut command = Command::new("ipvsadm");
    command.args(arguments.split(' '));
    let output = node.netns().enter(|| command.output())??;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ipvsadm {arguments}: {message}");
    Ok(())
}
