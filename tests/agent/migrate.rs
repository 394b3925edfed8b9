//! What a cluster relied on with kube-proxy goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::world::objects::Port;
use lab::world::{ECHO_PORT, Place};

use crate::bed::{Bed, until};

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
