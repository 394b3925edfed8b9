//! Who reaches whom.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::{Place, Topology, World};

const NODES: [&str; 6] = ["east-1", "east-2", "east-3", "west-1", "west-2", "west-3"];

pub fn two_clusters_start_in_seconds_and_leave_nothing_behind() -> Result<()> {
    let begin = Instant::now();
    let world = World::start(&Topology::two_clusters())?;
    let took = begin.elapsed();
    ensure!(took < Duration::from_secs(10), "the start took {took:?}");
    let pod = world.node("east-1")?.pod("echo-1")?;
    // Six nodes, two gateways, the outside client and the pod, beside what a test before this one may
    // have left because it hung.
    let names = || -> Result<BTreeSet<_>> {
        let names = fs::read_dir("/run/netns")?;
        names.map(|name| Ok(name?.file_name())).collect()
    };
    let there = names()?;
    drop((pod, world));
    let left = names()?;
    ensure!(
        left.is_subset(&there) && there.len() - left.len() == 10,
        "of {there:?}, left are {left:?}"
    );
    Ok(())
}

/// As after a test that hangs: what it started lives on, and the next one wants the same names.
pub fn a_name_that_is_taken_goes_to_the_newer() -> Result<()> {
    let older = World::start(&Topology::one_node())?;
    let newer = World::start(&Topology::one_node())?;
    let pod = newer.node("east-1")?.pod("echo")?;
    let answer = newer.node("east-1")?.ask_udp(pod.v4(), None)?;
    ensure!(answer.answered_by == pod.name, "{answer}");
    drop(older);
    Ok(())
}

pub fn every_node_reaches_every_pod_by_both_families() -> Result<()> {
    let world = World::start(&Topology::two_clusters())?;
    let pods = NODES
        .iter()
        .map(|node| world.node(node)?.pod("echo"))
        .collect::<Result<Vec<_>>>()?;
    for pod in &pods {
        for to in [pod.v4(), pod.v6()] {
            for node in NODES {
                let node = world.node(node)?;
                let answer = node.ask_udp(to, None)?;
                ensure!(answer.answered_by == pod.name, "{to}: {answer}");
                let client = answer.seen_client.ip();
                ensure!(
                    node.has(client),
                    "{to} sees {client}, not {}",
                    node.spec.name
                );
            }
            for protocol in [Protocol::Tcp, Protocol::Sctp] {
                let client = &pods[0];
                let connection = client.connect(to, protocol, Duration::from_secs(5))?;
                let seen = connection.seen_client.ip();
                ensure!(connection.answered_by == pod.name, "{connection:?}");
                ensure!(client.addresses.both().contains(&seen), "{to} sees {seen}");
            }
        }
    }
    Ok(())
}

pub fn the_outside_client_reaches_nodes_but_no_pods() -> Result<()> {
    let world = World::start(&Topology::two_clusters())?;
    let pod = world.node("west-2")?.pod("echo")?;
    let host = world.node("west-2")?.echo(9000)?;
    for to in [host.v4(), host.v6()] {
        let connection = world.outside().connect_tcp(to)?;
        let seen = connection.seen_client.ip();
        ensure!(Topology::OUTSIDE.both().contains(&seen), "{to} sees {seen}");
    }
    for to in [pod.v4(), pod.v6()] {
        let answer = world
            .outside()
            .connect_tcp(to)
            .map(|connection| connection.answered_by);
        ensure!(answer == Err(Failure::Unreachable), "{to}: {answer:?}");
    }
    Ok(())
}

pub fn an_announced_address_reaches_its_node() -> Result<()> {
    let world = World::start(&Topology::one_cluster(2))?;
    for address in ["203.0.113.7", "2001:db8:7::7"] {
        let address: IpAddr = address.parse()?;
        for node in ["east-1", "east-2"] {
            world.announce(address, node)?;
            let node = world.node(node)?;
            node.netns()
                .configure(|net| net.address("lo", [address.into()]))?;
            // Nobody listens, and it is the node that says so.
            let answer = world
                .outside()
                .connect_tcp((address, 80).into())
                .map(|_| ());
            ensure!(answer == Err(Failure::Refused), "{answer:?}");
            let listener = node.netns().enter(|| TcpListener::bind((address, 80)))??;
            let client = world
                .outside()
                .netns()
                .enter(|| TcpStream::connect((address, 80)))??;
            let seen = listener.accept()?.1;
            ensure!(seen == client.local_addr()?, "the node sees {seen}");
        }
    }
    Ok(())
}
