//! Other clusters: what they export stands in this cluster's API server.

use anyhow::{Result, ensure};
use lab::world::objects::Service;

use crate::bed::{BUDGET, Bed, GLOBAL, Pods, REMOTE, TCP, WAYS, Way, at_most, each_has, until};

const PODS: Pods = Pods {
    node: 2,
    zone: 0,
    cluster: 2,
    remote: 2,
};

/// Publishes a global Service with the pods here, and what the other cluster exports.
fn publish(bed: &Bed, service: &Service) -> Result<()> {
    let east = bed.east()?;
    east.publish_import(&east.import(service), "west", &bed.remote)?;
    east.publish(service, bed.own())
}

pub fn another_cluster_takes_what_this_one_has_no_room_for() -> Result<()> {
    let mut bed = Bed::new(PODS)?;
    let global = |(index, way): (usize, Way)| {
        let service = bed.spilling(&format!("web-{index}"), way, 10)?;
        let service = service.annotation(GLOBAL, "true");
        publish(&bed, &service)?;
        Ok((way, service))
    };
    let services: Vec<_> = WAYS
        .into_iter()
        .enumerate()
        .map(global)
        .collect::<Result<_>>()?;
    bed.start_agent_and_warm_up(10)?;
    for (way, web) in &services {
        let mut held = bed.hold(*way, web, 20)?;
        held.add(bed.hold(*way, web, 20 + 13)?);
        each_has(&held, &bed.node, 10..=at_most(10))?;
        each_has(&held, &bed.cluster, 10..=at_most(10))?;
        let [.., remote] = bed.per_level(&held);
        ensure!((5..=13).contains(&remote), "{way:?}: {}", held.now());

        // All of this cluster's pods gone, the other cluster serves alone.
        let none: [&lab::world::Pod; 0] = [];
        bed.east()?.set_endpoints(web, none)?;
        until("all goes to the other cluster", || {
            let more = bed.hold(*way, web, 10)?;
            Ok(more.spread.of_all(&bed.remote) == 10)
        })?;
        ensure!(held.ping().answered() == 53, "{way:?}: {}", held.ping());
    }
    Ok(())
}

pub fn an_import_is_served_at_its_clusterset_ip() -> Result<()> {
    let mut bed = Bed::new(PODS)?;
    let mut imports = Vec::new();
    for (index, way) in WAYS.into_iter().enumerate() {
        let service = bed.plain(&format!("abroad-{index}"), way)?;
        let import = bed.east()?.import(&service);
        bed.east()?.publish_import(&import, "west", &bed.remote)?;
        let to = if way.to(&service).is_ipv4() {
            import.v4(80)
        } else {
            import.v6(80)
        };
        imports.push((way, to));
    }
    bed.start_agent()?;
    for (way, to) in imports {
        let held = bed.hold_at(to, way, 10)?;
        let remote = held.now().of_all(&bed.remote);
        ensure!(remote == 10, "{way:?}: {}", held.now());
    }
    Ok(())
}

pub fn never_means_never_and_always_means_like_any_other() -> Result<()> {
    let mut bed = Bed::new(PODS)?;
    let never = bed.spilling("never", TCP, 5)?.annotation(GLOBAL, "true");
    let never = never.annotation(REMOTE, "never");
    let always = bed.plain("always", TCP)?.annotation(GLOBAL, "true");
    let always = always
        .annotation(REMOTE, "always")
        .annotation(crate::bed::ROUTING, "balance");
    publish(&bed, &never)?;
    publish(&bed, &always)?;
    bed.start_agent_and_warm_up(5)?;

    let held = bed.hold(TCP, &never, 4 * 5 + 20)?;
    ensure!(held.now().of_all(&bed.remote) == 0, "{}", held.now());

    let held = bed.hold(TCP, &always, 60)?;
    for pods in [&bed.node, &bed.cluster, &bed.remote] {
        each_has(&held, pods, 9..=11)?;
    }
    // Live, in both directions.
    bed.east()?.annotate(&always, REMOTE, Some("never"))?;
    let remote = |some: bool| {
        until("the other cluster is used, or not", || {
            let more = bed.hold(TCP, &always, BUDGET)?;
            Ok((more.spread.of_all(&bed.remote) > 0) == some)
        })
    };
    remote(false)?;
    bed.east()?.annotate(&always, REMOTE, Some("always"))?;
    remote(true)
}
