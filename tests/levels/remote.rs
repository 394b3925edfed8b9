//! Other clusters: what they export stands in this cluster's API server.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use lab::traffic::Protocol;
use lab::world::objects::{Port, Service};
use lab::world::{Place, Pod};

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
        let none: [&Pod; 0] = [];
        bed.east()?.set_endpoints(web, none)?;
        until("all goes to the other cluster", || {
            let more = bed.hold(*way, web, 10)?;
            Ok(more.spread.of_all(&bed.remote) == 10)
        })?;
        // Connections end with their pods; a flow has no end and goes to those that serve now.
        if way.0 == Protocol::Tcp {
            ensure!(held.ping().answered() == 53, "{way:?}: {}", held.ping());
        }
    }
    Ok(())
}

/// A Service with a near pod and one in each of two other clusters, `north` before `west`, of ten
/// connections each.
fn north_before_west() -> Result<(Bed, Service)> {
    let mut bed = Bed::new(Pods { node: 1, ..PODS })?;
    let web = bed.spilling("web", TCP, 10)?.annotation(GLOBAL, "true");
    let web = web.annotation(REMOTE, "fallback:north,west");
    let east = bed.east()?;
    let import = east.import(&web);
    let (west, north) = (&bed.remote[..1], &bed.remote[1..]);
    east.publish_import(&import, "west", west)?;
    east.set_imported(&import, "north", north)?;
    east.publish(&web, &bed.node)?;
    bed.start_agent_and_warm_up(10)?;
    Ok((bed, web))
}

pub fn clusters_are_used_in_the_order_that_is_said() -> Result<()> {
    let (bed, web) = north_before_west()?;
    let (west, north) = (&bed.remote[..1], &bed.remote[1..]);

    let mut held = bed.hold(TCP, &web, 10 + 5)?;
    ensure!(held.now().of_all(west) == 0, "{}", held.now());
    held.add(bed.hold(TCP, &web, 5 + 7)?);
    each_has(&held, north, 10..=at_most(10))?;
    ensure!(held.now().of_all(west) >= 3, "{}", held.now());

    // Live, for those that come from now on.
    drop(held);
    bed.east()?
        .annotate(&web, REMOTE, Some("fallback:west,north"))?;
    until("the other one is the nearer now", || {
        let held = bed.hold(TCP, &web, 10 + 5)?;
        let now = held.now();
        Ok(now.of_all(&bed.remote[1..]) == 0 && now.of_all(&bed.remote[..1]) > 0)
    })
}

/// `spillway.io/drain` on the Node: its new connections leave a cluster alone, while others serve.
pub fn a_cluster_that_is_evacuated_is_left_and_comes_back() -> Result<()> {
    const DRAIN: &str = "spillway.io/drain";
    let (bed, web) = north_before_west()?;
    let import = bed.east()?.import(&web);
    let (west, north) = (&bed.remote[..1], &bed.remote[1..]);

    // The near pod is full, the next cluster has some.
    let mut held = bed.hold(TCP, &web, 10 + 5)?;
    ensure!(held.now().of_all(north) > 0, "{}", held.now());
    let go_to = |pods: &[Pod]| {
        until("new connections go where they should", || {
            let more = bed.hold(TCP, &web, 4)?;
            Ok(more.spread.of_all(pods) == 4)
        })
    };
    let drain = |what| bed.east()?.annotate_node("east-1", DRAIN, what);
    drain(Some("cluster:north"))?;
    go_to(west)?;
    ensure!(held.ping().failed() == 0, "those that were open were cut");
    // Where nothing else serves, what is to be left does.
    let none: [&Pod; 0] = [];
    bed.east()?.set_imported(&import, "west", none)?;
    bed.east()?.set_endpoints(&web, none)?;
    go_to(north)?;
    bed.east()?.set_imported(&import, "west", west)?;
    go_to(west)?;
    bed.east()?.set_endpoints(&web, &bed.node)?;
    drain(None)?;
    go_to(north)?;
    ensure!(held.ping().failed() == 0, "those that were open were cut");
    Ok(())
}

/// Where the other cluster's pods cannot be reached from here, its hosts may. They see this node as
/// their client, since they would not find the way back to a pod.
pub fn hosts_of_another_cluster_see_this_node() -> Result<()> {
    const PORT: u16 = 9_001;
    let mut bed = Bed::new(PODS)?;
    let east = bed.east()?;
    let host = bed.world.node("west-1")?.echo(PORT)?;
    let port = Port::tcp("echo", 80).to(PORT);
    let by_host = east.import(&east.service("by-host", [port]).dual_stack());
    let by_host = by_host.slice_annotation("spillway.io/reach", "host");
    let by_pod = east.import(&bed.plain("by-pod", TCP)?.dual_stack());
    east.publish_import(&by_host, "west", [&host])?;
    east.publish_import(&by_pod, "west", &bed.remote)?;
    bed.start_agent()?;

    let seen = |to| -> Result<IpAddr> { Ok(bed.client.connect_tcp(to)?.seen_client.ip()) };
    let node = bed.east_1()?.spec.addresses.both();
    for (import, [v4, v6]) in [(by_host, node), (by_pod, bed.client.addresses.both())] {
        ensure!(seen(import.v4(80))? == v4, "{}", import.name());
        ensure!(seen(import.v6(80))? == v6, "{}", import.name());
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
