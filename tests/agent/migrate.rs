//! Coming from kube-proxy: what a cluster relied on goes on, and what kube-proxy left goes away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::traffic::Protocol;
use lab::world::objects::Port;
use lab::world::{ECHO_PORT, Place, Topology, World};
use spillway::kernel::ipvs::{Client, Command, Destination, Name, Service, ServiceKey};
use spillway::kernel::link::Link;
use spillway::kernel::sysctl;

use crate::bed::{Bed, until, until_served_by};

/// kube-proxy's way to find a Service: by its address.
fn by_address(at: SocketAddr) -> ServiceKey {
    ServiceKey::Address {
        protocol: spillway::model::Protocol::Tcp,
        ip: at.ip(),
        port: at.port(),
    }
}

/// What kube-proxy's mode ipvs makes of a Service: an address on its link, sysctls, and a virtual
/// server that it finds by address.
fn as_kube_proxy(at: SocketAddr, pods: &[SocketAddr]) -> Result<()> {
    Link::open()?.add(&[at.ip()])?;
    let mut ipvs = Client::connect()?;
    let kernel = sysctl::KernelVersion::running().context("a version")?;
    let settings = sysctl::required(false, kernel);
    if let Err(errors) = sysctl::apply(Path::new("/proc/sys"), &settings) {
        anyhow::bail!("{errors:?}");
    }
    let key = by_address(at);
    let mut commands = vec![Command::NewService(Service::new(key, Name::RR))];
    for pod in pods {
        let real = Destination::new(pod.ip(), pod.port(), 1);
        commands.push(Command::NewDestination(key, real));
    }
    Ok(ipvs.submit(&commands)?)
}

pub fn taking_over_from_kube_proxy_cuts_no_connection() -> Result<()> {
    const HELD: usize = 20;
    const CLEANUP: [&str; 5] = ["cleanup", "--only", "kube-proxy", "--patience", "20"];
    let world = World::start(&Topology::one_cluster(2))?;
    let near = world.node("east-1")?.pod("echo")?;
    let far = world.node("east-2")?.pod("echo")?;
    let client = world.node("east-1")?.pod("client")?;
    let cluster = world.cluster("east")?;
    let web = cluster.service("web", [Port::tcp("tcp", 80).to(ECHO_PORT)]);
    cluster.publish(&web, [&near, &far])?;
    let node = world.node("east-1")?.netns();
    node.enter(|| as_kube_proxy(web.v4(80), &[near.v4(), far.v4()]))??;
    let mut held = client.hold(web.v4(80), HELD, 10)?;
    ensure!(held.ping().answered() == HELD, "kube-proxy's own way");

    let agent = world.agent("east-1")?;
    agent.wait_ready()?;
    let spread = held.ping();
    ensure!(spread.answered() == HELD, "after the start: {spread}");
    until_served_by(&client, web.v4(80), Protocol::Tcp, &[&near, &far])?;

    let servers = || -> Result<Vec<ServiceKey>> {
        let all = node.enter(|| -> Result<_> { Ok(Client::connect()?.services()?) })??;
        Ok(all.iter().map(|entry| entry.service.key).collect())
    };
    ensure!(
        servers()?.contains(&by_address(web.v4(80))),
        "nobody has removed it yet"
    );
    let cleanup = std::thread::scope(|scope| -> Result<_> {
        let cleanup = scope.spawn(|| world.spillway("east-1", &CLEANUP));
        std::thread::sleep(Duration::from_secs(8));
        let spread = held.ping();
        ensure!(spread.answered() == HELD, "while they may end: {spread}");
        cleanup.join().ok().context("the command has panicked")?
    })?;
    let said = String::from_utf8_lossy(&cleanup.stdout).into_owned()
        + &String::from_utf8_lossy(&cleanup.stderr);
    ensure!(cleanup.status.success(), "{said}");
    ensure!(
        said.contains("kube-proxy: removed 1 virtual servers"),
        "{said}"
    );
    let left = servers()?;
    ensure!(!left.contains(&by_address(web.v4(80))), "{left:?}");
    until_served_by(&client, web.v4(80), Protocol::Tcp, &[&near, &far])
}

pub fn a_udp_client_goes_on_with_another_pod_when_its_own_has_gone() -> Result<()> {
    const FROM: u16 = 4_500;
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods[..1])?;
    let node_port = bed.node()?.v4(30080);
    let ask = |to| {
        bed.client
            .ask_udp_within(to, Some(FROM), Duration::from_secs(1))
    };
    let answered = |to, pod: usize| {
        let name = &bed.pods[pod].name;
        until(name, || {
            Ok(ask(to).is_ok_and(|answer| answer.answered_by == *name))
        })
    };
    for to in [web.v4(80), web.v6(80), node_port] {
        answered(to, 0)?;
    }
    bed.cluster()?.set_endpoints(&web, &bed.pods[1..2])?;
    for to in [web.v4(80), web.v6(80), node_port] {
        answered(to, 1)?;
    }
    let metrics = bed.agent()?.metrics()?;
    let name = "kubeproxy_conntrack_reconciler_deleted_entries_total";
    let forgotten: f64 = metrics
        .iter()
        .filter(|(metric, _)| metric.starts_with(name))
        .map(|(_, value)| value)
        .sum();
    ensure!(forgotten >= 1.0, "{forgotten} flows were forgotten");
    Ok(())
}

pub fn load_balancers_are_told_where_the_pods_are() -> Result<()> {
    const PORT: u16 = 31_971;
    let bed = Bed::start()?;
    let ports = [Port::tcp("tcp", 80).to(ECHO_PORT).node_port(30080)];
    let web = bed.cluster()?.service("web", ports).dual_stack();
    let web = web.spec("type", "LoadBalancer".into()).external_local();
    let web = web.spec("healthCheckNodePort", PORT.into());
    bed.cluster()?.publish(&web, &bed.pods[..1])?;
    let node = bed.node()?;
    let code = |to: SocketAddr| -> Result<Option<String>> {
        Ok(bed.world.outside().netns().enter(|| get(to))?)
    };
    let says = |wanted: Option<&str>| {
        for to in [node.v4(PORT), node.v6(PORT)] {
            until("the code of the health check", || {
                let found = code(to)?;
                Ok(found.as_deref() == wanted)
            })
            .with_context(|| format!("{to}: not {wanted:?}"))?;
        }
        Ok::<_, anyhow::Error>(())
    };
    says(Some("HTTP/1.1 200 OK"))?;
    bed.cluster()?.set_endpoints(&web, &bed.pods[1..2])?;
    says(Some("HTTP/1.1 503 Service Unavailable"))?;
    let elsewhere = web.spec("externalTrafficPolicy", "Cluster".into());
    bed.cluster()?.publish(&elsewhere, &bed.pods[..1])?;
    says(None)
}

/// The first line of an answer over HTTP; none where nobody listens.
fn get(to: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).ok()?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}
