//! Making the kernel forget UDP flows, with the `conntrack` tool as the judge. Needs the kernel
//! module `nf_conntrack_netlink`.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, ensure};
use spillway::kernel::conntrack::{Client, Flow, Stale, Target};
use spillway::model::Family;

/// The source port of the next flow.
static NEXT: AtomicU16 = AtomicU16::new(4000);

const VIP: &str = "10.96.0.10";
const VIP6: &str = "fd00:96::a";

pub fn flows_that_somebody_else_answers_are_forgotten() -> Result<()> {
    for vip in [VIP, VIP6] {
        for last in 5..8 {
            insert("udp", vip, 53, &pod(vip, last), 5353)?;
        }
        insert("udp", vip, 54, &pod(vip, 6), 5353)?;
        insert("tcp", vip, 53, &pod(vip, 6), 5353)?;
    }
    let mut stale = Stale::default();
    for vip in [VIP, VIP6] {
        let target = Target::Address(vip.parse()?, port(53)?);
        stale.insert(target, answering(&[&pod(vip, 5)])?);
    }
    let gone = Client::open()?.forget(&stale)?;
    ensure!(gone.len() == 4, "{gone:?}");
    for vip in [VIP, VIP6] {
        for (protocol, to, last, left) in [
            ("udp", 53, 5, true),
            ("udp", 53, 6, false),
            ("udp", 53, 7, false),
            ("udp", 54, 6, true),
            ("tcp", 53, 6, true),
        ] {
            let is_left = is_there(protocol, vip, to, &pod(vip, last))?;
            ensure!(is_left == left, "{vip} {protocol} {to} {last}");
        }
    }
    Ok(())
}

pub fn flows_to_a_node_port_are_those_to_any_address_of_the_family() -> Result<()> {
    for node in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        insert("udp", node, 30_053, &pod(node, 6), 5353)?;
    }
    let mut stale = Stale::default();
    stale.insert(Target::Port(Family::V4, port(30_053)?), answering(&[])?);
    let gone: HashSet<IpAddr> = forget(&stale)?
        .iter()
        .map(|it| it.destination.ip())
        .collect();
    ensure!(gone == HashSet::from(["192.0.2.1".parse()?, "192.0.2.2".parse()?]));
    ensure!(is_there("udp", "2001:db8::1", 30_053, &pod(VIP6, 6))?);
    Ok(())
}

pub fn targets_with_different_ports_are_found_in_one_look() -> Result<()> {
    let mut stale = Stale::default();
    for to in [53, 54] {
        insert("udp", VIP, to, &pod(VIP, 6), 5353)?;
        stale.insert(Target::Address(VIP.parse()?, port(to)?), answering(&[])?);
    }
    insert("udp", VIP, 55, &pod(VIP, 6), 5353)?;
    ensure!(forget(&stale)?.len() == 2);
    ensure!(forget(&stale)?.is_empty(), "they are gone");
    ensure!(is_there("udp", VIP, 55, &pod(VIP, 6))?);
    Ok(())
}

pub fn a_flow_of_real_packets_without_translation_is_forgotten() -> Result<()> {
    // Tracking begins with the first rule that looks at it.
    let rule = "add table inet t; add chain inet t c { type filter hook output priority 0; }; \
                add rule inet t c ct state new accept";
    let made = Command::new("nft").arg(rule).status()?;
    ensure!(made.success(), "nft: {made}");
    let server = UdpSocket::bind("127.0.0.1:0")?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.send_to(b"hello", server.local_addr()?)?;
    let to = server.local_addr()?;
    let mut stale = Stale::default();
    stale.insert(Target::Address(to.ip(), port(to.port())?), answering(&[])?);
    let gone = forget(&stale)?;
    let [flow] = gone.as_slice() else {
        anyhow::bail!("{gone:?}")
    };
    ensure!((flow.source, flow.destination, flow.answers) == (client.local_addr()?, to, to));
    Ok(())
}

fn forget(stale: &Stale) -> Result<Vec<Flow>> {
    Ok(Client::open()?.forget(stale)?)
}

fn port(number: u16) -> Result<NonZeroU16> {
    NonZeroU16::new(number).context("a port")
}

/// The address of a pod, of the same family as another address.
fn pod(like: &str, last: u8) -> String {
    if like.contains(':') {
        format!("fd00:1::{last}")
    } else {
        format!("10.1.1.{last}")
    }
}

fn answering(ips: &[&str]) -> Result<Arc<HashSet<SocketAddr>>> {
    let at = |ip: &&str| Ok(SocketAddr::new(ip.parse()?, 5353));
    ips.iter().map(at).collect::<Result<_>>().map(Arc::new)
}

/// Has the kernel track a flow of a client to `to` that `pod` answers.
fn insert(protocol: &str, to: &str, port: u16, pod: &str, pod_port: u16) -> Result<()> {
    let client = if to.contains(':') {
        "fd00::9"
    } else {
        "10.1.9.9"
    };
    // A source port of its own for each, or the kernel takes them for one flow.
    let from = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut line = format!(
        "-I -p {protocol} --timeout 600 -s {client} -d {to} --sport {from} --dport {port} \
         -r {pod} -q {client} --reply-port-src {pod_port} --reply-port-dst {from}"
    );
    if protocol == "tcp" {
        line.push_str(" --state ESTABLISHED");
    }
    conntrack(&line).map(|_| ())
}

fn is_there(protocol: &str, to: &str, port: u16, pod: &str) -> Result<bool> {
    let family = if to.contains(':') { "ipv6" } else { "ipv4" };
    let list = conntrack(&format!(
        "-L -f {family} -p {protocol} -d {to} --dport {port}"
    ))?;
    Ok(list
        .lines()
        .any(|line| line.contains(&format!("src={pod} "))))
}

fn conntrack(arguments: &str) -> Result<String> {
    let output = Command::new("conntrack")
        .args(arguments.split_whitespace())
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "conntrack {arguments}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}
