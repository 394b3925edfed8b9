//! `sessionAffinity: ClientIP`: a client comes back to the pod that it had, at all addresses of a
//! service port, until it stays away for as long as the time-out.
//!
//! The services here choose in turn (`rr`): without affinity no client gets one pod twice in a row,
//! and after the time-out it certainly gets another.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::objects::{Port, Service};
use lab::world::{ECHO_PORT, Netns, Place, Pod};

use crate::bed::{Bed, NODE_PORT, served_by, until};

/// Longer than a test takes.
const LONG: u32 = 600;
/// As often does Kubernetes' own test ask.
const TIMES: usize = 15;

/// e2e: "session affinity to work for `NodePort`/`ClusterIP` service", of TCP, and for a Service of
/// both families.
pub fn a_client_gets_one_pod_at_all_addresses_of_a_service_port() -> Result<()> {
    let bed = Bed::start()?;
    let web = in_turn(bed.web()?).affinity(LONG);
    bed.cluster()?.publish(&web, &bed.pods)?;
    let node = bed.node()?;
    for (cluster_ip, node_port) in [
        (web.v4(80), node.v4(NODE_PORT)),
        (web.v6(80), node.v6(NODE_PORT)),
    ] {
        until_sticky(&bed.client, cluster_ip)?;
        let pod = stays(&bed.client, cluster_ip, Protocol::Tcp)?;
        let other = stays(&bed.client, node_port, Protocol::Tcp)?;
        ensure!(
            pod == other,
            "{cluster_ip} is {pod}, {node_port} is {other}"
        );
        stays(node, cluster_ip, Protocol::Tcp)?;
        stays(bed.world.outside(), node_port, Protocol::Tcp)?;
    }
    Ok(())
}

/// Clients from outside have the pods of the node that they come to, and each of them keeps its own.
pub fn under_policy_local_an_outside_client_keeps_one_pod_of_the_node() -> Result<()> {
    let bed = Bed::start()?;
    let second = bed.node()?.pod("second")?;
    let web = in_turn(bed.web()?).external_local();
    bed.cluster()?.publish(&web, [&bed.pods[0], &second])?;
    for to in bed.ways_in()? {
        served_by(bed.world.outside(), to, &[&bed.pods[0], &second])?;
    }
    bed.cluster()?
        .publish(&web.affinity(LONG), [&bed.pods[0], &second])?;
    for ways in [0, 1].map(|family| bed.ways_in().map(|all| every_second(&all, family))) {
        let ways = ways?;
        until_sticky(bed.world.outside(), ways[0])?;
        let pod = stays(bed.world.outside(), ways[0], Protocol::Tcp)?;
        for to in ways {
            let other = stays(bed.world.outside(), to, Protocol::Tcp)?;
            ensure!(pod == other, "{pod} at first, {other} at {to}");
        }
    }
    Ok(())
}

/// e2e: "session affinity timeout to work", for `ClusterIP` and `NodePort` service. What there is of
/// it runs from the last new connection on.
pub fn a_client_that_stays_away_for_the_time_out_may_get_another_pod() -> Result<()> {
    const SECONDS: u32 = 6;
    let bed = Bed::start()?;
    let web = in_turn(bed.web()?).affinity(SECONDS);
    bed.cluster()?.publish(&web, &bed.pods)?;
    let (pod, outside, node) = (bed.client.netns(), bed.world.outside().netns(), bed.node()?);
    // Two clients in each family. While they choose one after the other among three pods, neither
    // comes to the same one by chance.
    let ways = [
        (pod, web.v4(80)),
        (outside, node.v4(NODE_PORT)),
        (pod, web.v6(80)),
        (outside, node.v6(NODE_PORT)),
    ];
    let each = |ask: &dyn Fn(&Netns, SocketAddr) -> Result<String>| -> Result<Vec<String>> {
        ways.iter().map(|(client, to)| ask(client, *to)).collect()
    };
    let once = |client: &Netns, to| answered(client, to, Protocol::Tcp);
    let often = |client: &Netns, to| stays(client, to, Protocol::Tcp);
    for (client, to) in ways {
        until_sticky(client, to)?;
    }
    let time_out = Duration::from_secs(SECONDS.into());
    let mut asked = Instant::now();
    let mut before = each(&once)?;
    let mut kept = 0;
    while kept < 3 {
        // There is nothing to wait for but that time passes.
        thread::sleep(time_out * 2 / 3);
        let since = std::mem::replace(&mut asked, Instant::now());
        let now = each(&once)?;
        // Nothing is shown where the machine itself stood still for the rest of the time.
        if since.elapsed() < time_out {
            ensure!(
                now == before,
                "{now:?} instead of {before:?} before the time-out"
            );
            kept += 1;
        }
        before = now;
    }
    thread::sleep(time_out + Duration::from_secs(1));
    let next = each(&once)?;
    for (before, next) in before.iter().zip(&next) {
        ensure!(next != before, "{before} again after the time-out");
    }
    ensure!(each(&often)? == next, "the time begins anew");
    Ok(())
}

/// Endpoints that come move nobody, and one that goes moves its own clients only; those come to rest
/// elsewhere.
pub fn endpoints_that_come_and_go_move_none_but_their_own_clients() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let [one, other, third] = [&bed.pods[0], &bed.pods[1], &bed.pods[2]];
    let clients = (0..6)
        .map(|number| bed.node()?.pod(&format!("client-{number}")))
        .collect::<Result<Vec<Pod>>>()?;
    let web = in_turn(bed.web()?).affinity(LONG);
    cluster.publish(&web, [one, other])?;
    let families = [web.v4(80), web.v6(80)];
    for to in families {
        until_sticky(&bed.client, to)?;
        let before = pods_of(&clients, to)?;
        for pod in [one, other] {
            ensure!(before.contains(&pod.name), "nobody has {}", pod.name);
        }

        cluster.set_endpoints(&web, [one, other, third])?;
        takes_clients(&bed, to, third)?;
        ensure!(pods_of(&clients, to)? == before, "one more moved somebody");

        cluster.set_endpoints(&web, [other, third])?;
        until("the pod that went has no client", || {
            Ok(!pods_of(&clients, to)?.contains(&one.name))
        })?;
        let after = pods_of(&clients, to)?;
        for (before, after) in before.iter().zip(&after) {
            ensure!(
                *before == one.name || before == after,
                "{before} to {after}"
            );
        }
        ensure!(pods_of(&clients, to)? == after, "who was moved stays");

        // Back again it is a pod like any other.
        cluster.set_endpoints(&web, [one, other])?;
        for to in families {
            takes_clients(&bed, to, one)?;
        }
    }
    Ok(())
}

/// e2e: "switch session affinity", for `ClusterIP` and `NodePort` service. Open connections and new
/// ones know nothing of it.
pub fn switched_on_and_off_no_connection_is_cut_or_refused() -> Result<()> {
    let bed = Bed::start()?;
    let plain = in_turn(bed.web()?);
    let all: Vec<&Pod> = bed.pods.iter().collect();
    bed.cluster()?.publish(&plain, &bed.pods)?;
    let ways = [
        (bed.client.netns(), plain.v4(80)),
        (bed.world.outside().netns(), bed.node()?.v6(NODE_PORT)),
    ];
    let mut held = Vec::new();
    for (client, to) in ways {
        served_by(client, to, &all)?;
        held.push(client.hold(to, 12, 4)?);
    }
    let over = AtomicBool::new(false);
    let refused = thread::scope(|scope| -> Result<Vec<String>> {
        let asking = scope.spawn(|| {
            let mut failures = Vec::new();
            while !over.load(Ordering::Relaxed) {
                for (client, to) in ways {
                    let asked = client.connect_tcp(to);
                    failures.extend(asked.err().map(|failure| format!("{to}: {failure}")));
                }
            }
            failures
        });
        let toggled = (0..3).try_for_each(|_| {
            bed.cluster()?
                .publish(&plain.clone().affinity(LONG), &bed.pods)?;
            for (client, to) in ways {
                until_sticky(client, to)?;
            }
            bed.cluster()?.publish(&plain, &bed.pods)?;
            ways.iter()
                .try_for_each(|(client, to)| served_by(*client, *to, &all))
        });
        over.store(true, Ordering::Relaxed);
        let failures = asking.join().ok().context("the client panicked")?;
        toggled.map(|()| failures)
    })?;
    ensure!(refused.is_empty(), "{refused:?}");
    for mut held in held {
        let spread = held.ping();
        ensure!(spread.answered() == 12, "{spread}");
    }
    Ok(())
}

/// e2e: "client-IP based session affinity: udp". A pod that goes takes its flows' clients along.
pub fn udp_flows_of_a_client_have_one_pod() -> Result<()> {
    let bed = Bed::start()?;
    let port = Port::udp("dns", 53).to(ECHO_PORT);
    let dns = in_turn(bed.cluster()?.service("dns", [port]).dual_stack()).affinity(LONG);
    for to in [dns.v4(53), dns.v6(53)] {
        bed.cluster()?.publish(&dns, &bed.pods)?;
        until_one_answers(&bed.client, to, Protocol::Udp)?;
        let pod = stays(&bed.client, to, Protocol::Udp)?;
        let others = bed.pods.iter().filter(|one| one.name != pod);
        bed.cluster()?.set_endpoints(&dns, others)?;
        until("another pod answers", || {
            Ok(answered(&bed.client, to, Protocol::Udp).is_ok_and(|name| name != pod))
        })?;
        let next = stays(&bed.client, to, Protocol::Udp)?;
        ensure!(next != pod, "{next} has gone");
    }
    Ok(())
}

/// Pods take turns, wherever they are.
fn in_turn(service: Service) -> Service {
    service
        .annotation("spillway.io/routing", "balance")
        .annotation("spillway.io/scheduler", "rr")
}

/// Those of one family of addresses that alternate between both.
fn every_second(all: &[SocketAddr], first: usize) -> Vec<SocketAddr> {
    all.iter().skip(first).step_by(2).copied().collect()
}

/// The pod that answers a new connection.
fn answered(client: &impl Place, to: SocketAddr, protocol: Protocol) -> Result<String> {
    let connection = client.connect(to, protocol, Duration::from_secs(5));
    let connection = connection.with_context(|| format!("no answer at {to}"))?;
    Ok(connection.answered_by)
}

/// The pod that answers a client each of many times.
fn stays(client: &impl Place, to: SocketAddr, protocol: Protocol) -> Result<String> {
    let first = answered(client, to, protocol)?;
    for _ in 1..TIMES {
        let next = answered(client, to, protocol)?;
        ensure!(next == first, "{to}: {first} at first, then {next}");
    }
    Ok(first)
}

/// The pods of these clients.
fn pods_of(clients: &[Pod], to: SocketAddr) -> Result<Vec<String>> {
    let each = clients.iter();
    each.map(|client| answered(client, to, Protocol::Tcp))
        .collect()
}

/// Asks until affinity is in force, and so is all else that was published with it.
fn until_sticky(client: &impl Place, to: SocketAddr) -> Result<()> {
    until_one_answers(client, to, Protocol::Tcp)
}

fn until_one_answers(client: &impl Place, to: SocketAddr, protocol: Protocol) -> Result<()> {
    until("the client stays with one pod", || {
        Ok(stays(client, to, protocol).is_ok())
    })
}

/// New clients, one after the other, until a pod has got one: it is in use.
fn takes_clients(bed: &Bed, to: SocketAddr, pod: &Pod) -> Result<()> {
    let mut number = 0;
    until("the pod gets a new client", || {
        number += 1;
        let client = bed.node()?.pod(&format!("new-{}-{number}", to.is_ipv4()))?;
        Ok(answered(&client, to, Protocol::Tcp)? == pod.name)
    })
}
