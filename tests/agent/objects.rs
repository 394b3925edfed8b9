//! What the agent makes of objects, and what it leaves alone, with `ip` and `nft` as the judges.

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::Place;
use spillway::kernel::ipvs::{Client, Command, Name, Service, ServiceKey};
use spillway::model::Family;

use crate::bed::{Bed, until, until_served_by};

const MALFORMED: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: no-address, namespace: shop}
spec: {clusterIP: 10.96.0.300, ports: [{name: http, port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: no-port, namespace: shop}
spec: {clusterIP: 10.96.7.7, ports: [{name: http, port: 0, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: from-the-future, namespace: shop}
spec: {clusterIP: 10.96.7.8, colour: blue, ports: [{name: http, port: 80, protocol: QUIC}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: no-such-address, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: ["10.1.1.five"]}]
"#;

pub fn malformed_objects_are_named_and_counted_and_the_rest_works_on() -> Result<()> {
    let bed = Bed::start()?;
    bed.cluster()?.api().apply_yaml(MALFORMED)?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;

    let agent = bed.agent()?;
    for name in [
        "shop/no-address",
        "shop/no-port",
        "shop/from-the-future",
        "shop/no-such-address",
    ] {
        agent.wait_log(name)?;
    }
    until("the problems are counted", || {
        let metrics = agent.metrics()?;
        let count = |kind| {
            metrics.get(&format!(
                "spillway_object_problems_total{{kind=\"{kind}\"}}"
            ))
        };
        Ok(count("Service").is_some_and(|n| *n >= 3.0)
            && count("EndpointSlice").is_some_and(|n| *n >= 1.0))
    })
}

pub fn cleanup_takes_out_what_is_ours_and_nothing_else() -> Result<()> {
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
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

/// What a command says; no argument may hold a blank.
fn tool(command: &str) -> Result<String> {
    let mut words = command.split(' ');
    let program = words.next().context("a program")?;
    let output = std::process::Command::new(program).args(words).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}
