//! A client on one node, and pods at every distance from it, in two clusters.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Held, Protocol};
use lab::world::objects::{Families, Port, Service};
use lab::world::{Agent, Cluster, ECHO_PORT, Node, Place, Pod, Setup, Topology, World};
use spillway::kernel::ipvs::{Client, DestinationEntry, ServiceEntry};

pub const ROUTING: &str = "spillway.io/routing";
pub const CAPACITY: &str = "spillway.io/capacity";
pub const REMOTE: &str = "spillway.io/remote";
pub const GLOBAL: &str = "spillway.io/global";

/// What a pod takes if a test does not say otherwise, and with it half of a level of four.
pub const BUDGET: usize = 25;

/// A pod may have a fifth more than its budget: the room for connections that open and close
/// between two looks of the agent.
pub const fn at_most(budget: usize) -> usize {
    budget * 6 / 5
}

/// How long a change may take to show, under emulation; a slow start takes 30 s.
const PATIENCE: Duration = Duration::from_secs(50);

/// Clients at a time: few, as the emulated processor serves one at a time anyway.
const CONCURRENCY: usize = 5;

/// The protocols and address families that levels have to work for.
pub const WAYS: [Way; 4] = [
    Way(Protocol::Tcp, Families::V4),
    Way(Protocol::Tcp, Families::V6),
    Way(Protocol::Udp, Families::V4),
    Way(Protocol::Udp, Families::V6),
];

/// The way that most tests take: what they are about does not depend on it.
pub const TCP: Way = WAYS[0];

/// A protocol over an address family.
#[derive(Clone, Copy, Debug)]
pub struct Way(pub Protocol, Families);

impl Way {
    /// Where a client asks for a Service.
    pub fn to(self, service: &Service) -> SocketAddr {
        match self.1 {
            Families::V6 => service.v6(80),
            Families::V4 | Families::Both => service.v4(80),
        }
    }

    /// Where it reaches a pod.
    pub fn at(self, pod: &Pod) -> IpAddr {
        match self.1 {
            Families::V6 => pod.addresses.v6.into(),
            Families::V4 | Families::Both => pod.addresses.v4.into(),
        }
    }
}

/// How many pods there are at which distance from the client on `east-1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pods {
    pub node: usize,
    pub zone: usize,
    pub cluster: usize,
    pub remote: usize,
}

/// The pods, the client, and the agent of the client's node once it runs.
pub struct Bed {
    /// On the client's node, `east-1`.
    pub node: Vec<Pod>,
    /// On `east-2`, in the same zone.
    pub zone: Vec<Pod>,
    /// On `east-3`, in another zone.
    pub cluster: Vec<Pod>,
    /// On `west-1`, in another cluster.
    pub remote: Vec<Pod>,
    pub client: Pod,
    pub agent: Option<Agent>,
    pub world: World,
}

impl Bed {
    /// The clusters with their pods; no agent yet, so that a test's Services are there before it
    /// and none of their endpoints counts as new.
    pub fn new(pods: Pods) -> Result<Self> {
        let world = World::start(&Topology::two_clusters())?;
        let start = |node: &str, count: usize| -> Result<Vec<Pod>> {
            let node = world.node(node)?;
            (1..=count).map(|n| node.pod(&format!("web-{n}"))).collect()
        };
        Ok(Self {
            node: start("east-1", pods.node)?,
            zone: start("east-2", pods.zone)?,
            cluster: start("east-3", pods.cluster)?,
            remote: start("west-1", pods.remote)?,
            client: world.node("east-1")?.pod("client")?,
            agent: None,
            world,
        })
    }

    /// Starts the agent of the client's node and waits until it has programmed what there is.
    pub fn start_agent(&mut self) -> Result<()> {
        self.start_agent_with(&Setup::default())
    }

    /// The same with a setup of its own.
    pub fn start_agent_with(&mut self, setup: &Setup) -> Result<()> {
        let agent = self.world.agent_with("east-1", setup)?;
        self.agent.insert(agent).wait_ready()
    }

    /// Starts the agent and waits until no endpoint is new any more: to an agent that finds
    /// nothing in the kernel, all are, and for half a minute they get a part of their budget only.
    pub fn start_agent_and_warm_up(&mut self, budget: usize) -> Result<()> {
        self.start_agent()?;
        let budget = u32::try_from(budget)?;
        self.until_programmed("every endpoint has its whole budget", |destinations| {
            let mut thresholds = destinations.iter().map(|it| it.destination.upper_threshold);
            thresholds.all(|threshold| threshold == 0 || threshold >= budget)
        })
    }

    pub fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("the agent is not running")
    }

    pub fn east(&self) -> Result<&Cluster> {
        self.world.cluster("east")
    }

    pub fn east_1(&self) -> Result<&Node> {
        self.world.node("east-1")
    }

    /// The pods of this cluster, nearest first.
    pub fn own(&self) -> impl Iterator<Item = &Pod> {
        self.node.iter().chain(&self.zone).chain(&self.cluster)
    }

    /// A Service that spills at a capacity; it is not published yet.
    pub fn spilling(&self, name: &str, way: Way, capacity: usize) -> Result<Service> {
        let service = self.plain(name, way)?.annotation(ROUTING, "spill");
        Ok(service.annotation(CAPACITY, &capacity.to_string()))
    }

    /// A Service without annotations; it is not published yet.
    pub fn plain(&self, name: &str, Way(protocol, families): Way) -> Result<Service> {
        let port = match protocol {
            Protocol::Udp => Port::udp("echo", 80),
            Protocol::Tcp | Protocol::Sctp => Port::tcp("echo", 80),
        };
        let service = self.east()?.service(name, [port.to(ECHO_PORT)]);
        Ok(service.families(families))
    }

    /// One spilling Service for each way, over all pods of this cluster, published.
    pub fn one_each_way(&self, capacity: usize) -> Result<Vec<(Way, Service)>> {
        let publish = |(index, way): (usize, Way)| {
            let service = self.spilling(&format!("web-{index}"), way, capacity)?;
            self.east()?.publish(&service, self.own())?;
            Ok((way, service))
        };
        WAYS.into_iter().enumerate().map(publish).collect()
    }

    /// Opens connections from the client, keeps them, and insists that none fails.
    pub fn hold(&self, way: Way, service: &Service, count: usize) -> Result<Held> {
        self.hold_at(way.to(service), way, count)
    }

    /// As [`Bed::hold`], with an address.
    pub fn hold_at(&self, to: SocketAddr, way: Way, count: usize) -> Result<Held> {
        let held = self.client.hold_over(to, way.0, count, CONCURRENCY)?;
        ensure!(held.spread.failed() == 0, "{way:?} {to}: {}", held.spread);
        Ok(held)
    }

    /// What the kernel of the client's node has been told.
    pub fn programmed(&self) -> Result<Vec<(ServiceEntry, Vec<DestinationEntry>)>> {
        self.programmed_on("east-1")
    }

    /// What the kernel of a node has been told.
    pub fn programmed_on(&self, node: &str) -> Result<Vec<(ServiceEntry, Vec<DestinationEntry>)>> {
        self.world.node(node)?.netns().enter(|| -> Result<_> {
            let mut client = Client::connect()?;
            let services = client.services()?;
            services
                .into_iter()
                .map(|entry| {
                    let destinations = client.destinations(&entry.service.key)?;
                    Ok((entry, destinations))
                })
                .collect()
        })?
    }

    /// Waits until what the kernel has been told is as wanted.
    pub fn until_programmed(
        &self,
        what: &str,
        mut wanted: impl FnMut(&[DestinationEntry]) -> bool,
    ) -> Result<()> {
        let mut last = Vec::new();
        let arrived = until(what, || {
            let programmed = self.programmed()?.into_iter();
            last = programmed
                .flat_map(|(_, destinations)| destinations)
                .collect();
            Ok(wanted(&last))
        });
        arrived.with_context(|| format!("the kernel was last told {last:#?}"))
    }

    /// How many connections the pods of each level have, nearest first.
    pub fn per_level(&self, held: &Held) -> [usize; 4] {
        let now = held.now();
        [&self.node, &self.zone, &self.cluster, &self.remote].map(|pods| now.of_all(pods))
    }
}

/// [`lab::until`], for as long as anything may take here.
pub fn until(what: &str, so: impl FnMut() -> Result<bool>) -> Result<()> {
    lab::until(what, PATIENCE, so)
}

/// Whether a destination may get new connections.
pub fn takes(destinations: &[DestinationEntry], ip: IpAddr) -> bool {
    let mut mine = destinations.iter().filter(|it| it.destination.ip == ip);
    mine.any(|it| it.destination.weight > 0)
}

/// That every one of these pods has a number of connections within bounds.
pub fn each_has(held: &Held, pods: &[Pod], bounds: std::ops::RangeInclusive<usize>) -> Result<()> {
    let now = held.now();
    for pod in pods {
        let has = now.of(&pod.name);
        ensure!(
            bounds.contains(&has),
            "{} has {has} instead of {bounds:?}: {now}",
            pod.name
        );
    }
    Ok(())
}
