//! API servers and the objects in them.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use lab::world::objects::Port;
use lab::world::{Place, Topology, World};

pub fn a_published_service_is_in_its_own_cluster_only() -> Result<()> {
    let world = World::start(&Topology::two_clusters())?;
    let east = world.cluster("east")?;
    let pods = [
        world.node("east-1")?.pod("web")?,
        world.node("east-3")?.pod("web")?,
    ];
    let web = east
        .service("web", [Port::tcp("http", 80).to(8080)])
        .dual_stack();
    east.publish(&web, &pods)?;

    let slices = get(&world, "east-2", "/apis/discovery.k8s.io/v1/endpointslices")?;
    for pod in &pods {
        for address in pod.addresses.both() {
            ensure!(
                slices.contains(&format!("\"{address}\"")),
                "no {address} in {slices}"
            );
        }
    }
    let nodes = get(&world, "east-2", "/api/v1/nodes")?;
    ensure!(
        nodes.contains("\"topology.kubernetes.io/zone\":\"east-b\""),
        "{nodes}"
    );
    let elsewhere = get(&world, "west-2", "/api/v1/services")?;
    ensure!(!elsewhere.contains("\"web\""), "{elsewhere}");
    Ok(())
}

/// Asks the API server of a node's cluster from that node.
fn get(world: &World, node: &str, path: &str) -> Result<String> {
    let cluster = world
        .clusters()
        .iter()
        .find(|cluster| {
            cluster
                .nodes()
                .iter()
                .any(|member| member.spec.name == node)
        })
        .context("no such node")?;
    let url = cluster.api().url();
    let address = url.strip_prefix("http://").context("not plain HTTP")?;
    let mut stream = world
        .node(node)?
        .netns()
        .enter(|| TcpStream::connect(address))??;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer admin\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(answer)
}
