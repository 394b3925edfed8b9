//! Which addresses are a Service's: those of the node that serve node ports, and virtual ones that
//! nothing is allocated at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::objects::{Port, Service};
use lab::world::{Addresses, ECHO_PORT, Place, Topology, World};
use serde_json::json;

use crate::bed::{BALANCER, Bed, NODE_PORT, fails, saying, served_by, until};

/// Another address of the node.
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));
/// Where load balancers ask.
const HEALTH_PORT: u16 = 31_971;

/// Health-check node ports, too. The Node's primary address may change.
pub fn node_ports_are_served_at_the_addresses_that_are_meant() -> Result<()> {
    let bed = Bed::with(&saying("nodePortAddresses: [primary]"))?;
    let pod = &bed.pods[0];
    let node = bed.node()?;
    node.netns()
        .configure(|net| net.address("eth0", [SECOND.into()]))?;
    bed.world.announce(SECOND, "east-1")?;
    let web = bed.web()?.external_local();
    let web = web.spec("healthCheckNodePort", HEALTH_PORT.into());
    bed.cluster()?.publish(&web, [pod])?;
    let (outside, first) = (bed.world.outside(), node.v4(NODE_PORT));
    let second = (SECOND, NODE_PORT).into();
    let is_checked = |ip: IpAddr, wanted: bool| {
        until("the health-check node port is open, or is not", || {
            let to = (ip, HEALTH_PORT).into();
            let patience = Duration::from_secs(2);
            let open = outside
                .netns()
                .enter(|| TcpStream::connect_timeout(&to, patience).is_ok());
            Ok(open? == wanted)
        })
        .with_context(|| format!("{ip} is not {wanted}"))
    };
    served_by(outside, first, &[pod])?;
    served_by(outside, node.v6(NODE_PORT), &[pod])?;
    fails(outside, second, &Failure::Refused)?;
    fails(&bed.client, second, &Failure::Refused)?;
    is_checked(first.ip(), true)?;
    is_checked(SECOND, false)?;

    let api = bed.cluster()?.api();
    let mut object = api.get("nodes", "", "east-1").context("a Node")?;
    object["status"]["addresses"] = json!([{"type": "InternalIP", "address": SECOND}]);
    api.apply(object)?;
    served_by(outside, second, &[pod])?;
    fails(outside, first, &Failure::Refused)?;
    is_checked(SECOND, true)?;
    is_checked(first.ip(), false)
}

/// What is for an address of the `ServiceCIDRs` that no Service has goes nowhere; other ports of one
/// that a Service has are refused, as ever.
pub fn what_is_for_an_address_that_no_service_has_is_dropped() -> Result<()> {
    let bed = Bed::start()?;
    let pod = &bed.pods[1];
    let web = bed
        .cluster()?
        .service("web", [Port::tcp("http", 80).to(ECHO_PORT)]);
    let web = web.dual_stack();
    bed.cluster()?.publish(&web, [pod])?;
    let nobodys = bed.cluster()?.spec().services.host(200).both();
    for ip in nobodys {
        // Without a ServiceCIDR they go by the default route, where a router knows no way.
        let answer = bed
            .client
            .connect((ip, 80).into(), Protocol::Tcp, Duration::from_secs(3));
        ensure!(
            answer.err().is_some_and(|it| it != Failure::TimedOut),
            "{ip}"
        );
    }
    let networks = bed.cluster()?.spec().services.both();
    bed.cluster()?.api().apply(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": networks},
    }))?;
    for ip in nobodys {
        fails(&bed.client, (ip, 80).into(), &Failure::TimedOut)?;
        fails(bed.node()?, (ip, 80).into(), &Failure::TimedOut)?;
    }
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, &[pod])?;
        served_by(bed.node()?, to, &[pod])?;
        fails(&bed.client, (to.ip(), 81).into(), &Failure::Refused)?;
    }
    bed.cluster()?
        .api()
        .delete("servicecidrs", "", "kubernetes")?;
    for ip in nobodys {
        fails(&bed.client, (ip, 80).into(), &Failure::Unreachable)?;
    }
    Ok(())
}

/// e2e: services from a second `ServiceCIDR`. Its other addresses go nowhere, as those of the first.
pub fn services_of_a_second_service_cidr_are_served() -> Result<()> {
    const SECOND: Addresses = Addresses {
        v4: Ipv4Addr::new(10, 250, 0, 10),
        v6: Ipv6Addr::new(0xfd00, 0x250, 0, 0, 0, 0, 0, 0x10),
    };
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let cidr = |name: &str, networks: [String; 2]| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": name},
            "spec": {"cidrs": networks},
        })
    };
    let first = cluster.spec().services.both().map(|it| it.to_string());
    let second = ["10.250.0.0/24", "fd00:250::/112"].map(str::to_owned);
    let (one, other) = (&bed.pods[0], &bed.pods[1]);
    let port = || Port::tcp("http", 80).to(ECHO_PORT);
    let web = cluster.service("web", [port()]).dual_stack();
    let more = Service::new("more", SECOND, [port()]).dual_stack();
    cluster.publish(&web, [one])?;
    cluster.publish(&more, [other])?;
    cluster
        .api()
        .apply_all([cidr("kubernetes", first), cidr("second", second)])?;
    let nobodys: [IpAddr; 2] = [
        Ipv4Addr::new(10, 250, 0, 11).into(),
        Ipv6Addr::new(0xfd00, 0x250, 0, 0, 0, 0, 0, 0x11).into(),
    ];
    for ip in nobodys {
        fails(&bed.client, (ip, 80).into(), &Failure::TimedOut)?;
    }
    for (service, pod) in [(&web, one), (&more, other)] {
        for to in [service.v4(80), service.v6(80)] {
            served_by(&bed.client, to, &[pod])?;
            served_by(bed.node()?, to, &[pod])?;
        }
    }
    Ok(())
}

/// Row 46: a virtual address is no host that could be up, so whoever pings it is refused, as by
/// kube-proxy. The node's own addresses answer.
pub fn who_pings_a_virtual_address_is_refused() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web()?;
    bed.cluster()?.publish(&web, &bed.pods)?;
    let (client, node, outside) = (&bed.client, bed.node()?, bed.world.outside());
    let pods: Vec<_> = bed.pods.iter().collect();
    for to in [web.v4(80), web.v6(80)] {
        served_by(client, to, &pods)?;
    }
    let refused = Err(Failure::Refused);
    for ip in [web.v4(80).ip(), web.v6(80).ip()] {
        ensure!(client.ping(ip) == refused, "{ip} from a pod");
        ensure!(node.ping(ip) == refused, "{ip} from the node");
    }
    for ip in BALANCER {
        ensure!(outside.ping(ip) == refused, "{ip} from outside");
    }
    for ip in [node.v4(0).ip(), node.v6(0).ip()] {
        for client in [client.netns(), node.netns(), outside.netns()] {
            let answer = client.ping(ip);
            answer.with_context(|| format!("{ip} does not answer"))?;
        }
    }
    Ok(())
}

/// What a firewall drops before IPVS sees it, or of what pods answer, nobody can serve: so the agent
/// says which chains do, and the rules of `docs/migrate.md` let node ports through.
pub fn a_firewall_that_drops_by_default_is_named() -> Result<()> {
    let world = World::start(&Topology::one_cluster(3))?;
    let node = world.node("east-1")?;
    let nft = |line: &str| -> Result<()> {
        let ran = node
            .netns()
            .enter(|| Command::new("nft").arg(line).output())??;
        ensure!(ran.status.success(), "{line}: {ran:?}");
        Ok(())
    };
    nft("add table inet filter")?;
    nft("add chain inet filter late { type filter hook input priority 120; policy drop; }")?;
    nft("add rule inet filter late accept")?;
    nft("add chain inet filter input { type filter hook input priority 0; policy drop; }")?;
    nft("add rule inet filter input ct state established,related accept")?;
    nft("add rule inet filter input iif lo accept")?;
    nft("add rule inet filter input meta l4proto ipv6-icmp accept")?;
    let pod = node.pod("echo")?;
    let agent = world.agent("east-1")?;
    agent.wait_ready()?;
    // Another chain comes later.
    nft("add chain inet filter forward { type filter hook forward priority 0; policy drop; }")?;
    for hook in ["input", "forward"] {
        agent.wait_log(&format!(
            "chain {hook} of table inet filter drops by default"
        ))?;
        let name = format!("spillway_closed_chains{{hook=\"{hook}\"}}");
        let metrics = agent.metrics()?;
        ensure!(metrics.get(&name) == Some(&1.0), "{name}: {metrics:?}");
    }
    let cluster = world.cluster("east")?;
    until("there is an Event of the Node", || {
        let events = cluster.api().list("events.events.k8s.io");
        let reason = |event: &serde_json::Value| event["reason"] == "FirewallDropsByDefault";
        Ok(events
            .iter()
            .any(|event| reason(event) && event["regarding"]["name"] == "east-1"))
    })?;
    let port = Port::tcp("http", 80).to(ECHO_PORT).node_port(NODE_PORT);
    let web = cluster.service("web", [port]).dual_stack();
    let web = web.spec("type", "NodePort".into());
    cluster.publish(&web, [&pod])?;
    let outside = world.outside();
    fails(outside, node.v4(NODE_PORT), &Failure::TimedOut)?;
    nft("add rule inet filter input tcp dport 30000-32767 accept")?;
    fails(outside, node.v4(NODE_PORT), &Failure::TimedOut)?;
    nft("add rule inet filter forward ct state established,related accept")?;
    served_by(outside, node.v4(NODE_PORT), &[&pod])?;
    served_by(outside, node.v6(NODE_PORT), &[&pod])
}
