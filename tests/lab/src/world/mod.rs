//! The lab's world: clusters of nodes as network namespaces under one kernel, built from a
//! [`Topology`] and torn down when dropped. Tests, demo and benches share it.
//!
//! ```no_run
//! use lab::world::{Place, Topology, World};
//!
//! # fn main() -> anyhow::Result<()> {
//! let world = World::start(&Topology::two_clusters())?;
//! let pod = world.node("west-3")?.pod("echo-1")?;
//! let connection = world.node("east-1")?.connect_tcp(pod.v4())?;
//! assert_eq!(connection.answered_by, "west-3/echo-1");
//! # Ok(())
//! # }
//! ```

mod agent;
mod cluster;
mod http;
mod net;
mod netns;
mod node;
pub mod objects;
mod place;
mod topology;
mod wiring;

use std::net::IpAddr;
use std::process::Output;
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

pub use agent::{Agent, Setup};
pub use cluster::Cluster;
pub use net::{Net, Via};
pub use netns::Netns;
pub use node::{ECHO_PORT, Node, Pod};
pub use place::Place;
pub use topology::{Addresses, ClusterSpec, Link, NodeSpec, Ranges, Reach, Topology};

/// A running world. Dropping it ends everything in it, except for pods and agents, which end with
/// the values that stand for them.
#[derive(Debug)]
pub struct World {
    clusters: Vec<Cluster>,
    outside: Netns,
    /// Runs the servers; last, so that they can end in order.
    _runtime: Arc<Runtime>,
}

impl World {
    /// Builds the network of a topology and starts an API server in every cluster.
    ///
    /// # Errors
    /// If not root, or if the kernel lacks what is needed (veth, bridge).
    pub fn start(topology: &Topology) -> Result<Self> {
        allow_many_sockets()?;
        let runtime = Arc::new(
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("lab")
                .enable_all()
                .build()?,
        );
        let outside = wiring::outside()?;
        let clusters = topology
            .clusters
            .iter()
            .map(|spec| {
                let cluster = Cluster::start(spec, &runtime)?;
                wiring::connect_outside(&outside, spec, cluster.gateway())?;
                Ok(cluster)
            })
            .collect::<Result<Vec<_>>>()
            .context("build the lab's network")?;
        let world = Self {
            clusters,
            outside,
            _runtime: runtime,
        };
        for link in &topology.links {
            let [a, b] = link.ends.each_ref().map(|name| world.cluster(name));
            let [a, b] = [a?, b?].map(|cluster| (cluster.spec(), cluster.gateway()));
            wiring::connect([a, b], link.reach)?;
        }
        Ok(world)
    }

    /// A cluster by name.
    pub fn cluster(&self, name: &str) -> Result<&Cluster> {
        self.clusters
            .iter()
            .find(|cluster| cluster.spec().name == name)
            .with_context(|| format!("the topology has no cluster {name}"))
    }

    /// All clusters.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.clusters
            .iter()
            .flat_map(Cluster::nodes)
            .find(|node| node.spec.name == name)
            .with_context(|| format!("the topology has no node {name}"))
    }

    /// The client host that is no member of any cluster.
    pub fn outside(&self) -> &impl Place {
        &self.outside
    }

    /// Starts the agent on a node, as the project's manifests say.
    pub fn agent(&self, node: &str) -> Result<Agent> {
        self.agent_with(node, &Setup::default())
    }

    /// Starts the agent on a node with a setup of its own.
    pub fn agent_with(&self, node: &str, setup: &Setup) -> Result<Agent> {
        setup.start(self.cluster_of(node)?, self.node(node)?)
    }

    /// Has the agents' own Service name the agents of these nodes, all of one cluster: what its
    /// controllers do when they are ready.
    pub fn publish_agents(&self, nodes: &[&str]) -> Result<()> {
        let first = nodes.first().context("no nodes")?;
        let cluster = self.cluster_of(first)?;
        let nodes = nodes.iter().map(|node| self.node(node));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        Setup::default().publish(cluster, &nodes)
    }

    /// Runs Spillway's binary on a node, as root does by hand.
    pub fn spillway(&self, node: &str, arguments: &[&str]) -> Result<Output> {
        Setup::default().run(self.node(node)?, arguments)
    }

    /// Routes an address (of a load balancer, say) to a node: in its cluster's gateway and, by
    /// way of that, from the outside client. A later announcement replaces an earlier one.
    pub fn announce(&self, address: IpAddr, node: &str) -> Result<()> {
        let cluster = self.cluster_of(node)?;
        let spec = &self.node(node)?.spec;
        wiring::announce(
            address,
            spec,
            cluster.spec(),
            cluster.gateway(),
            &self.outside,
        )
    }

    fn cluster_of(&self, node: &str) -> Result<&Cluster> {
        self.clusters
            .iter()
            .find(|cluster| {
                cluster
                    .nodes()
                    .iter()
                    .any(|member| member.spec.name == node)
            })
            .with_context(|| format!("the topology has no node {node}"))
    }
}

/// Tests hold thousands of connections, both ends of them in this process.
fn allow_many_sockets() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}
