//! Which level takes a connection.

use anyhow::{Result, ensure};
use lab::traffic::Protocol;
use lab::world::Place;

use crate::bed::{BUDGET, Bed, CAPACITY, Pods, ROUTING, TCP, WAYS, at_most, each_has, until};

/// Four pods near and four far, 25 connections each.
const FOUR_AND_FOUR: Pods = Pods {
    node: 4,
    zone: 0,
    cluster: 4,
    remote: 0,
};

/// T1.
pub fn the_near_level_is_filled_before_the_next_is_touched() -> Result<()> {
    let mut bed = Bed::new(FOUR_AND_FOUR)?;
    let services = bed.one_each_way(BUDGET)?;
    bed.start_agent_and_warm_up(BUDGET)?;
    for (way, web) in &services {
        let mut held = bed.hold(*way, web, 4 * BUDGET)?;
        let far = held.now().of_all(&bed.cluster);
        // `wlc`, which serves UDP, gives every idle destination a flow, whatever its weight.
        let strays = match way.0 {
            Protocol::Udp => bed.cluster.len(),
            Protocol::Tcp | Protocol::Sctp => 0,
        };
        ensure!(far <= strays, "{way:?} at its budget: {}", held.now());

        held.add(bed.hold(*way, web, 30)?);
        each_has(&held, &bed.node, BUDGET..=at_most(BUDGET))?;
        each_has(&held, &bed.cluster, 1..=BUDGET)?;
        // Near pods have head-room for one more each.
        let far = held.now().of_all(&bed.cluster);
        ensure!((25..=34).contains(&far), "{way:?}: {}", held.now());
        ensure!(held.ping().answered() == 4 * BUDGET + 30, "one was cut");
    }
    Ok(())
}

/// T1 with three levels.
pub fn three_levels_fill_one_after_the_other() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 2,
        zone: 2,
        cluster: 2,
        remote: 0,
    })?;
    let services = bed.one_each_way(BUDGET)?;
    bed.start_agent_and_warm_up(BUDGET)?;
    for (way, web) in &services {
        let mut held = bed.hold(*way, web, 2 * BUDGET)?;
        let strays = match way.0 {
            Protocol::Udp => 4,
            Protocol::Tcp | Protocol::Sctp => 0,
        };
        let [node, ..] = bed.per_level(&held);
        ensure!(node + strays >= 2 * BUDGET, "{way:?}: {}", held.now());

        held.add(bed.hold(*way, web, 2 * BUDGET)?);
        each_has(&held, &bed.node, BUDGET - 2..=at_most(BUDGET))?;
        let [_, zone, cluster, _] = bed.per_level(&held);
        ensure!(zone >= 2 * BUDGET * 4 / 5, "{way:?}: {}", held.now());
        ensure!(cluster <= strays, "{way:?}: {}", held.now());

        held.add(bed.hold(*way, web, BUDGET)?);
        each_has(&held, &bed.node, BUDGET..=at_most(BUDGET))?;
        each_has(&held, &bed.zone, BUDGET..=at_most(BUDGET))?;
        each_has(&held, &bed.cluster, 1..=BUDGET)?;
    }
    Ok(())
}

/// T2, half of it over each address family. They are over at once, but the kernel's thresholds
/// remember each for two minutes. One at a time: what fills all budgets between two looks of the
/// agent, out of the blue, does go far; that is why there is room here for a second or two.
pub fn short_connections_at_idle_stay_near() -> Result<()> {
    const ROOM: usize = 4 * BUDGET;
    let mut bed = Bed::new(FOUR_AND_FOUR)?;
    let services = bed.one_each_way(ROOM)?;
    bed.start_agent_and_warm_up(ROOM)?;
    for (way, web) in services.iter().filter(|(way, _)| way.0 == Protocol::Tcp) {
        let spread = bed.client.spread(way.to(web), way.0, 1_000, 1)?;
        ensure!(spread.failed() == 0, "{way:?}: {spread}");
        ensure!(spread.of_all(&bed.cluster) == 0, "{way:?}: {spread}");
    }
    Ok(())
}

/// T3. None is open when the next comes, so to `sed` all pods are alike.
pub fn one_after_the_other_still_means_evenly() -> Result<()> {
    let mut bed = Bed::new(FOUR_AND_FOUR)?;
    let services = bed.one_each_way(BUDGET)?;
    bed.start_agent_and_warm_up(BUDGET)?;
    for (way, web) in services.iter().filter(|(way, _)| way.0 == Protocol::Tcp) {
        let spread = bed.client.spread(way.to(web), way.0, 1_000, 1)?;
        ensure!(spread.failed() == 0, "{way:?}: {spread}");
        let counts: Vec<usize> = bed.node.iter().map(|pod| spread.of(&pod.name)).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
        ensure!(2 * most <= 3 * least, "{way:?}: {spread}");
    }
    Ok(())
}

/// T4.
pub fn udp_flows_are_even_within_a_level() -> Result<()> {
    const FLOWS: usize = 200;
    let mut bed = Bed::new(FOUR_AND_FOUR)?;
    let services = bed.one_each_way(100)?;
    bed.start_agent_and_warm_up(100)?;
    for (way, web) in services.iter().filter(|(way, _)| way.0 == Protocol::Udp) {
        let held = bed.hold(*way, web, FLOWS)?;
        // Up to one flow goes to each idle far pod.
        each_has(&held, &bed.cluster, 0..=1)?;
        let even = FLOWS / bed.node.len();
        each_has(&held, &bed.node, even - 5..=even + 5)?;
    }
    Ok(())
}

/// T8.
pub fn nobody_is_refused_when_every_level_is_over_its_budget() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 2,
        zone: 0,
        cluster: 2,
        remote: 0,
    })?;
    let services = bed.one_each_way(5)?;
    bed.start_agent_and_warm_up(5)?;
    for (way, web) in &services {
        // Three times what all pods together have room for. The agent lifts budgets as it sees that,
        // after what came at once.
        let mut held = bed.hold(*way, web, 40)?;
        until("budgets are lifted", || {
            let more = bed.hold(*way, web, 1)?;
            Ok(more.now().of_all(&bed.node) == 1)
        })?;
        held.add(bed.hold(*way, web, 20)?);
        ensure!(held.ping().answered() == 60, "{way:?}: one was cut");
        each_has(&held, &bed.node, 5..=30)?;
        let spread = bed.client.spread(way.to(web), way.0, 50, 2)?;
        ensure!(spread.answered() == 50, "{way:?}: {spread}");
    }
    Ok(())
}

pub fn a_client_with_affinity_stays_with_one_near_pod() -> Result<()> {
    let mut bed = Bed::new(FOUR_AND_FOUR)?;
    let web = bed.spilling("sticky", TCP, BUDGET)?.affinity(600);
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;
    // Affinity is for who comes back.
    let mut held = bed.hold(TCP, &web, 1)?;
    held.add(bed.hold(TCP, &web, 9)?);
    let first = held.now();
    ensure!(first.answers.len() == 1, "{first}");
    ensure!(first.of_all(&bed.node) == 10, "{first}");
    // Beyond the pod's capacity, too: affinity goes before it, unless the Service says otherwise.
    held.add(bed.hold(TCP, &web, BUDGET)?);
    ensure!(held.now().answers.len() == 1, "{}", held.now());
    // Another client is free to go elsewhere.
    let other = bed.east_1()?.spread(TCP.to(&web), TCP.0, 10, 1)?;
    ensure!(
        other.answered() == 10 && other.answers.len() == 1,
        "{other}"
    );
    Ok(())
}

pub fn balance_is_even_at_any_distance() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 1,
        zone: 1,
        cluster: 2,
        remote: 0,
    })?;
    let mut services = Vec::new();
    for (index, way) in WAYS.into_iter().enumerate() {
        let service = bed.plain(&format!("even-{index}"), way)?;
        let service = service.annotation(ROUTING, "balance");
        bed.east()?.publish(&service, bed.own())?;
        services.push((way, service));
    }
    bed.start_agent()?;
    for (way, web) in &services {
        let held = bed.hold(*way, web, 80)?;
        for pods in [&bed.node, &bed.zone, &bed.cluster] {
            each_has(&held, pods, 19..=21)?;
        }
    }
    Ok(())
}

/// All of it on one level, where no level is passed over as a whole.
pub fn full_pods_are_passed_over_in_every_mode() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 3,
        ..Pods::default()
    })?;
    let mut services = Vec::new();
    for mode in ["balance", "prefer"] {
        for (index, way) in WAYS.into_iter().enumerate() {
            let [small, middle, large] = [0, 1, 2].map(|n| way.at(&bed.node[n]));
            let service = bed
                .plain(&format!("{mode}-{index}"), way)?
                .annotation(ROUTING, mode)
                .slice_annotation(CAPACITY, &format!("{small}=5,{middle}=10,{large}=100"));
            bed.east()?.publish(&service, bed.own())?;
            services.push((way, service));
        }
    }
    bed.start_agent_and_warm_up(5)?;
    for (way, web) in &services {
        let mut held = bed.hold(*way, web, 9)?;
        each_has(&held, &bed.node, 2..=4)?;

        held.add(bed.hold(*way, web, 60)?);
        each_has(&held, &bed.node[..1], 5..=at_most(5))?;
        each_has(&held, &bed.node[1..2], 10..=at_most(10))?;
        ensure!(held.ping().answered() == 69, "{way:?}: one was cut");

        // More than all have room for: nobody is refused, and nobody takes all of it.
        held.add(bed.hold(*way, web, 91)?);
        each_has(&held, &bed.node[..1], 5..=15)?;
        each_has(&held, &bed.node[1..2], 10..=30)?;
    }
    Ok(())
}
