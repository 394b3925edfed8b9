//! What the demo plays on.

use anyhow::{Result, ensure};

use super::Clock;
use crate::traffic::{Protocol, Spread};
use crate::world::objects::{Port, Service};
use crate::world::{Agent, Cluster, ECHO_PORT, Node, Place, Pod, Topology, World};

/// Sets up two clusters with an agent on every node, and the service `web` in each.
pub(super) fn on_stage<T>(
    clock: &Clock,
    play: impl FnOnce(&World, Vec<Stage>) -> Result<T>,
) -> Result<T> {
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
    play(&world, stages)
}

/// One cluster with its service.
pub(super) struct Stage<'a> {
    pub cluster: &'a Cluster,
    pub web: Service,
    pub pods: Vec<Pod>,
    pub clients: Vec<Pod>,
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
    pub fn until_settled(&self) -> Result<()> {
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

    pub fn ask(&self, client: &Pod, count: usize) -> Result<Spread> {
        Ok(client.spread(self.web.v4(80), Protocol::Tcp, count, 20)?)
    }

    fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == name)
    }
}
