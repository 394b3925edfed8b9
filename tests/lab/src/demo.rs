//! What `cargo lab demo` shows: two clusters of three nodes, an agent on each node, and where the
//! connections of a client on each node go, before and after the near pods are killed.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::traffic::{Protocol, Spread};
use crate::world::objects::{Port, Service};
use crate::world::{Agent, Cluster, ECHO_PORT, Node, NodeSpec, Place, Pod, Topology, World};

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

/// Runs inside of the machine, as root. Fails unless every connection went as planned.
pub fn run() -> Result<()> {
    let clock = Clock(Instant::now());
    on_stage(&clock, |mut stages| {
        clock.say("a pod of the service `web` on every node: each client prefers the near one");
        show(&stages)?;

        clock.say("killing the pods on the first node of each cluster: others get their share");
        for stage in &mut stages {
            let near = stage.pods.remove(0);
            stage.cluster.set_endpoints(&stage.web, &stage.pods)?;
            near.kill()?;
            stage.until_settled()?;
        }
        show(&stages)?;

        clock.say("all connections went as planned");
        Ok(())
    })
}

/// Runs something while the lab of the demo is up, and says how to look at it.
pub fn meanwhile<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    let clock = Clock(Instant::now());
    on_stage(&clock, |stages| {
        for stage in &stages {
            clock.say(&format!(
                "the service `web` of {} is at {}",
                stage.cluster.spec().name,
                stage.web.v4(80)
            ));
        }
        clock.say(
            "`ip netns` lists nodes and pods; `ip netns exec east-1 ipvsadm -Ln` looks at one",
        );
        run()
    })
}

/// Sets up two clusters with an agent on every node, and the service `web` in each.
fn on_stage<T>(clock: &Clock, play: impl FnOnce(Vec<Stage>) -> Result<T>) -> Result<T> {
    clock.say("building two clusters of three nodes, each node a network namespace");
    let world = World::start(&Topology::two_clusters())?;
    let stages: Vec<Stage> = world
        .clusters()
        .iter()
        .map(Stage::start)
        .collect::<Result<_>>()?;
    clock.say("starting an agent on every node, as the manifests in daemonset/ say");
    let agents: Vec<Agent> = stages
        .iter()
        .flat_map(|stage| stage.cluster.nodes())
        .map(|node| world.agent(&node.spec.name))
        .collect::<Result<_>>()?;
    for agent in &agents {
        agent.wait_ready()?;
    }
    play(stages)
}

/// Since when the demo runs.
struct Clock(Instant);

impl Clock {
    fn say(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.0.elapsed().as_secs_f64());
    }
}

/// One cluster with its service.
struct Stage<'a> {
    cluster: &'a Cluster,
    web: Service,
    pods: Vec<Pod>,
    clients: Vec<Pod>,
}

impl<'a> Stage<'a> {
    fn start(cluster: &'a Cluster) -> Result<Self> {
        let pods = |name| {
            cluster
                .nodes()
                .iter()
                .map(|node: &Node| node.pod(name))
                .collect()
        };
        let (pods, clients): (Result<Vec<Pod>>, Result<Vec<Pod>>) = (pods("web"), pods("client"));
        let (pods, clients) = (pods?, clients?);
        let web = cluster
            .service("web", [Port::tcp("http", 80).to(ECHO_PORT)])
            .dual_stack();
        cluster.publish(&web, &pods)?;
        Ok(Self {
            cluster,
            web,
            pods,
            clients,
        })
    }

    /// Waits until all nodes know of the pods that there are.
    fn until_settled(&self) -> Result<()> {
        for client in &self.clients {
            let mut attempts = 0;
            while self
                .ask(client, 50)?
                .answers
                .keys()
                .any(|name| self.pod(name).is_none())
            {
                attempts += 1;
                ensure!(
                    attempts < 100,
                    "{} still asks a pod that is gone",
                    client.name
                );
            }
        }
        Ok(())
    }

    fn ask(&self, client: &Pod, count: usize) -> Result<Spread> {
        Ok(client.spread(self.web.v4(80), Protocol::Tcp, count, 20)?)
    }

    fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == name)
    }

    /// The part of a client's connections that the pods of a level are to get, and got.
    fn shares(&self, client: &Pod, level: Level, spread: &Spread) -> (f64, f64) {
        let weight = |level: Level| {
            WEIGHTS
                .iter()
                .find(|(one, _)| *one == level)
                .map_or(0.0, |(_, weight)| *weight)
        };
        let levels: Vec<Level> = self
            .pods
            .iter()
            .map(|pod| Level::of(&client.node, &pod.node))
            .collect();
        let sum = |part: f64, level: &Level| part + weight(*level);
        let total = levels.iter().fold(0.0, sum);
        let planned = levels.iter().filter(|one| **one == level).fold(0.0, sum);
        let got: usize = self
            .pods
            .iter()
            .zip(&levels)
            .filter(|(_, one)| **one == level)
            .map(|(pod, _)| spread.of(&pod.name))
            .sum();
        (planned / total, fraction(got))
    }
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
                let (planned, got) = stage.shares(client, level, &spread);
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
