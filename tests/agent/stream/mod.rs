//! Whatever objects come and go, the kernel ends up as a fresh agent on the last of them makes it.

mod objects;
mod shape;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::world::{Agent, Cluster, Node, Setup, Topology, World};
use serde_json::{Value, json};

use crate::bed::until;
use objects::{Step, Stream};
use shape::Shape;

const STEPS: usize = 10_000;
/// More than the capacity loop takes from one look to the next.
const QUIET: Duration = Duration::from_secs(3);
/// The endpoint of the Service that is changed last.
const LAST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 250, 1));
/// Between two moments at which all that came before must have arrived in the kernel.
const TIDE: usize = 1_000;
/// So many virtual servers, addresses and elements are worth comparing.
const ENOUGH: usize = 50;

pub fn ten_thousand_changes_leave_the_kernel_as_a_fresh_start_does() -> Result<()> {
    let seed = fastrand::u64(..);
    tracing::info!(seed, "the stream");
    let world = World::start(&Topology::one_cluster(3))?;
    let (cluster, node) = (world.cluster("east")?, world.node("east-1")?);
    // How much of its budget an endpoint has is then no matter of time.
    let setup = Setup::default().config("slowStartSeconds: 30", "slowStartSeconds: 0");
    let mut agent = world.agent_with("east-1", &setup)?;
    agent.wait_ready()?;

    let own = cluster.api().get("Node", "", "east-1");
    let mut stream = Stream::new(seed, own.context("there is no Node")?);
    for number in 1..=STEPS {
        happens(cluster, stream.step())?;
        if number.is_multiple_of(TIDE) {
            arrived(cluster, node, &agent, number / TIDE)?;
            match number / TIDE % 4 {
                1 => cluster.api().cut_watches(),
                2 => {
                    agent.kill9()?;
                    agent = world.agent_with("east-1", &setup)?;
                }
                3 => cluster.api().compact(),
                _ => {}
            }
        }
    }
    let left = enough(&mut stream, cluster, node, &agent)?;

    agent.terminate()?;
    let cleanup = world.spillway("east-1", &["cleanup", "--only", "spillway"])?;
    ensure!(cleanup.status.success(), "{cleanup:?}");
    let agent = world.agent_with("east-1", &setup)?;
    agent.wait_ready()?;
    let fresh = settled(node)?;
    ensure!(
        left == fresh,
        "seed {seed}: the stream left (-) what a fresh start makes otherwise (+)\n{}",
        left.difference(&fresh)
    );
    Ok(())
}

/// Has something happen to an object.
fn happens(cluster: &Cluster, step: Step) -> Result<()> {
    let api = cluster.api();
    match step {
        Step::Apply(object) => drop(api.apply(object)?),
        Step::Delete {
            kind,
            namespace,
            name,
        } => api.delete(kind, &namespace, &name)?,
    }
    Ok(())
}

/// What the stream leaves in the kernel. Now and then most Services are not valid at its end: then
/// it goes on, or there would be little to compare.
fn enough(stream: &mut Stream, cluster: &Cluster, node: &Node, agent: &Agent) -> Result<Shape> {
    for tide in STEPS / TIDE + 1..2 * STEPS / TIDE {
        cluster.api().apply_all(stream.tidied())?;
        arrived(cluster, node, agent, tide)?;
        let left = settled(node)?;
        tracing::info!("{} lines", left.lines.len());
        if left.lines.len() > ENOUGH {
            return Ok(left);
        }
        for _ in 0..TIDE {
            happens(cluster, stream.step())?;
        }
    }
    bail!("the stream leaves little to compare")
}

/// What the kernel holds when nothing changes any more: real servers have finished that had to, and
/// thresholds are where the capacity loop leaves them while there are no connections.
fn settled(node: &Node) -> Result<Shape> {
    let (mut last, mut since) = (Shape::default(), Instant::now());
    until("the kernel is left alone", || {
        let now = Shape::of(node)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        Ok(last.draining == 0 && since.elapsed() > QUIET)
    })?;
    Ok(last)
}

/// Waits until all that has been said so far has arrived, of each kind by what is said last.
fn arrived(cluster: &Cluster, node: &Node, agent: &Agent, tide: usize) -> Result<()> {
    let port = u16::try_from(1_000 + tide)?;
    let metadata = json!({"name": "last", "namespace": "default",
        "labels": {"kubernetes.io/service-name": "last"}});
    let ports = [json!({"name": "last", "port": port, "protocol": "TCP"})];
    cluster.api().apply_all([
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"clusterIP": "10.96.9.9", "ports": ports}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "ports": ports, "endpoints": [{"addresses": [LAST]}]}),
    ])?;
    until("the last Service and slice are programmed", || {
        shape::routes_to(node, SocketAddr::new(LAST, port))
    })?;
    for taints in [
        json!([{"key": "ToBeDeletedByClusterAutoscaler"}]),
        json!(null),
    ] {
        let eligible = taints.is_null();
        let patch = json!({"spec": {"taints": taints}});
        cluster.api().patch("Node", "", "east-1", patch)?;
        until("the last of the Node is known", || {
            let (_, body) = agent.healthz("/healthz")?;
            let body: Value = serde_json::from_str(&body)?;
            Ok(body["nodeEligible"] == eligible)
        })?;
    }
    Ok(())
}
