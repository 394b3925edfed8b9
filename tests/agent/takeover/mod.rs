//! From kube-proxy to Spillway and back, on a node whose kernel is as kube-proxy left it.

mod kube_proxy;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Failure, Held, Protocol};
use lab::world::objects::{Port, Service};
use lab::world::{Agent, ECHO_PORT, Node, Place, Pod, Topology, World};

use crate::bed::{tool, until, until_served_by};
use kube_proxy::{Frontend, left, rules};

const NODE_PORT: u16 = 30_080;
/// A port that kube-proxy has never heard of.
const MORE: u16 = 81;
const HELD: usize = 10;
/// What no cleanup may touch.
const OTHERS: [&str; 6] = [
    "iptables-save KUBE-FIREWALL",
    "iptables-save MINE",
    "ip6tables-save KUBE-FIREWALL",
    "ip6tables-save MINE",
    "set mine-4",
    "set mine-6",
];

/// A Service at two pods, near and far, and clients.
struct Bed {
    near: Pod,
    far: Pod,
    client: Pod,
    web: Service,
    /// One that is deleted before kube-proxy is.
    gone: Service,
    world: World,
}

impl Bed {
    fn start() -> Result<Self> {
        let world = World::start(&Topology::one_cluster(2))?;
        let near = world.node("east-1")?.pod("echo")?;
        let far = world.node("east-2")?.pod("echo")?;
        let client = world.node("east-1")?.pod("client")?;
        let cluster = world.cluster("east")?;
        let port = Port::tcp("tcp", 80).to(ECHO_PORT).node_port(NODE_PORT);
        let web = cluster.service("web", [port]).dual_stack();
        cluster.publish(&web, [&near, &far])?;
        let gone = cluster.service("gone", [Port::tcp("tcp", 80)]);
        Ok(Self {
            near,
            far,
            client,
            web,
            gone,
            world,
        })
    }

    fn node(&self) -> Result<&Node> {
        self.world.node("east-1")
    }

    fn agent(&self) -> Result<Agent> {
        let agent = self.world.agent("east-1")?;
        agent.wait_ready()?;
        Ok(agent)
    }

    /// Has the kernel as kube-proxy leaves it.
    fn kube_proxy(&self) -> Result<()> {
        let node = self.node()?;
        let pods = self.world.cluster("east")?.spec().pods;
        let v4 = Frontend {
            at: self.web.v4(80),
            node_port: node.v4(NODE_PORT),
            pods: vec![self.near.v4(), self.far.v4()],
            gone: self.gone.v4(80),
            cidr: pods.v4.to_string(),
        };
        let v6 = Frontend {
            at: self.web.v6(80),
            node_port: node.v6(NODE_PORT),
            pods: vec![self.near.v6(), self.far.v6()],
            gone: self.gone.v6(80),
            cidr: pods.v6.to_string(),
        };
        for frontend in [v4, v6] {
            node.netns().enter(|| frontend.write())??;
        }
        Ok(())
    }

    /// Connections from a pod and from outside, over both families.
    fn hold(&self) -> Result<Vec<Held>> {
        let node = self.node()?;
        let mut all = Vec::new();
        for to in [self.web.v4(80), self.web.v6(80)] {
            all.push(self.client.hold(to, HELD, 5)?);
        }
        for to in [node.v4(NODE_PORT), node.v6(NODE_PORT)] {
            all.push(self.world.outside().hold(to, HELD, 5)?);
        }
        all_answer(&mut all)?;
        Ok(all)
    }

    fn is_served(&self) -> Result<()> {
        self.is_served_by(&[&self.near, &self.far])
    }

    fn is_served_by(&self, pods: &[&Pod]) -> Result<()> {
        let node = self.node()?;
        for to in [self.web.v4(80), self.web.v6(80)] {
            until_served_by(&self.client, to, Protocol::Tcp, pods)?;
        }
        for to in [node.v4(NODE_PORT), node.v6(NODE_PORT)] {
            until_served_by(self.world.outside(), to, Protocol::Tcp, pods)?;
        }
        Ok(())
    }

    /// Gives the Service one port more and takes the near pod out.
    fn change(&self) -> Result<()> {
        let ports = [
            Port::tcp("tcp", 80).to(ECHO_PORT).node_port(NODE_PORT),
            Port::tcp("more", MORE).to(ECHO_PORT),
        ];
        let web = self.web.clone().with_ports(ports);
        self.world.cluster("east")?.publish(&web, [&self.far])
    }

    /// Runs a cleanup until its rules are gone, looks whether all connections are still there, lets
    /// them end, and has the cleanup's end.
    fn clean_up(
        &self,
        arguments: &[&str],
        mut held: Vec<Held>,
        gone: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let output = std::thread::scope(|scope| -> Result<_> {
            let cleanup = scope.spawn(|| self.world.spillway("east-1", arguments));
            until("the rules are gone", gone)?;
            all_answer(&mut held)?;
            drop(held);
            cleanup.join().ok().context("the command has panicked")?
        })?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    }

    /// The servers by which Spillway serves.
    fn marked(&self) -> Result<usize> {
        let node = self.node()?;
        let text = node.netns().enter(|| tool("ipvsadm -L -n"))??;
        Ok(text.lines().filter(|line| line.starts_with("FWM")).count())
    }
}

fn all_answer(held: &mut [Held]) -> Result<()> {
    for held in held {
        let spread = held.ping();
        ensure!(spread.answered() == HELD, "{spread}");
    }
    Ok(())
}

/// Nor does a change of the Service cut any, while the rules of kube-proxy, which does not hear of it,
/// are still there.
pub fn from_kube_proxy_no_connection_is_cut_and_nothing_of_it_is_left() -> Result<()> {
    let bed = Bed::start()?;
    let node = bed.node()?.netns();
    bed.kube_proxy()?;
    let there = node.enter(left)??;
    ensure!(there.len() > 40, "{there:?}");
    let mut held = bed.hold()?;

    let _agent = bed.agent()?;
    all_answer(&mut held).context("after the agent's start")?;
    bed.change()?;
    // By Spillway, since what kube-proxy left leads to the near pod, too.
    bed.is_served_by(&[&bed.far])?;
    all_answer(&mut held).context("without the near pod")?;
    // They close what they have not heard of on virtual addresses.
    let more = [bed.web.v4(MORE), bed.web.v6(MORE)];
    for to in more {
        let answer = bed.client.connect_tcp(to).err();
        ensure!(answer == Some(Failure::Refused), "{to}: {answer:?}");
    }
    ensure!(
        node.enter(left)?? == there,
        "only the command removes anything"
    );

    let cleanup = ["cleanup", "--only", "kube-proxy", "--patience", "30"];
    bed.clean_up(&cleanup, held, || Ok(node.enter(rules)?? == OTHERS))?;
    let left = node.enter(left)??;
    ensure!(left == OTHERS, "{left:?}");
    for to in more {
        until_served_by(&bed.client, to, Protocol::Tcp, &[&bed.far])?;
    }
    bed.is_served_by(&[&bed.far])
}

pub fn back_to_kube_proxy_no_connection_is_cut_either() -> Result<()> {
    let bed = Bed::start()?;
    let node = bed.node()?.netns();
    let agent = bed.agent()?;
    bed.is_served()?;
    let mut held = bed.hold()?;
    agent.terminate()?;
    bed.kube_proxy()?;
    let there = node.enter(left)??;
    all_answer(&mut held).context("after kube-proxy's start")?;
    bed.is_served()?;

    let has_table = || -> Result<bool> {
        let tables = node.enter(|| tool("nft list tables"))??;
        Ok(tables.contains("inet spillway"))
    };
    ensure!(has_table()? && bed.marked()? > 0, "nothing to clean up");
    let cleanup = ["cleanup", "--only", "spillway", "--patience", "30"];
    bed.clean_up(&cleanup, held, || Ok(!has_table()?))?;
    ensure!(bed.marked()? == 0, "virtual servers of Spillway's are left");
    ensure!(node.enter(left)?? == there, "what is kube-proxy's stays");
    for at in [bed.web.v4(80), bed.web.v6(80)] {
        ensure!(node.enter(|| kube_proxy::has(at.ip()))??, "{at}");
    }
    bed.is_served()
}
