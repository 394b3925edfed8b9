//! Rolling updates while clients come and go.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use lab::traffic::load::{Recording, Schedule};
use lab::world::objects::Endpoint;
use lab::world::{Netns, Place, Pod};
use serde_json::json;

use crate::bed::{BALANCER, Bed, NODE_PORT, served_by};
use crate::nodes::{HEALTH_CHECK, health};

/// e2e: "should not have connectivity disruption during rolling update with
/// externalTrafficPolicy=Cluster". Kubernetes asks for 95 % of the connections in each window of
/// time; here every one is answered.
pub fn under_policy_cluster_every_client_is_answered() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let web = bed.web()?;
    let mut current: Vec<&Pod> = bed.pods.iter().collect();
    cluster.publish(&web, &current)?;
    let (outside, balancer) = (bed.world.outside().netns(), (BALANCER[0], 80).into());
    served_by(outside, balancer, &current)?;
    let load = [
        (outside, balancer),
        (outside, bed.node()?.v6(NODE_PORT)),
        (bed.client.netns(), web.v4(80)),
    ];
    let next = nexts(&bed)?;
    let windows = under_load(&load, || {
        for new in &next {
            let old = current.remove(0);
            let states = [Endpoint::from(old).terminating(), waiting(new)];
            let others = current.iter().map(Endpoint::from);
            cluster.set_endpoints(&web, others.chain(states))?;
            // At all of them: the two families are written one after the other.
            for (from, to) in load {
                served_by(from, to, &current)?;
            }
            old.stop_listening();
            current.push(new);
            cluster.set_endpoints(&web, &current)?;
            served_by(outside, balancer, &current)?;
        }
        Ok(())
    })?;
    answered(&windows, 100)
}

/// The same for externalTrafficPolicy=Local: the load balancer leaves a node when its health check
/// says so, and until then the pod that is on its way out answers.
pub fn under_policy_local_clients_are_answered_until_the_load_balancer_has_turned() -> Result<()> {
    let bed = Bed::with_agents(&["east-1", "east-2"])?;
    let cluster = bed.cluster()?;
    let web = bed.web()?.external_local();
    let web = web.spec("healthCheckNodePort", json!(HEALTH_CHECK));
    let mut current: Vec<&Pod> = bed.pods.iter().take(2).collect();
    cluster.publish(&web, &current)?;
    let (outside, balancer) = (bed.world.outside().netns(), (BALANCER[0], 80).into());
    served_by(outside, balancer, &current[..1])?;
    let next = nexts(&bed)?;
    let windows = under_load(&[(outside, balancer)], || {
        for new in &next[..2] {
            let (old, other) = (current.remove(0), current[0]);
            let node = bed.world.node(&old.node.name)?;
            health(&bed, node, Some(200))?;
            let leaving = Endpoint::from(old).terminating();
            cluster.set_endpoints(&web, [leaving, waiting(new), Endpoint::from(other)])?;
            health(&bed, node, Some(503))?;
            served_by(outside, balancer, &[old])?;
            bed.world.announce(BALANCER[0], &other.node.name)?;
            served_by(outside, balancer, &[other])?;
            old.stop_listening();
            current.push(new);
            cluster.set_endpoints(&web, &current)?;
            health(&bed, node, Some(200))?;
        }
        Ok(())
    })?;
    // A connection that is just being opened while the load balancer turns may be lost.
    answered(&windows, 95)
}

/// The pods to come, one on each node.
fn nexts(bed: &Bed) -> Result<Vec<Pod>> {
    let nodes = bed.cluster()?.nodes().iter();
    nodes.map(|node| node.pod("next")).collect()
}

/// A pod that has started, and not passed its probe yet.
fn waiting(pod: &Pod) -> Endpoint {
    Endpoint::from(pod).not_ready()
}

/// Opens short connections, thirty a second from all of these places, until it is done; the
/// recording of each two seconds.
fn under_load(
    load: &[(&Netns, SocketAddr)],
    rollout: impl FnOnce() -> Result<()>,
) -> Result<Vec<Recording>> {
    let done = AtomicBool::new(false);
    let rate = 30.0 / f64::from(u32::try_from(load.len())?);
    let drive = |(from, to): (&Netns, SocketAddr)| -> Result<Vec<Recording>> {
        let schedule = Schedule::through([(0.0, 0.0, rate), (2.0, 0.0, rate)]);
        let mut windows = Vec::new();
        while !done.load(Ordering::Relaxed) {
            windows.push(from.drive(to, &schedule, |_, _| ())?);
        }
        Ok(windows)
    };
    thread::scope(|scope| {
        let drivers: Vec<_> = load.iter().map(|way| scope.spawn(|| drive(*way))).collect();
        let rolled = rollout();
        done.store(true, Ordering::Relaxed);
        let mut windows = Vec::new();
        for driver in drivers {
            let recorded = driver.join().unwrap_or_else(|panic| resume_unwind(panic));
            windows.extend(recorded?);
        }
        rolled.map(|()| windows)
    })
}

/// That in each window at least so many of a hundred connections were answered.
fn answered(windows: &[Recording], percent: usize) -> Result<()> {
    let mut all = 0;
    for window in windows {
        let failures = window.failures();
        let failed: usize = failures.values().sum();
        let asked = window.opened() + failed;
        ensure!(
            window.opened() * 100 >= asked * percent,
            "{failed} of {asked}: {failures:?}"
        );
        all += asked;
    }
    ensure!(all > 20, "{all} clients are too few to say anything");
    Ok(())
}
