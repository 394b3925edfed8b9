//! What outlives the agent.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::{ECHO_PORT, Place, Pod, objects};
use spillway::kernel::ipvs::{Client, Command, Destination, Forwarding, ServiceFlags};
use spillway::kernel::mark::MarkRange;
use spillway::kernel::nft::Base;
use spillway::model::ServiceId;
use spillway::plan::{Here, ServicePlan, plan};
use spillway::snapshot::Snapshot;
use spillway::sync::{Linux, Sent, Syncer};
use spillway::watch::read_manifests;

use crate::bed::{Bed, until, until_served_by};

pub fn killed_in_the_middle_of_a_large_sync_it_converges_and_cuts_no_connection() -> Result<()> {
    const SERVICES: usize = 5_000;
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    let mut held = bed.client.hold(web.v4(80), 50, 10)?;

    bed.cluster()?.api().apply_all(objects::bulk(SERVICES, 2))?;
    until("a part is programmed", || Ok(programmed(&bed)? > 500))?;
    bed.agent.take().context("an agent")?.kill9()?;
    let at_kill = programmed(&bed)?;
    ensure!(
        at_kill < SERVICES,
        "all {at_kill} were programmed before it was killed"
    );
    let spread = held.ping();
    ensure!(spread.answered() == 50, "after the kill: {spread}");

    let agent = bed.world.agent("east-1")?;
    agent.wait_ready()?;
    agent.terminate()?;
    let spread = held.ping();
    ensure!(spread.answered() == 50, "after the restart: {spread}");
    let sent = what_a_fresh_plan_would_change(&bed)?;
    ensure!(
        sent == Sent::default(),
        "a fresh plan of the final objects would send {sent:?}"
    );
    Ok(())
}

/// How many virtual servers the node has.
fn programmed(bed: &Bed) -> Result<usize> {
    bed.node()?
        .netns()
        .enter(|| -> Result<usize> { Ok(Client::connect()?.services()?.len()) })?
}

/// Plans the API server's objects anew and counts what the kernel would have to be told: commands,
/// transactions, and addresses that are missing or left over.
fn what_a_fresh_plan_would_change(bed: &Bed) -> Result<Sent> {
    let api = bed.cluster()?.api();
    let mut file = tempfile::Builder::new().suffix(".json").tempfile()?;
    let items: Vec<_> = ["Service", "EndpointSlice", "Node"]
        .iter()
        .flat_map(|kind| api.list(kind))
        .collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    file.write_all(&serde_json::to_vec(&list)?)?;
    let (events, _) = read_manifests(&[file.path().to_owned()], "east-1")?;
    let mut snapshot = Snapshot::default();
    for event in events {
        snapshot.apply(event);
    }
    let here = Here {
        node: "east-1".into(),
        zone: snapshot.node().zone.clone(),
        ..Here::default()
    };
    let plans: Vec<(ServiceId, ServicePlan)> = snapshot
        .take_touched()
        .into_iter()
        .filter_map(|id| {
            let plan = plan(snapshot.service(&id)?, &snapshot.slices(&id), &here);
            Some((id, plan))
        })
        .collect();
    bed.node()?.netns().enter(|| -> Result<Sent> {
        let base = Base::new(MarkRange::default());
        let platform = Linux::open(base).map_err(|trouble| anyhow!(trouble))?;
        let mut syncer = Syncer::new(platform, MarkRange::default(), std::time::Duration::MAX)
            .map_err(|trouble| anyhow!(trouble))?;
        syncer.apply(plans, Instant::now());
        syncer.sweep(Instant::now());
        Ok(syncer.sent())
    })?
}

pub fn connections_outlive_the_agent_and_a_removed_endpoint() -> Result<()> {
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    let mut held = bed.client.hold(web.v4(80), 60, 10)?;

    let status = bed.agent.take().context("an agent")?.terminate()?;
    ensure!(status.success(), "SIGTERM ended it by {status}");
    ensure!(
        held.ping().answered() == 60,
        "without an agent: {}",
        held.ping()
    );
    let spread = bed.client.spread(web.v4(80), Protocol::Tcp, 20, 5)?;
    ensure!(
        spread.answered() == 20,
        "new connections without an agent: {spread}"
    );

    bed.agent = Some(bed.world.agent("east-1")?);
    bed.agent()?.wait_ready()?;
    ensure!(
        held.ping().answered() == 60,
        "with the next agent: {}",
        held.ping()
    );

    bed.cluster()?.set_endpoints(&web, &bed.pods[1..])?;
    let far: Vec<_> = bed.pods[1..].iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &far)?;
    let spread = held.ping();
    ensure!(
        spread.answered() == 60,
        "with the near endpoint gone: {spread}"
    );
    ensure!(
        spread.of(&bed.pods[0].name) > 30,
        "most were the near pod's: {spread}"
    );
    Ok(())
}

pub fn draining_connections_of_a_service_without_endpoints_outlive_a_restart() -> Result<()> {
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    let mut held = bed.client.hold(web.v4(80), 30, 10)?;
    let none: &[Pod] = &[];
    bed.cluster()?.set_endpoints(&web, none)?;
    until("it refuses", || {
        Ok(bed.client.connect_tcp(web.v4(80)).err() == Some(Failure::Refused))
    })?;
    let spread = held.ping();
    ensure!(spread.answered() == 30, "before the restart: {spread}");

    bed.agent.take().context("an agent")?.terminate()?;
    bed.agent = Some(bed.world.agent("east-1")?);
    bed.agent()?.wait_ready()?;
    let spread = held.ping();
    ensure!(spread.answered() == 30, "after the restart: {spread}");
    Ok(())
}

/// The service chooses in turn: without what the kernel remembers, they would not.
pub fn clients_with_affinity_come_back_to_their_pods_after_a_restart() -> Result<()> {
    let mut bed = Bed::start()?;
    let port = objects::Port::tcp("http", 80).to(ECHO_PORT);
    let web = bed.cluster()?.service("web", [port]).dual_stack();
    let web = web
        .annotation("spillway.io/routing", "balance")
        .annotation("spillway.io/scheduler", "rr")
        .affinity(600);
    bed.cluster()?.publish(&web, &bed.pods)?;
    let clients = (0..4)
        .map(|number| bed.node()?.pod(&format!("client-{number}")))
        .collect::<Result<Vec<Pod>>>()?;
    let pods = |to| -> Result<Vec<String>> {
        let all = clients.iter();
        all.map(|client| Ok(client.connect_tcp(to)?.answered_by))
            .collect()
    };
    let both = [web.v4(80), web.v6(80)];
    let mut before = Vec::new();
    for to in both {
        until("affinity is in force", || {
            let (first, second) = (pods(to), pods(to));
            Ok(first.is_ok_and(|first| second.is_ok_and(|second| first == second)))
        })?;
        before.push(pods(to)?);
    }
    let mut held = clients[0].hold(web.v4(80), 10, 5)?;

    bed.agent.take().context("an agent")?.kill9()?;
    for (to, before) in both.into_iter().zip(&before) {
        ensure!(pods(to)? == *before, "without an agent");
    }
    bed.agent = Some(bed.world.agent("east-1")?);
    bed.agent()?.wait_ready()?;
    for (to, before) in both.into_iter().zip(&before) {
        ensure!(pods(to)? == *before, "with the next agent");
    }
    let spread = held.ping();
    ensure!(spread.answered() == 10, "{spread}");
    ensure!(what_a_fresh_plan_would_change(&bed)? == Sent::default());
    Ok(())
}

pub fn what_another_program_changed_is_put_right_by_a_restart() -> Result<()> {
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    bed.agent.take().context("an agent")?.terminate()?;
    bed.node()?.netns().enter(|| -> Result<()> {
        let mut ipvs = Client::connect()?;
        let mut commands = Vec::new();
        for entry in ipvs.services()? {
            let mut service = entry.service;
            service.flags |= ServiceFlags::PERSISTENT;
            service.timeout_seconds = 600;
            commands.push(Command::SetService(service));
            for real in ipvs.destinations(&service.key)? {
                let changed = Destination {
                    forwarding: Forwarding::DirectRoute,
                    upper_threshold: 1,
                    ..real.destination
                };
                commands.push(Command::SetDestination(service.key, changed));
            }
        }
        Ok(ipvs.submit(&commands)?)
    })??;

    bed.agent = Some(bed.world.agent("east-1")?);
    bed.agent()?.wait_ready()?;
    bed.node()?.netns().enter(|| -> Result<()> {
        let mut ipvs = Client::connect()?;
        for entry in ipvs.services()? {
            let service = entry.service;
            ensure!(service.flags == ServiceFlags::empty(), "{service:?}");
            for real in ipvs.destinations(&service.key)? {
                let real = real.destination;
                let right = real.forwarding == Forwarding::Masquerade && real.upper_threshold == 0;
                ensure!(right, "{real:?}");
            }
        }
        Ok(())
    })?
}

pub fn while_the_api_server_is_gone_the_last_state_serves() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods[..1])?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &[&bed.pods[0]])?;
    let api = bed.cluster()?.api();
    api.stop()?;
    let spread = bed.client.spread(web.v4(80), Protocol::Tcp, 20, 5)?;
    ensure!(spread.answered() == 20, "without an API server: {spread}");
    bed.cluster()?.set_endpoints(&web, &bed.pods[2..])?;
    api.resume()?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &[&bed.pods[2]])
}
