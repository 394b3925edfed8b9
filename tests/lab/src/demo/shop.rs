//! The service of the story, and what happens to it.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::traffic::Protocol;
use crate::traffic::load::Tier;
use crate::world::objects::{Port, Service};
use crate::world::{Cluster, ECHO_PORT, Place, Pod, World};

/// Connections that each pod is said to take. There are two pods at each level.
pub(super) const CAPACITY: usize = 10;

/// When the near pods are taken out of the service, killed, and replaced.
const LEAVE: Duration = Duration::from_secs(26);
const KILL: Duration = Duration::from_secs(31);
const REPLACE: Duration = Duration::from_secs(41);

/// How long the agent may take to hear of the service, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// The service `shop`: two pods on the client's node, two elsewhere in its cluster, and two in the
/// other cluster.
pub(super) struct Shop<'a> {
    pub service: Service,
    east: &'a Cluster,
    world: &'a World,
    near: Vec<Pod>,
    rest: Vec<Pod>,
    /// They live as long as the story.
    elsewhere: Vec<Pod>,
}

impl<'a> Shop<'a> {
    pub fn open(world: &'a World) -> Result<Self> {
        let east = world.cluster("east")?;
        let service = east
            .service("shop", [Port::tcp("http", 80).to(ECHO_PORT)])
            .annotation("spillway.io/routing", "spill")
            .annotation("spillway.io/capacity", &CAPACITY.to_string())
            .annotation("spillway.io/global", "true");
        let near = pods(world, "east-1", "shop")?;
        let rest = pods(world, "east-3", "shop")?;
        let elsewhere = pods(world, "west-1", "shop")?;
        east.publish_import(&east.import(&service), "west", &elsewhere)?;
        east.publish(&service, near.iter().chain(&rest))?;
        let shop = Self {
            service,
            east,
            world,
            near,
            rest,
            elsewhere,
        };
        shop.until_open()?;
        Ok(shop)
    }

    /// Waits until the client's node knows of the service.
    fn until_open(&self) -> Result<()> {
        let client = self.world.node("east-1")?;
        let begin = Instant::now();
        let ask = || client.spread(self.service.v4(80), Protocol::Tcp, 1, 1);
        while ask()?.failed() > 0 {
            let waited = begin.elapsed();
            ensure!(waited < PATIENCE, "nobody serves `shop` after {waited:?}");
        }
        Ok(())
    }

    /// The levels, as the picture shows them.
    pub fn tiers(&self) -> [Tier; 3] {
        let replaced = self.near.iter().map(|pod| pod.name.clone());
        let new = ["a", "b"].map(|pod| format!("east-1/new-{pod}"));
        let mut near = Tier::new("near pods", CAPACITY, &[]);
        near.pods = replaced.chain(new).collect();
        // Twice as many names as there are pods at a time.
        near.budget = CAPACITY / 2;
        [
            near,
            Tier::new("cluster", CAPACITY, &self.rest),
            Tier::new("other cluster", CAPACITY, &self.elsewhere),
        ]
    }

    /// Does what is to happen, at its time.
    pub fn play(mut self, told: &Receiver<Duration>) -> Result<()> {
        let mut moments = told.iter();
        let mut wait = |moment| {
            let reached = moments.any(|now| now >= moment);
            ensure!(reached, "the load ended before {moment:?}");
            Ok(())
        };
        wait(LEAVE)?;
        self.east.set_endpoints(&self.service, &self.rest)?;
        wait(KILL)?;
        self.near.drain(..).try_for_each(Pod::kill)?;
        wait(REPLACE)?;
        self.near = pods(self.world, "east-1", "new")?;
        let all = self.near.iter().chain(&self.rest);
        self.east.set_endpoints(&self.service, all)?;
        // Until the load ends.
        moments.for_each(drop);
        Ok(())
    }
}

/// Two pods on a node.
fn pods(world: &World, node: &str, name: &str) -> Result<Vec<Pod>> {
    let node = world.node(node)?;
    let pod = |letter| node.pod(&format!("{name}-{letter}"));
    ["a", "b"].into_iter().map(pod).collect()
}
