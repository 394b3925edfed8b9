//! What happens as endpoints come and go.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::traffic::load::Schedule;
use lab::world::{Place, Pod};
use spillway::capacity::Pace;

use crate::bed::{BUDGET, Bed, Pods, TCP, WAYS, at_most, takes, until};

/// T5: what the agent may take from hearing of a change to the kernel's knowing of it. On an
/// emulated processor, the agent's part and the API server's.
const REACTION: Duration = Duration::from_secs(1);

/// T5.
pub fn a_level_that_dies_is_left_at_once_and_nobody_is_refused() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 4,
        zone: 0,
        cluster: 4,
        remote: 0,
    })?;
    let web = bed.spilling("web", TCP, BUDGET)?;
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;

    // Short connections only, so that nothing of theirs can be cut by the pods' end.
    let schedule = Schedule::through([(0.0, 0.0, 20.0), (12.0, 0.0, 20.0)]);
    let (tick, ticks) = mpsc::channel();
    let (client, to) = (&bed.client, TCP.to(&web));
    let near = std::mem::take(&mut bed.node);
    let (recording, reaction) = thread::scope(|scope| -> Result<_> {
        let load = scope.spawn(move || {
            client.drive(to, &schedule, |now, _| {
                // The listener leaves when it has seen enough.
                let _ = tick.send(now);
            })
        });
        let mut under_way = ticks.iter();
        let begun = under_way.any(|now| now >= Duration::from_secs(3));
        ensure!(begun, "the load ended early");
        let told = Instant::now();
        bed.world
            .cluster("east")?
            .set_endpoints(&web, &bed.cluster)?;
        bed.until_programmed("the near pods get no more connections", |destinations| {
            near.iter().all(|pod| !takes(destinations, pod.v4().ip()))
        })?;
        let reaction = told.elapsed();
        near.into_iter().try_for_each(Pod::kill)?;
        let joined = load.join();
        let recording = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((recording, reaction))
    })?;
    tracing::info!(
        "left after {reaction:?}; {} connections",
        recording.opened()
    );
    ensure!(
        recording.failures().is_empty(),
        "{:?}",
        recording.failures()
    );
    ensure!(reaction < REACTION, "left after {reaction:?}");
    let end = recording.buckets(Duration::from_secs(1));
    let end = end.last().context("nothing was recorded")?;
    ensure!(
        end.new
            .keys()
            .all(|pod| bed.cluster.iter().any(|far| far.name == *pod)),
        "at the end: {:?}",
        end.new
    );
    Ok(())
}

/// T6: from no near pod to many, under load. The first that is ready is alone for a while.
pub fn the_first_pod_of_a_new_level_is_not_flooded() -> Result<()> {
    const LOAD: usize = 100;
    let mut bed = Bed::new(Pods {
        node: 6,
        zone: 0,
        cluster: 4,
        remote: 0,
    })?;
    let web = bed.spilling("web", TCP, BUDGET)?;
    bed.east()?.publish(&web, &bed.cluster)?;
    bed.start_agent_and_warm_up(BUDGET)?;
    let mut held = bed.hold(TCP, &web, LOAD)?;
    // What comes a moment after a Service's first endpoints is not new.
    let established = Instant::now() + Pace::default().gather;
    until("the Service has been there for a while", || {
        held.close(5);
        held.add(bed.hold(TCP, &web, 5)?);
        Ok(Instant::now() >= established)
    })?;

    let mut ready = 0;
    for pods in [1, 2, 6] {
        let now_ready = || bed.node[..pods].iter().chain(&bed.cluster);
        bed.east()?.set_endpoints(&web, now_ready())?;
        bed.until_programmed("the new pods are in the kernel", |destinations| {
            destinations.len() == pods + bed.cluster.len()
        })?;
        // All that were open come anew, as after a deployment of the clients.
        for _ in 0..4 {
            held.close(LOAD / 4);
            held.add(bed.hold(TCP, &web, LOAD / 4)?);
            for pod in &bed.node[..pods] {
                let has = held.now().of(&pod.name);
                ensure!(has <= at_most(BUDGET), "{pods} ready: {}", held.now());
            }
        }
        let near = held.now().of_all(&bed.node);
        ensure!(near >= ready, "{pods} ready, and less near: {}", held.now());
        ready = near;
    }
    ensure!(ready > 0, "the new pods got nothing: {}", held.now());
    // Slow start is over in the end.
    until("the near level is used up to its budgets", || {
        held.close(10);
        held.add(bed.hold(TCP, &web, 10)?);
        Ok(held.now().of_all(&bed.node) >= LOAD * 9 / 10)
    })
}

/// T9: the kernel keeps the counters of a destination that is gone as long as connections refer to
/// it, and a destination that comes back has them again.
pub fn a_pod_that_comes_back_is_not_taken_for_full() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 2,
        zone: 0,
        cluster: 2,
        remote: 0,
    })?;
    // One each way would not do: the same pods' addresses would stay behind the UDP Services.
    let services = [("web-4", WAYS[0]), ("web-6", WAYS[1])].map(|(name, way)| -> Result<_> {
        let web = bed.spilling(name, way, BUDGET)?;
        bed.east()?.publish(&web, bed.own())?;
        Ok((way, web))
    });
    let services = services.into_iter().collect::<Result<Vec<_>>>()?;
    bed.start_agent_and_warm_up(BUDGET)?;
    for (way, web) in &services {
        // What is over counts for two minutes, and so each near pod has its budget twice over. (Some
        // go on where they come faster than the agent looks.)
        let spread = bed.client.spread(way.to(web), way.0, 6 * BUDGET, 1)?;
        ensure!(spread.failed() == 0, "{way:?}: {spread}");
        ensure!(
            bed.node
                .iter()
                .all(|pod| spread.of(&pod.name) >= 2 * BUDGET),
            "{way:?}: {spread}"
        );
        let address = |pod: &Pod| match way.to(web) {
            SocketAddr::V4(_) => pod.v4().ip(),
            SocketAddr::V6(_) => pod.v6().ip(),
        };
        bed.east()?.set_endpoints(web, &bed.cluster)?;
        bed.until_programmed("the near pods are gone", |destinations| {
            !bed.node.iter().any(|pod| takes(destinations, address(pod)))
        })?;
        bed.east()?.set_endpoints(web, bed.own())?;
        bed.until_programmed("the near pods are back", |destinations| {
            bed.node.iter().all(|pod| takes(destinations, address(pod)))
        })?;
        // Back, they may start slowly, but they do not stay shut.
        let mut held = bed.hold(*way, web, 0)?;
        until("the near pods take what they can", || {
            held.close(BUDGET);
            held.add(bed.hold(*way, web, BUDGET)?);
            Ok(held.now().of_all(&bed.node) == BUDGET)
        })?;
    }
    Ok(())
}
