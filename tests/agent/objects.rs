//! What the agent makes of objects, and what it leaves alone, with `ip` and `nft` as the judges.

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::{Agent, Place};
use serde_json::json;
use spillway::kernel::ipvs::{Client, Command, Name, Service, ServiceKey};
use spillway::model::Family;

use crate::bed::{Bed, tool, until, until_served_by};

/// Each has one fault, which its name says.
const BAD: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: malformed, namespace: shop}
spec: [nothing, of, use]
---
apiVersion: v1
kind: Service
metadata: {name: no-address, namespace: shop}
spec: {clusterIP: 10.96.0.300, ports: [{name: http, port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: the-nodes-own-address, namespace: shop}
spec: {clusterIP: 127.0.0.1, ports: [{name: http, port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: port-0, namespace: shop}
spec: {clusterIP: 10.96.7.7, ports: [{name: http, port: 0, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: no-protocol, namespace: shop}
spec: {clusterIP: 10.96.7.8, ports: [{name: http, port: 80, protocol: QUIC}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: no-endpoint-address, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: ["10.1.1.five"]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: endpoint-port-0, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 0, protocol: TCP}]
endpoints: [{addresses: ["10.1.1.5"]}]
"#;

/// What the log says of each, and the kind that it counts for.
const SAID: [(&str, &str); 7] = [
    ("Service", "shop/malformed: spec: "),
    ("Service", "shop/no-address: spec.clusterIP: "),
    (
        "Service",
        "shop/the-nodes-own-address: spec.clusterIPs[0]: ",
    ),
    ("Service", "shop/port-0: spec.ports[0].port: "),
    ("Service", "shop/no-protocol: spec.ports[0].protocol: "),
    (
        "EndpointSlice",
        "shop/no-endpoint-address: endpoints[0].addresses[0]: ",
    ),
    ("EndpointSlice", "shop/endpoint-port-0: ports[0].port: "),
];

pub fn bad_objects_are_named_and_counted_and_the_rest_works_on() -> Result<()> {
    let bed = Bed::start()?;
    bed.cluster()?.api().apply_yaml(BAD)?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;

    let agent = bed.agent()?;
    for (kind, said) in SAID {
        agent.wait_log(&format!("{kind} {said}"))?;
    }
    until("the problems are counted", || {
        Ok(counted(agent, "object_problems")? == ["5", "2"])
    })?;

    // `healthz` is asked over the node's own loopback, which nobody may take from it.
    let (code, body) = agent.healthz("/healthz")?;
    ensure!(code == 200, "healthz says {code}: {body}");
    Ok(())
}

/// A field that the agent does not know is what an API server that is newer than it sends: the
/// object works, the log names the first that has it, and a metric counts them all.
pub fn an_unknown_field_is_named_once_and_counted_and_no_problem() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    let newer = json!({"spec": {"colour": "blue", "shades": [{"dark": true}]}});
    bed.cluster()?
        .api()
        .patch("services", "default", "web", newer)?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    bed.cluster()?.set_endpoints(&web, &bed.pods[1..])?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all[1..])?;

    let agent = bed.agent()?;
    until("both fields are counted", || {
        Ok(counted(agent, "unknown_fields")? == ["2", "0"])
    })?;
    let other = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {"clusterIP": "10.96.7.9", "colour": "red", "ports": [{"port": 80}]}});
    bed.cluster()?.api().apply(other)?;
    until("the field is counted in the other Service, too", || {
        Ok(counted(agent, "unknown_fields")? == ["3", "0"])
    })?;

    let problems = counted(agent, "object_problems")?;
    ensure!(problems == ["0", "0"], "problems: {problems:?}");
    let named = |line: &&String| line.contains("does not know this field");
    let log = agent.log();
    let said: Vec<&String> = log.iter().filter(named).collect();
    ensure!(
        said.len() == 2
            && said[0].contains("Service default/web: spec.colour: ")
            && said[1].contains("Service default/web: spec.shades: "),
        "{said:?}"
    );
    Ok(())
}

/// What one of our metrics counts of Services and of `EndpointSlices`.
fn counted(agent: &Agent, metric: &str) -> Result<[String; 2]> {
    let metrics = agent.metrics()?;
    Ok(["Service", "EndpointSlice"].map(|kind| {
        let name = format!("spillway_{metric}_total{{kind=\"{kind}\"}}");
        metrics.get(&name).map_or("0".to_owned(), f64::to_string)
    }))
}

pub fn cleanup_takes_out_what_is_ours_and_nothing_else() -> Result<()> {
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    for to in [web.v4(80), web.v6(80)] {
        until_served_by(&bed.client, to, Protocol::Tcp, &all)?;
    }
    if let Some(agent) = bed.agent.take() {
        agent.terminate()?;
    }
    let stranger = ServiceKey::Mark {
        family: Family::V4,
        mark: 7,
    };
    let binary = std::env::var("SPILLWAY_BIN").context("SPILLWAY_BIN is not set")?;
    let (output, left, neighbour) = bed.node()?.netns().enter(|| -> Result<_> {
        let mut ipvs = Client::connect()?;
        ipvs.submit(&[Command::NewService(Service::new(stranger, Name::RR))])?;
        let neighbour = Neighbour::moves_in()?;
        let ours = tool("nft list tables")? + &tool("ip link show")?;
        ensure!(
            ours.contains("table inet spillway") && ours.contains("kube-ipvs0"),
            "{ours}"
        );
        let output = std::process::Command::new(binary).arg("cleanup").output()?;
        let found = tool("nft list tables")? + &tool("ip link show")?;
        ensure!(
            !found.contains("spillway") && !found.contains("kube-ipvs0"),
            "left is {found}"
        );
        Ok((output, ipvs.services()?, neighbour.is_as_it_was()?))
    })??;
    ensure!(neighbour, "the neighbour's things are not as they were");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    // Two ports in two families.
    ensure!(said.contains("4 virtual servers"), "{said}");
    let keys: Vec<ServiceKey> = left.iter().map(|entry| entry.service.key).collect();
    ensure!(keys == [stranger], "left are {keys:?}");
    ensure!(
        bed.client.connect_tcp(web.v4(80)).is_err(),
        "the service is still there"
    );
    Ok(())
}

pub fn strangers_in_the_kernel_are_left_alone() -> Result<()> {
    let mut bed = Bed::start()?;
    let strangers = [
        ServiceKey::Address {
            protocol: spillway::model::Protocol::Tcp,
            ip: "192.0.2.1".parse()?,
            port: 80,
        },
        ServiceKey::Mark {
            family: Family::V4,
            mark: 7,
        },
    ];
    let add: Vec<Command> = strangers
        .iter()
        .map(|key| Command::NewService(Service::new(*key, Name::RR)))
        .collect();
    bed.node()?
        .netns()
        .enter(|| -> Result<()> { Ok(Client::connect()?.submit(&add)?) })??;
    let neighbour = bed.node()?.netns().enter(Neighbour::moves_in)??;
    bed.web(&bed.pods)?;
    if let Some(agent) = bed.agent.take() {
        agent.terminate()?;
    }
    bed.cluster()?.api().delete("Service", "default", "web")?;
    bed.agent = Some(bed.world.agent("east-1")?);
    bed.agent()?.wait_ready()?;
    let left: Vec<ServiceKey> = bed.node()?.netns().enter(|| -> Result<_> {
        let entries = Client::connect()?.services()?;
        Ok(entries.iter().map(|entry| entry.service.key).collect())
    })??;
    ensure!(
        left.len() == 2 && strangers.iter().all(|key| left.contains(key)),
        "left are {left:?}"
    );
    ensure!(
        bed.node()?.netns().enter(|| neighbour.is_as_it_was())??,
        "the neighbour's things are not as they were"
    );
    Ok(())
}

/// Another program's nftables table, link and address, as the tools show them.
struct Neighbour(String);

impl Neighbour {
    fn moves_in() -> Result<Self> {
        for command in [
            "nft add table inet neighbour",
            "nft add set inet neighbour services_v4 { type ipv4_addr; }",
            "nft add element inet neighbour services_v4 { 192.0.2.9 }",
            "ip link add neighbour type dummy",
            "ip address add 192.0.2.9/32 dev neighbour",
            "ip address add 2001:db8::9/128 dev neighbour nodad",
        ] {
            tool(command)?;
        }
        Self::shown().map(Self)
    }

    fn shown() -> Result<String> {
        let table = tool("nft list table inet neighbour")?;
        Ok(table + &tool("ip address show dev neighbour")?)
    }

    fn is_as_it_was(&self) -> Result<bool> {
        Ok(Self::shown()? == self.0)
    }
}
