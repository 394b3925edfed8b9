//! What happens as endpoints come and go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::traffic::load::Schedule;
use lab::traffic::{Held, Spread};
use lab::world::{Place, Pod};
use spillway::capacity::Pace;
use spillway::serve::routes::PortRoutes;

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
        bed.until_programmed("what was under way there is over", |destinations| {
            let mut left = destinations.iter().filter(|it| it.destination.weight == 0);
            left.all(|it| it.active == 0)
        })?;
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

/// T5 over UDP. A flow has no end, so all are new ones, each from a port of its own.
pub fn new_flows_leave_a_level_that_dies_at_once_and_all_are_answered() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 2,
        zone: 0,
        cluster: 2,
        remote: 0,
    })?;
    let services = [("dns-4", WAYS[2]), ("dns-6", WAYS[3])].map(|(name, way)| -> Result<_> {
        let dns = bed.spilling(name, way, 500)?;
        bed.east()?.publish(&dns, bed.own())?;
        Ok((way, dns))
    });
    let services = services.into_iter().collect::<Result<Vec<_>>>()?;
    bed.start_agent_and_warm_up(500)?;
    for (way, dns) in &services {
        // An idle far pod has a flow for being idle, and no more after that. (These are kept, so that
        // no later one gets the port of one that went far.)
        let _first = bed.hold(*way, dns, 20)?;
        let spread = bed.client.spread(way.to(dns), way.0, 20, 1)?;
        ensure!(spread.of_all(&bed.node) == 20, "{way:?}: {spread}");
    }

    let near = std::mem::take(&mut bed.node);
    for (way, dns) in &services {
        let told = Instant::now();
        bed.east()?.set_endpoints(dns, &bed.cluster)?;
        until("a new flow arrives at a far pod", || {
            let flow = bed.client.ask_udp(way.to(dns), None)?;
            Ok(bed.cluster.iter().any(|pod| pod.name == flow.answered_by))
        })?;
        let reaction = told.elapsed();
        tracing::info!("{way:?}: new flows arrive after {reaction:?}");
        ensure!(reaction < REACTION, "{way:?}: left after {reaction:?}");
    }
    near.into_iter().try_for_each(Pod::kill)?;
    for (way, dns) in &services {
        let spread = bed.client.spread(way.to(dns), way.0, 20, 1)?;
        ensure!(spread.of_all(&bed.cluster) == 20, "{way:?}: {spread}");
    }
    Ok(())
}

/// T6: from no near pod to thirty, under load. The first that is ready is alone for a while.
pub fn no_pod_of_a_new_level_is_flooded() -> Result<()> {
    const MANY: usize = 30;
    /// A fifth more of a tenth of it, which is what a new pod starts with, is a whole connection.
    const CAPACITY: usize = 50;
    const LOAD: usize = 80;
    let mut bed = Bed::new(Pods {
        node: MANY,
        zone: 0,
        cluster: 4,
        remote: 0,
    })?;
    // A flow of UDP has no end that could make room.
    let mut services = Vec::new();
    for (name, way) in [("web-4", WAYS[0]), ("web-6", WAYS[1])] {
        let web = bed.spilling(name, way, CAPACITY)?;
        bed.east()?.publish(&web, &bed.cluster)?;
        services.push((way, web));
    }
    bed.start_agent_and_warm_up(CAPACITY)?;
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
    for pods in [1, 3, MANY] {
        for (_, web) in &services {
            let now_ready = bed.node[..pods].iter().chain(&bed.cluster);
            bed.east()?.set_endpoints(web, now_ready)?;
        }
        bed.until_programmed("the new pods are in the kernel", |destinations| {
            destinations.len() == services.len() * (pods + bed.cluster.len())
        })?;
        // All that were open come anew, as after a deployment of the clients.
        for _ in 0..4 {
            // A few at a time: where many end at once, as many more are let in beside those that are.
            for _ in 0..4 {
                renew(&mut held, LOAD / 16)?;
            }
            // A budget that is read later is no smaller.
            let has: Vec<Spread> = held.iter().map(Held::now).collect();
            let budgets = budgets(&bed)?;
            for (has, (way, _)) in has.iter().zip(&services) {
                for pod in &bed.node[..pods] {
                    let address = SocketAddr::new(way.at(pod), pod.port).to_string();
                    let budget = budgets.get(&address).copied().context("a budget")?;
                    let has = has.of(&pod.name);
                    ensure!(
                        has <= at_most(budget),
                        "{pods} ready, {way:?}: {address} has {has} of {budget}"
                    );
                }
            }
        }
        let now_near = near(&held);
        let fewer = now_near.iter().zip(&ready).any(|(now, then)| now < then);
        ensure!(!fewer, "{pods} ready, and {now_near:?} after {ready:?}");
        tracing::info!("{pods} ready: {now_near:?} of {LOAD} are near");
        ready = now_near;
    }
    // A tenth of thirty is more than the load.
    ensure!(ready.iter().all(|near| *near == LOAD), "near: {ready:?}");
    ensure!(held.iter_mut().all(|held| held.ping().failed() == 0));
    Ok(())
}

/// What each endpoint may have of this node now, as `spillway routes` tells.
fn budgets(bed: &Bed) -> Result<BTreeMap<String, usize>> {
    let output = bed.agent()?.exec(&["routes", "-o", "json"])?;
    ensure!(output.status.success(), "{output:?}");
    let ports: Vec<PortRoutes> = serde_json::from_slice(&output.stdout)?;
    let families = ports.into_iter().flat_map(|port| port.families);
    let levels = families.flat_map(|family| family.levels);
    let endpoints = levels.flat_map(|level| level.endpoints);
    endpoints
        .map(|endpoint| {
            let budget = endpoint.budget.context("an endpoint without a budget")?;
            Ok((endpoint.address, usize::try_from(budget)?))
        })
        .collect()
}
