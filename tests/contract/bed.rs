//! A cluster of three nodes with a pod on each, an agent where the traffic comes in or on several
//! nodes, and the addresses of a load balancer that sends to the first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::traffic::{Failure, Protocol, Spread};
use lab::world::objects::{Port, Service};
use lab::world::{Agent, Cluster, ECHO_PORT, Node, Place, Pod, Setup, Topology, World};

/// The addresses of the load balancer (documentation ranges, RFC 5737 and RFC 3849).
pub const BALANCER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 1)),
];
/// Addresses that are routed to the node for no other reason than that somebody wanted it.
pub const EXTERNAL: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 250)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x250)),
];
/// A port on every node.
pub const NODE_PORT: u16 = 30080;

/// How long a change may take to arrive in the kernel, under emulation.
const PATIENCE: Duration = Duration::from_secs(40);
/// After how long without an answer a client has been dropped.
const SILENCE: Duration = Duration::from_secs(3);
/// So many connections divide 100 : 30 among two pods without one of them getting none.
const MANY: usize = 40;

/// `east-1` and `east-2` share a zone, `east-3` is in another. Each runs the pod `echo`.
pub struct Bed {
    pub pods: Vec<Pod>,
    /// A client on `east-1`.
    pub client: Pod,
    _agents: Vec<Agent>,
    pub world: World,
}

impl Bed {
    /// With an agent on `east-1`.
    pub fn start() -> Result<Self> {
        Self::build(&Setup::default(), &["east-1"])
    }

    /// With an agent of this setup.
    pub fn with(setup: &Setup) -> Result<Self> {
        Self::build(setup, &["east-1"])
    }

    /// With agents on these nodes.
    pub fn with_agents(nodes: &[&str]) -> Result<Self> {
        Self::build(&Setup::default(), nodes)
    }

    fn build(setup: &Setup, nodes: &[&str]) -> Result<Self> {
        let world = World::start(&Topology::one_cluster(3))?;
        let pods = ["east-1", "east-2", "east-3"]
            .iter()
            .map(|node| world.node(node)?.pod("echo"))
            .collect::<Result<Vec<Pod>>>()?;
        let client = world.node("east-1")?.pod("client")?;
        for address in BALANCER.into_iter().chain(EXTERNAL) {
            world.announce(address, "east-1")?;
        }
        let agents: Vec<Agent> = nodes
            .iter()
            .map(|node| world.agent_with(node, setup))
            .collect::<Result<_>>()?;
        agents.iter().try_for_each(Agent::wait_ready)?;
        Ok(Self {
            pods,
            client,
            _agents: agents,
            world,
        })
    }

    pub fn cluster(&self) -> Result<&Cluster> {
        self.world.cluster("east")
    }

    pub fn node(&self) -> Result<&Node> {
        self.world.node("east-1")
    }

    /// The dual-stack Service `web` with a node port, load balancer's and external addresses; not
    /// published yet.
    pub fn web(&self) -> Result<Service> {
        self.web_at(Port::tcp("http", 80))
    }

    /// The same with a port of any protocol and number.
    pub fn web_at(&self, port: Port) -> Result<Service> {
        let port = port.to(ECHO_PORT).node_port(NODE_PORT);
        let web = self.cluster()?.service("web", [port]).dual_stack();
        let web = BALANCER.into_iter().fold(web, Service::load_balancer);
        Ok(web.spec("externalIPs", serde_json::json!(EXTERNAL)))
    }

    /// Where clients from outside find `web`.
    pub fn ways_in(&self) -> Result<Vec<SocketAddr>> {
        let node = self.node()?;
        let addresses = BALANCER.into_iter().chain(EXTERNAL);
        let mut ways: Vec<SocketAddr> = addresses.map(|ip| (ip, 80).into()).collect();
        ways.extend([node.v4(NODE_PORT), node.v6(NODE_PORT)]);
        Ok(ways)
    }
}

/// [`lab::until`], for as long as anything may take here.
pub fn until(what: &str, so: impl FnMut() -> Result<bool>) -> Result<()> {
    lab::until(what, PATIENCE, so)
}

/// Asks until all of these pods answer, and no others.
pub fn served_by(client: &impl Place, to: SocketAddr, pods: &[&Pod]) -> Result<()> {
    served_over(Protocol::Tcp, client, to, pods)
}

/// As [`served_by`], over any protocol.
pub fn served_over(
    protocol: Protocol,
    client: &impl Place,
    to: SocketAddr,
    pods: &[&Pod],
) -> Result<()> {
    let mut last = Spread::default();
    let served = until("these pods, all of them and no others, answer", || {
        last = client.spread(to, protocol, MANY, 10)?;
        let all = pods.iter().all(|pod| last.of(&pod.name) > 0);
        Ok(all && last.answers.len() == pods.len() && last.failed() == 0)
    });
    served.with_context(|| format!("{to}/{protocol} was last answered like this: {last}"))
}

/// Asks until connections fail like this.
pub fn fails(client: &impl Place, to: SocketAddr, wanted: &Failure) -> Result<()> {
    fails_over(Protocol::Tcp, client, to, wanted)
}

/// As [`fails`], over any protocol.
pub fn fails_over(
    protocol: Protocol,
    client: &impl Place,
    to: SocketAddr,
    wanted: &Failure,
) -> Result<()> {
    let mut last = None;
    let failed = until(&format!("{wanted}"), || {
        last = client.connect(to, protocol, SILENCE).err();
        Ok(last.as_ref() == Some(wanted))
    });
    failed.with_context(|| format!("{to}/{protocol} was last answered like this: {last:?}"))
}

/// Asks until nobody answers, in whichever way.
pub fn unserved(client: &impl Place, to: SocketAddr) -> Result<()> {
    until("nobody answers", || {
        Ok(client.connect(to, Protocol::Tcp, SILENCE).is_err())
    })
}

/// Whom the pod that answers sees.
pub fn seen(client: &impl Place, to: SocketAddr) -> Result<IpAddr> {
    Ok(client.connect_tcp(to)?.seen_client.ip())
}

/// A setup whose configuration file says this, too.
pub fn saying(lines: &str) -> Setup {
    const MODE: &str = "mode: ipvs\n";
    Setup::default().config(MODE, &format!("{MODE}{lines}\n"))
}
