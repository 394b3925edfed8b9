//! Where the connections of a client on each node go: in proportion to weights that favour the
//! nearer levels.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::Clock;
use super::stage::Stage;
use crate::traffic::Spread;
use crate::world::{NodeSpec, Pod};

/// Connections of each client.
const CONNECTIONS: usize = 200;
/// How far a share may be from the planned one: a round that the end cuts short.
const TOLERANCE: f64 = 0.03;
/// The weights of Spillway's configuration in `daemonset/`.
const WEIGHTS: [(Level, f64); 3] = [
    (Level::Node, 100.0),
    (Level::Zone, 30.0),
    (Level::Cluster, 10.0),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Node,
    Zone,
    Cluster,
}

impl Level {
    fn of(client: &NodeSpec, pod: &NodeSpec) -> Self {
        if pod.name == client.name {
            Self::Node
        } else if pod.zone == client.zone {
            Self::Zone
        } else {
            Self::Cluster
        }
    }
}

/// Shows the shares with a pod on every node, and with those on the first nodes killed.
pub(super) fn play(clock: &Clock, stages: &mut [Stage]) -> Result<()> {
    clock.say("a pod of the service `web` on every node: each client prefers the near one");
    show(stages)?;

    clock.say("killing the pods on the first node of each cluster: others get their share");
    for stage in &mut *stages {
        let near = stage.pods.remove(0);
        stage.cluster.set_endpoints(&stage.web, &stage.pods)?;
        near.kill()?;
        stage.until_settled()?;
    }
    show(stages)
}

/// The part of a client's connections that the pods of a level are to get, and got.
fn shares(stage: &Stage, client: &Pod, level: Level, spread: &Spread) -> (f64, f64) {
    let weight = |level: Level| {
        WEIGHTS
            .iter()
            .find(|(one, _)| *one == level)
            .map_or(0.0, |(_, weight)| *weight)
    };
    let levels: Vec<Level> = stage
        .pods
        .iter()
        .map(|pod| Level::of(&client.node, &pod.node))
        .collect();
    let sum = |part: f64, level: &Level| part + weight(*level);
    let total = levels.iter().fold(0.0, sum);
    let planned = levels.iter().filter(|one| **one == level).fold(0.0, sum);
    let got: usize = stage
        .pods
        .iter()
        .zip(&levels)
        .filter(|(_, one)| **one == level)
        .map(|(pod, _)| spread.of(&pod.name))
        .sum();
    (planned / total, fraction(got))
}

fn fraction(connections: usize) -> f64 {
    f64::from(u32::try_from(connections).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(CONNECTIONS).unwrap_or(1))
}

/// Lets every client ask, and prints who answered.
fn show(stages: &[Stage]) -> Result<()> {
    let mut table = String::new();
    writeln!(
        table,
        "\n  {CONNECTIONS} connections each, answered by pods (and the plan)\n"
    )?;
    writeln!(
        table,
        "  client    on its node       in its zone       elsewhere         no answer"
    )?;
    let mut astray = Vec::new();
    for stage in stages {
        for client in &stage.clients {
            let spread = stage.ask(client, CONNECTIONS)?;
            write!(table, "  {:9}", client.node.name)?;
            for (level, _) in WEIGHTS {
                let (planned, got) = shares(stage, client, level, &spread);
                write!(
                    table,
                    " {:>5.1} % ({:>5.1} %)",
                    got * 100.0,
                    planned * 100.0
                )?;
                if (planned - got).abs() > TOLERANCE {
                    astray.push(format!("{}: {spread}", client.node.name));
                }
            }
            writeln!(table, " {:>10}", spread.failed())?;
            if spread.failed() > 0 {
                astray.push(format!("{}: {spread}", client.node.name));
            }
        }
    }
    println!("{table}");
    if astray.is_empty() {
        Ok(())
    } else {
        bail!("not as planned:\n{}", astray.join("\n"))
    }
}
