//! What else may be asked for when endpoints are full.

use anyhow::{Result, ensure};
use lab::traffic::Protocol;
use lab::world::Place;

use crate::bed::{Bed, Pods, TCP, at_most, each_has, until};

const SHED: &str = "spillway.io/shed";
const YIELD: &str = "spillway.io/affinity-yield";

pub fn who_sheds_load_refuses_what_nobody_has_room_for() -> Result<()> {
    const OPENED: usize = 40;
    let mut bed = Bed::new(Pods {
        node: 1,
        cluster: 1,
        ..Pods::default()
    })?;
    let web = bed.spilling("web", TCP, 10)?.annotation(SHED, "true");
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(10)?;
    let more = |count| bed.client.hold_over(TCP.to(&web), TCP.0, count, 5);
    let mut held = more(OPENED)?;
    each_has(&held, &bed.node, 10..=at_most(10))?;
    each_has(&held, &bed.cluster, 10..=at_most(10))?;
    let served = held.ping().answered();
    ensure!(served + held.spread.failed() == OPENED, "{}", held.spread);

    // What ends makes room.
    held.close(10);
    until("others are served again", || {
        Ok(more(1)?.spread.failed() == 0)
    })
}

pub fn a_client_with_affinity_leaves_a_full_pod_if_it_yields() -> Result<()> {
    const MANY: usize = 30;
    let mut bed = Bed::new(Pods {
        node: 2,
        cluster: 2,
        ..Pods::default()
    })?;
    let firm = bed.spilling("firm", TCP, 10)?.affinity(600);
    let yields = bed.spilling("yields", TCP, 10)?.affinity(600);
    let yields = yields.annotation(YIELD, "true");
    for service in [&firm, &yields] {
        bed.east()?.publish(service, bed.own())?;
    }
    bed.start_agent_and_warm_up(10)?;

    // Affinity is for who comes back.
    let mut held = bed.hold(TCP, &firm, 1)?;
    held.add(bed.hold(TCP, &firm, MANY - 1)?);
    let most = bed.own().map(|pod| held.now().of(&pod.name)).max();
    ensure!(most == Some(MANY), "one pod has all: {}", held.now());
    drop(held);

    let mut held = bed.hold(TCP, &yields, 1)?;
    held.add(bed.hold(TCP, &yields, 7)?);
    let now = held.now();
    let mut near = bed.node.iter();
    let stays = near.find(|pod| now.of(&pod.name) == 8);
    let Some(stays) = stays else {
        anyhow::bail!("one near pod has all: {now}");
    };
    held.add(bed.hold(TCP, &yields, MANY - 8)?);
    each_has(&held, std::slice::from_ref(stays), 10..=at_most(10))?;
    ensure!(held.ping().answered() == MANY, "{}", held.ping());
    // With room again it is the client's as before.
    held.close(MANY);
    until("the client is back", || {
        let held = bed.hold(TCP, &yields, 5)?;
        Ok(held.now().of(&stays.name) == 5)
    })
}

pub fn others_are_sent_past_a_pod_that_clients_with_affinity_fill() -> Result<()> {
    const CAPACITY: usize = 10;
    let mut bed = Bed::new(Pods {
        node: 1,
        cluster: 1,
        ..Pods::default()
    })?;
    // Over UDP the first flow of all may go far, and its client would stay there.
    let mut services = bed.one_each_way(CAPACITY)?;
    services.retain(|(way, _)| way.0 == Protocol::Tcp);
    for (_, web) in &mut services {
        *web = web.clone().affinity(600);
        bed.east()?.publish(web, bed.own())?;
    }
    bed.start_agent_and_warm_up(CAPACITY)?;
    let [second, third] = ["second", "third"].map(|name| bed.east_1()?.pod(name));
    let (second, third) = (second?, third?);
    for (way, web) in &services {
        let near = way.at(&bed.node[0]);
        let mut held = bed.hold(*way, web, 1)?;
        held.add(bed.hold(*way, web, CAPACITY + 4)?);
        each_has(&held, &bed.node, CAPACITY + 5..=CAPACITY + 5)?;
        bed.until_programmed("others find the near pod full", |destinations| {
            destinations.iter().any(|it| {
                let upper = it.destination.upper_threshold;
                it.destination.ip == near && upper > 0 && upper <= it.active + it.inactive
            })
        })?;
        let others = second.hold_over(way.to(web), way.0, 5, 1)?;
        each_has(&others, &bed.cluster, 5..=5)?;
        drop(held);
        bed.until_programmed("the near pod has room", |destinations| {
            let mut with_threshold = destinations
                .iter()
                .filter(|it| it.destination.upper_threshold > 0);
            with_threshold.all(|it| it.destination.upper_threshold as usize >= CAPACITY)
        })?;
        let others = third.hold_over(way.to(web), way.0, 5, 1)?;
        each_has(&others, &bed.node, 5..=5)?;
    }
    Ok(())
}
