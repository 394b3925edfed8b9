//! What people are told of all this: `spillway routes` and `why`, metrics and Events, against where
//! connections went.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use lab::traffic::Held;
use lab::world::Pod;
use lab::world::objects::Service;
use serde_json::Value;
use spillway::serve::routes::{FamilyRoutes, LevelState, Origination, PortRoutes};

use crate::bed::{BUDGET, Bed, Pods, REMOTE, TCP, until};

const TWO_AND_TWO: Pods = Pods {
    node: 2,
    zone: 0,
    cluster: 2,
    remote: 0,
};

fn start() -> Result<(Bed, Service)> {
    let mut bed = Bed::new(TWO_AND_TWO)?;
    let web = bed.spilling("web", TCP, BUDGET)?;
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;
    Ok((bed, web))
}

pub fn routes_and_why_say_where_connections_go() -> Result<()> {
    let (bed, web) = start()?;
    let mut held = bed.hold(TCP, &web, 30)?;
    // The counts are the kernel's own, now; the states are as the agent saw them half a second ago.
    let calm = until_state(&bed, "node", LevelState::Serving)?;
    agrees(&bed, &calm, &held)?;
    ensure!(calm.takes.as_deref() == Some("node"), "{calm:#?}");
    ensure!(calm.levels[1].state == LevelState::Idle, "{calm:#?}");
    ensure!(calm.routing == "spill" && calm.scheduler == "sed");
    let table = said(&bed, &["routes", "web"])?;
    has_row(&table, "> node", "2 endpoints 50 30 0 100.0 % serving")?;
    has_row(&table, "  cluster", "2 endpoints 50 0 0 0.0 % idle")?;
    // The words are those of the agent's last look, which may have come in the middle of the thirty.
    until_said(&bed, &["why", "default/web"], |why| {
        has_row(why, "A new connection goes to level node:", "")?;
        has_row(why, "  - level node is serving:", "30 of 50 connections")
    })?;

    held.add(bed.hold(TCP, &web, 40)?);
    let full = until_state(&bed, "node", LevelState::Saturated)?;
    agrees(&bed, &full, &held)?;
    ensure!(full.takes.as_deref() == Some("cluster"), "{full:#?}");
    let [near, _, far, _] = bed.per_level(&held);
    ensure!(near >= 2 * BUDGET && far > 0, "{}", held.now());
    let table = said(&bed, &["routes", "web"])?;
    has_row(&table, "  node", &format!("2 endpoints 50 {near} 0"))?;
    has_row(&table, "> cluster", &format!("2 endpoints 50 {far} 0"))?;
    let load = format!("{near} of 50");
    until_said(&bed, &["why", "web"], |why| {
        has_row(why, "A new connection goes to level cluster:", "")?;
        has_row(why, "  - level node is saturated:", &load)?;
        has_row(why, "  node", "saturated 2 50")
    })?;
    // It is true.
    let next = bed.hold(TCP, &web, 1)?;
    ensure!(next.spread.of_all(&bed.cluster) == 1, "{}", next.now());
    Ok(())
}

pub fn why_says_whose_word_it_is() -> Result<()> {
    const FACTOR: &str = "spillway.io/capacity-factor";
    let (bed, web) = start()?;
    let why = said(&bed, &["why", "web"])?;
    has_row(&why, "  routing", "spill says the service")?;
    has_row(&why, "  capacity", "25 says the service")?;
    has_row(&why, "  remote", "fallback says the configuration")?;
    bed.east()?.annotate_node("east-1", REMOTE, Some("never"))?;
    bed.east()?.annotate_node("east-1", FACTOR, Some("0.4"))?;
    bed.east()?
        .annotate(&web, crate::bed::CAPACITY, Some("50"))?;
    until_said(&bed, &["why", "web"], |why| {
        has_row(why, "  remote", "never says this node")?;
        let factor = "0.4 says this node, of the pods on it";
        has_row(why, "  capacity-factor", factor)?;
        has_row(why, "  capacity", "50 says the service")
    })?;
    let now = routes(&bed)?;
    let capacity = |level: usize| now.levels[level].endpoints[0].capacity;
    ensure!(
        capacity(0) == Some(20) && capacity(1) == Some(50),
        "{now:#?}"
    );
    let mut sources = now.sources.iter();
    let from = |part: &str| sources.clone().find(|one| one.part == part);
    ensure!(from("remote").is_some_and(|one| one.from == Origination::Node));
    ensure!(sources.all(|one| !one.value.is_empty()), "{now:#?}");

    // What cannot be answered says what to do.
    let wrong = failed(bed.agent()?.exec(&["why", "wbe"])?)?;
    let wanted = "this node knows no service default/wbe; did you mean default/web?";
    ensure!(wrong.contains(wanted), "{wrong}");
    let nobody = failed(bed.world.spillway("east-2", &["routes"])?)?;
    ensure!(nobody.contains("it is not running"), "{nobody}");
    Ok(())
}

pub fn metrics_count_what_went_where() -> Result<()> {
    let (bed, web) = start()?;
    let held = bed.hold(TCP, &web, 2 * BUDGET + 20)?;
    until_state(&bed, "node", LevelState::Saturated)?;
    let [near, _, far, _] = bed.per_level(&held);
    // The agent tells once a second.
    until("the metrics have caught up", || {
        let active = [
            metric(&bed, "active", "node")?,
            metric(&bed, "active", "cluster")?,
        ];
        Ok(active == [near, far])
    })?;
    for (level, active) in [("node", near), ("cluster", far)] {
        for (name, wanted) in [
            ("endpoints", 2),
            ("budget", 2 * BUDGET),
            ("active", active),
            ("new_connections_total", active),
        ] {
            let found = metric(&bed, name, level)?;
            ensure!(
                found == wanted,
                "{name} of {level} is {found}, not {wanted}"
            );
        }
    }
    // Nothing came to the nearest level past another one, and all of the next did.
    ensure!(metric(&bed, "spilled_connections_total", "node")? == 0);
    ensure!(metric(&bed, "spilled_connections_total", "cluster")? == far);
    ensure!(metric(&bed, "saturated_seconds_total", "cluster")? == 0);
    until("the seconds pass", || {
        Ok(metric(&bed, "saturated_seconds_total", "node")? >= 2)
    })
}

/// The same Event counts up: half a minute later at the earliest, which is how long this takes.
pub fn an_event_tells_of_a_spill_and_of_its_end_and_counts() -> Result<()> {
    let (bed, web) = start()?;
    let mut held = bed.hold(TCP, &web, 2 * BUDGET + 10)?;
    let first = until_event(&bed, "Spilling", |events| !events.is_empty())?;
    let event = first.first().context("an Event")?;
    ensure!(event["regarding"]["name"] == "web", "{event:#}");
    ensure!(event["reportingInstance"] == "east-1", "{event:#}");
    let note = event["note"].as_str().context("a note")?;
    ensure!(note.contains("of 50 connections"), "{note}");
    held.close(usize::MAX);
    until_event(&bed, "SpillEnded", |events| !events.is_empty())?;

    held.add(bed.hold(TCP, &web, 2 * BUDGET + 10)?);
    let spilling = until_event(&bed, "Spilling", |events| {
        let again = events.iter().any(|event| event["series"]["count"] == 2);
        // Where ten minutes are over in between, the next is another Event.
        again || periods(events).len() == 2
    })?;
    ensure!(periods(&spilling).len() == spilling.len(), "{spilling:#?}");
    let lost = bed.agent()?.metrics()?.remove("spillway_events_lost_total");
    ensure!(lost == Some(0.0), "{lost:?}");
    Ok(())
}

/// What a command prints within the agent's container.
fn said(bed: &Bed, arguments: &[&str]) -> Result<String> {
    let output = bed.agent()?.exec(arguments)?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits until what a command prints is as wanted.
fn until_said(bed: &Bed, arguments: &[&str], wanted: impl Fn(&str) -> Result<()>) -> Result<()> {
    let mut lacks = Ok(());
    let so = until("the agent says what it should", || {
        lacks = wanted(&said(bed, arguments)?);
        Ok(lacks.is_ok())
    });
    lacks.and(so)
}

/// What a command says that has failed.
fn failed(output: Output) -> Result<String> {
    ensure!(!output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

/// That a line begins with a text and goes on with these words, however far apart.
fn has_row(text: &str, begin: &str, words: &str) -> Result<()> {
    let found = text.lines().any(|line| {
        let rest = line
            .trim_start_matches(' ')
            .strip_prefix(begin.trim_start());
        rest.is_some_and(|rest| {
            let rest: Vec<&str> = rest.split_whitespace().collect();
            let wanted: Vec<&str> = words.split_whitespace().collect();
            rest.starts_with(&wanted)
        })
    });
    ensure!(found, "no line {begin:?} {words:?} in\n{text}");
    Ok(())
}

fn routes(bed: &Bed) -> Result<FamilyRoutes> {
    let json = said(bed, &["routes", "web", "-o", "json"])?;
    let ports: Vec<PortRoutes> = serde_json::from_str(&json)?;
    let mut families = ports.into_iter().flat_map(|port| port.families);
    families.next().context("no virtual server")
}

fn until_state(bed: &Bed, level: &str, state: LevelState) -> Result<FamilyRoutes> {
    let mut last = None;
    let waited = until("the level is as it should be", || {
        let now = routes(bed)?;
        let mut levels = now.levels.iter();
        let is = levels.any(|one| one.level == level && one.state == state);
        last = Some(now);
        Ok(is)
    });
    waited.with_context(|| format!("{last:#?}"))?;
    last.context("no routes")
}

/// That every endpoint is there with the connections that it has.
fn agrees(bed: &Bed, routes: &FamilyRoutes, held: &Held) -> Result<()> {
    let now = held.now();
    for (name, pods) in [("node", &bed.node), ("cluster", &bed.cluster)] {
        let mut levels = routes.levels.iter();
        let level = levels
            .find(|level| level.level == name)
            .context("no level")?;
        ensure!(
            level.active == Some(now.of_all(pods) as u64),
            "{now}: {level:#?}"
        );
        ensure!(level.budget == Some(2 * BUDGET as u64), "{level:#?}");
        let has = |pod: &Pod| {
            let address = pod.v4().to_string();
            let mut endpoints = level.endpoints.iter();
            let endpoint = endpoints.find(|endpoint| endpoint.address == address);
            endpoint.and_then(|endpoint| endpoint.active) == Some(now.of(&pod.name) as u64)
        };
        ensure!(pods.iter().all(has), "{now}: {level:#?}");
    }
    Ok(())
}

/// A metric of a level, in whole numbers.
fn metric(bed: &Bed, name: &str, level: &str) -> Result<usize> {
    let begin = format!("spillway_level_{name}{{");
    let label = format!("level=\"{level}\"");
    let metrics = bed.agent()?.metrics()?;
    let mut of = metrics.iter();
    let (_, value) = of
        .find(|(key, _)| {
            key.starts_with(&begin) && key.contains(&label) && key.contains("service=\"web\"")
        })
        .with_context(|| format!("no {name} of {level}: {metrics:#?}"))?;
    // Counts of a test, so small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(*value as usize)
}

/// The Events of a reason, once they are as wanted.
fn until_event(
    bed: &Bed,
    reason: &str,
    mut wanted: impl FnMut(&[Value]) -> bool,
) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    until(&format!("Events {reason}"), || {
        events = bed.east()?.api().list("events.events.k8s.io");
        events.retain(|event| event["reason"] == reason);
        Ok(wanted(&events))
    })?;
    Ok(events)
}

/// The ten minutes in which Events were made, each once.
fn periods(events: &[Value]) -> std::collections::BTreeSet<String> {
    let times = events
        .iter()
        .filter_map(|event| event["eventTime"].as_str());
    // 2026-01-02T03:0
    times
        .filter_map(|time| time.get(..15))
        .map(str::to_owned)
        .collect()
}
