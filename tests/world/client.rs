//! Clients and echo servers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::{Place, Topology, World};

/// Longer than anything on one node takes, short enough to wait for in vain.
const SHORT: Duration = Duration::from_millis(500);

pub fn a_connection_stays_with_its_server() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let pod = node.pod("echo")?;
    let mut connection = node.connect_tcp(pod.v4())?;
    ensure!(connection.seen_client == connection.local);
    connection.ping()?;
    connection.ping()?;
    Ok(())
}

pub fn a_pod_that_stops_listening_refuses_new_clients_only() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let pod = node.pod("echo")?;
    let mut connection = node.connect_tcp(pod.v4())?;
    pod.stop_listening();
    let refused = node.connect_tcp(pod.v4()).map(|_| ());
    ensure!(refused == Err(Failure::Refused), "{refused:?}");
    let refused = node.ask_udp(pod.v4(), None).map(|_| ());
    ensure!(refused == Err(Failure::Refused), "{refused:?}");
    connection.ping()?;
    Ok(())
}

pub fn a_killed_pod_cuts_its_connections() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let pod = node.pod("echo")?;
    let to = pod.v4();
    let mut connection = node.connect_tcp(to)?;
    pod.kill()?;
    let cut = connection.ping();
    ensure!(
        matches!(cut, Err(Failure::Closed | Failure::Reset)),
        "{cut:?}"
    );
    let gone = node.connect(to, Protocol::Tcp, SHORT).map(|_| ());
    ensure!(gone.is_err(), "somebody answers");
    Ok(())
}

pub fn a_pod_off_the_network_leaves_its_clients_waiting() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let other = node.pod("other")?;
    let mut pod = node.pod("echo")?;
    let mut connection = other.connect_tcp(pod.v4())?;
    connection.set_patience(SHORT)?;
    pod.unplug()?;
    let lost = connection.ping();
    ensure!(lost == Err(Failure::TimedOut), "{lost:?}");
    Ok(())
}

pub fn udp_answers_come_from_the_chosen_source_port() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let pod = node.pod("echo")?;
    for to in [pod.v4(), pod.v6()] {
        let answer = node.ask_udp(to, Some(7777))?;
        ensure!(answer.seen_client.port() == 7777, "{answer}");
    }
    Ok(())
}

pub fn a_thousand_clients_are_counted_in_seconds() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let pod = node.pod("echo")?;
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let begin = Instant::now();
        let spread = node.spread(pod.v4(), protocol, 1000, 50)?;
        tracing::info!("1,000 over {protocol}: {:?}", begin.elapsed());
        ensure!(
            spread.of(&pod.name) == 1000 && spread.failed() == 0,
            "{spread}"
        );
    }
    let begin = Instant::now();
    let mut held = node.hold(pod.v4(), 1000, 50)?;
    tracing::info!("1,000 held: {:?}", begin.elapsed());
    ensure!(held.spread.of(&pod.name) == 1000, "{}", held.spread);
    let begin = Instant::now();
    let alive = held.ping();
    tracing::info!("1,000 asked again: {:?}", begin.elapsed());
    ensure!(alive.of(&pod.name) == 1000, "{alive}");
    pod.kill()?;
    let alive = held.ping();
    ensure!(alive.answered() == 0, "{alive}");
    Ok(())
}
