//! What happens as endpoints come and go.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::traffic::Held;
use lab::traffic::load::Schedule;
use lab::world::{Place, Pod};
use spillway::capacity::Pace;

use crate::bed::{BUDGET, Bed, Pods, TCP, WAYS, at_most, each_has, takes, until};

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
    let web = bed.spilling("web", TCP, BUDGET)?.dual_stack();
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;

    // Short connections only, so that nothing of theirs can be cut by the pods' end.
    let schedule = Schedule::through([(0.0, 0.0, 10.0), (12.0, 0.0, 10.0)]);
    let (tick, ticks) = mpsc::channel();
    let (client, schedule) = (&bed.client, &schedule);
    let near = std::mem::take(&mut bed.node);
    let (recordings, reaction) = thread::scope(|scope| -> Result<_> {
        let loads = [web.v4(80), web.v6(80)].map(|to| {
            let tick = tick.clone();
            scope.spawn(move || {
                client.drive(to, schedule, |now, _| {
                    // The listener leaves when it has seen enough.
                    let _ = tick.send(now);
                })
            })
        });
        drop(tick);
        let mut under_way = ticks.iter();
        let begun = under_way.any(|now| now >= Duration::from_secs(3));
        ensure!(begun, "the load ended early");
        let told = Instant::now();
        bed.world
            .cluster("east")?
            .set_endpoints(&web, &bed.cluster)?;
        bed.until_programmed("the near pods get no more connections", |destinations| {
            let mut addresses = near.iter().flat_map(|pod| pod.addresses.both());
            addresses.all(|ip| !takes(destinations, ip))
        })?;
        let reaction = told.elapsed();
        near.into_iter().try_for_each(Pod::kill)?;
        let recordings = loads.map(|load| {
            let joined = load.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        Ok((recordings, reaction))
    })?;
    ensure!(reaction < REACTION, "left after {reaction:?}");
    for recording in recordings {
        let recording = recording?;
        tracing::info!(
            "left after {reaction:?}; {} connections",
            recording.opened()
        );
        let failures = recording.failures();
        ensure!(failures.is_empty(), "{failures:?}");
        let end = recording.buckets(Duration::from_secs(1));
        let end = end.last().context("nothing was recorded")?;
        ensure!(
            end.new
                .keys()
                .all(|pod| bed.cluster.iter().any(|far| far.name == *pod)),
            "at the end: {:?}",
            end.new
        );
    }
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
    // A flow of UDP has no end that could make room.
    let mut services = Vec::new();
    for (name, way) in [("web-4", WAYS[0]), ("web-6", WAYS[1])] {
        let web = bed.spilling(name, way, BUDGET)?;
        bed.east()?.publish(&web, &bed.cluster)?;
        services.push((way, web));
    }
    bed.start_agent_and_warm_up(BUDGET)?;
    let held = services.iter().map(|(way, web)| bed.hold(*way, web, LOAD));
    let mut held: Vec<Held> = held.collect::<Result<_>>()?;
    let renew = |held: &mut [Held], count: usize| -> Result<()> {
        for (held, (way, web)) in held.iter_mut().zip(&services) {
            held.close(count);
            held.add(bed.hold(*way, web, count)?);
        }
        Ok(())
    };
    // What comes a moment after a Service's first endpoints is not new.
    let established = Instant::now() + Pace::default().gather;
    until("the Services have been there for a while", || {
        renew(&mut held, 5)?;
        Ok(Instant::now() >= established)
    })?;

    let near = |held: &[Held]| -> Vec<usize> {
        let all = held.iter().map(|held| held.now().of_all(&bed.node));
        all.collect()
    };
    let mut ready = vec![0; held.len()];
    for pods in [1, 2, 6] {
        for (_, web) in &services {
            let now_ready = bed.node[..pods].iter().chain(&bed.cluster);
            bed.east()?.set_endpoints(web, now_ready)?;
        }
        bed.until_programmed("the new pods are in the kernel", |destinations| {
            destinations.len() == services.len() * (pods + bed.cluster.len())
        })?;
        // All that were open come anew, as after a deployment of the clients.
        for _ in 0..4 {
            renew(&mut held, LOAD / 4)?;
            for held in &held {
                each_has(held, &bed.node[..pods], 0..=at_most(BUDGET))?;
            }
        }
        let now_near = near(&held);
        let fewer = now_near.iter().zip(&ready).any(|(now, then)| now < then);
        ensure!(!fewer, "{pods} ready, and {now_near:?} after {ready:?}");
        ready = now_near;
    }
    ensure!(ready.iter().all(|near| *near > 0), "near: {ready:?}");
    // Slow start is over in the end.
    until("the near level is used up to its budgets", || {
        renew(&mut held, 10)?;
        Ok(near(&held).iter().all(|near| *near >= LOAD * 9 / 10))
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
