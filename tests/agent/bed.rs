//! A cluster of three nodes with a pod on each, and an agent where the traffic comes in.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Protocol, Spread};
use lab::world::objects::{Port, Service};
use lab::world::{Agent, Cluster, ECHO_PORT, Node, Pod, Topology, World};

/// How long a change may take to arrive in the kernel, under emulation.
const PATIENCE: Duration = Duration::from_secs(30);

/// `east-1` and `east-2` share a zone, `east-3` is in another. Each runs the pod `echo`.
pub struct Bed {
    pub pods: Vec<Pod>,
    /// The agent of `east-1`.
    pub agent: Option<Agent>,
    /// A client on `east-1`.
    pub client: Pod,
    pub world: World,
}

impl Bed {
    /// The cluster with an agent that has programmed it.
    pub fn start() -> Result<Self> {
        let world = World::start(&Topology::one_cluster(3))?;
        let pods = ["east-1", "east-2", "east-3"]
            .iter()
            .map(|node| world.node(node)?.pod("echo"))
            .collect::<Result<Vec<Pod>>>()?;
        let client = world.node("east-1")?.pod("client")?;
        let agent = Some(world.agent("east-1")?);
        let bed = Self {
            pods,
            agent,
            client,
            world,
        };
        bed.agent()?.wait_ready()?;
        Ok(bed)
    }

    pub fn cluster(&self) -> Result<&Cluster> {
        self.world.cluster("east")
    }

    pub fn node(&self) -> Result<&Node> {
        self.world.node("east-1")
    }

    pub fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("the agent is not running")
    }

    /// A dual-stack Service `web` over TCP and UDP, with node ports, and these pods behind it.
    pub fn web<'a>(&self, pods: impl IntoIterator<Item = &'a Pod>) -> Result<Service> {
        let ports = [
            Port::tcp("tcp", 80).to(ECHO_PORT).node_port(30080),
            Port::udp("udp", 80).to(ECHO_PORT).node_port(30080),
        ];
        let web = self.cluster()?.service("web", ports).dual_stack();
        self.cluster()?.publish(&web, pods)?;
        Ok(web)
    }
}

/// [`lab::until`], for as long as anything may take here.
pub fn until(what: &str, so: impl FnMut() -> Result<bool>) -> Result<()> {
    lab::until(what, PATIENCE, so)
}

/// Asks with a few connections until they are answered by these pods and no others.
pub fn until_served_by(
    client: &impl lab::world::Place,
    to: std::net::SocketAddr,
    protocol: Protocol,
    pods: &[&Pod],
) -> Result<()> {
    let mut last = Spread::default();
    let served = until("the pods that answer", || {
        last = client.spread(to, protocol, 30, 10)?;
        let only = last
            .answers
            .keys()
            .all(|name| pods.iter().any(|pod| pod.name == *name));
        Ok(only && last.failed() == 0 && last.answered() > 0)
    });
    served.with_context(|| format!("{to}/{protocol} was last answered like this: {last}"))
}

/// What a command says; no argument may hold a blank.
pub fn tool(command: &str) -> Result<String> {
    let mut words = command.split(' ');
    let program = words.next().context("a program")?;
    let output = std::process::Command::new(program).args(words).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}
