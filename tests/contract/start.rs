//! The start of an agent: what it makes of its node, and what it tells of itself.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Result, ensure};
use apiserver::{Action, Fault, Match};
use lab::world::{Cluster, Place, Topology, World};
use spillway::kernel::ipvs::Client;

use crate::bed::{Bed, saying, until};

const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
const HEALTHZ_PORT: u16 = 10256;
/// How long a start may take, where it is the first in the machine.
const START: Duration = Duration::from_secs(75);

/// kube-proxy's own Event; e2e: "should check kube-proxy urls", "should set TCP `CLOSE_WAIT`
/// timeout".
pub fn its_node_shows_that_there_is_a_proxy() -> Result<()> {
    let bed = Bed::start()?;
    let node = bed.node()?;
    let mode = node.http_get(METRICS, "/proxyMode")?;
    ensure!(mode == (200, "ipvs".to_owned()), "{mode:?}");
    let local = (Ipv4Addr::LOCALHOST, HEALTHZ_PORT).into();
    for at in [local, node.v4(HEALTHZ_PORT), node.v6(HEALTHZ_PORT)] {
        let (code, body) = node.http_get(at, "/healthz")?;
        let is_well = code == 200 && body.contains("\"lastUpdated\":");
        ensure!(is_well, "{at}: {code} {body}");
    }
    let close_wait = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";
    let seconds = node.netns().enter(|| fs::read_to_string(close_wait))??;
    // The kernel's own is a minute.
    ensure!(seconds.trim() == "3600", "{seconds}");
    has_event(bed.cluster()?, "Starting", "Normal")
}

/// Row 113: kube-proxy answers 200 before it has programmed anything.
pub fn load_balancers_are_told_to_wait_for_the_first_sync() -> Result<()> {
    let world = World::start(&Topology::one_cluster(1))?;
    let api = world.cluster("east")?.api();
    // However it asks for them.
    let matching = Match {
        resource: Some("endpointslices".to_owned()),
        ..Match::default()
    };
    api.misbehave(Fault {
        matching,
        action: Action::refuse(503),
        times: None,
    });
    let agent = world.agent("east-1")?;
    lab::until("the agent knows its Node, and no slices", START, || {
        let refused = api
            .requests()
            .iter()
            .any(|request| request.status == Some(503));
        let answer = agent.healthz("/healthz");
        let knows = answer.is_ok_and(|(_, body)| body.contains("\"nodeEligible\":true"));
        Ok(refused && knows)
    })?;
    for (path, wanted) in [("/healthz", 503), ("/livez", 200)] {
        let (code, body) = agent.healthz(path)?;
        ensure!(code == wanted, "{path}: {code} {body}");
    }
    api.behave();
    agent.wait_ready()
}

/// Row 118: `bindAddressHardFail`.
pub fn an_agent_that_ends_for_want_of_its_address_says_so() -> Result<()> {
    let world = World::start(&Topology::one_cluster(1))?;
    let _taken = world
        .node("east-1")?
        .netns()
        .enter(|| TcpListener::bind(METRICS))??;
    let agent = world.agent_with("east-1", &saying("bindAddressHardFail: true"))?;
    lab::until("the agent says why it ends", START, || {
        let log = agent.log();
        Ok(log.iter().any(|line| line.contains("cannot listen on")))
    })?;
    let status = agent.terminate()?;
    ensure!(status.code() == Some(1), "{status}");
    has_event(
        world.cluster("east")?,
        "FailedToStartMetricServer",
        "Warning",
    )
}

/// Row 123: what needs more rights than the agent is done once, before it.
pub fn init_only_sets_the_node_up_and_ends() -> Result<()> {
    let world = World::start(&Topology::one_cluster(1))?;
    let netns = world.node("east-1")?.netns();
    let conntrack = || -> Result<String> {
        Ok(netns.enter(|| fs::read_to_string("/proc/sys/net/ipv4/vs/conntrack"))??)
    };
    let timeouts = || -> Result<_> { Ok(netns.enter(|| Client::connect()?.timeouts())??) };
    ensure!(conntrack()?.trim() == "0", "as the kernel has it");
    let arguments = ["agent", "--init-only", "--ipvs-udp-timeout", "77s"];
    let output = world.spillway("east-1", &arguments)?;
    ensure!(output.status.success(), "{output:?}");
    ensure!(conntrack()?.trim() == "1", "{output:?}");
    ensure!(timeouts()?.udp == 77, "{output:?}");
    let left = netns.enter(|| Client::connect()?.services())??;
    ensure!(left.is_empty(), "it serves nothing: {left:?}");
    Ok(())
}

/// Waits for an Event of the Node, in kube-proxy's words.
fn has_event(cluster: &Cluster, reason: &str, kind: &str) -> Result<()> {
    until(&format!("there is an Event {reason}"), || {
        let events = cluster.api().list("events.events.k8s.io");
        Ok(events.iter().any(|event| {
            event["reason"] == reason
                && event["type"] == kind
                && event["action"] == "StartKubeProxy"
                && event["regarding"]["kind"] == "Node"
                && event["regarding"]["name"] == "east-1"
        }))
    })
}
