//! Packets that connection tracking finds invalid.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use lab::traffic::Connection;
use lab::world::{Node, Place, Pod};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto,
    socket,
};

use crate::bed::{Bed, saying, served_by, until};

/// How many packets are sent beyond the window of a connection.
const PACKETS: u64 = 4;
/// How far beyond: no window is larger (RFC 7323, section 2.3).
const BEYOND: u32 = 1 << 30;
const TCP: u8 = 6;

/// e2e: "proxy implementation should not be vulnerable to the invalid conntrack state bug". Where
/// address translation is connection tracking's, a packet out of its window reaches the client with
/// the pod's own address, and is answered by a reset, which ends the connection at the pod. IPVS
/// translates by a table of its own, with `nf_conntrack_tcp_be_liberal` off as is the default.
pub fn a_pods_packets_out_of_the_window_end_no_connection() -> Result<()> {
    let bed = Bed::start()?;
    let pod = &bed.pods[1];
    let web = bed.web()?;
    bed.cluster()?.publish(&web, [pod])?;
    let node = bed.node()?;
    for to in [web.v4(80), web.v6(80)] {
        served_by(&bed.client, to, &[pod])?;
        let mut connection = bed.client.connect_tcp(to)?;
        let before = invalid(node)?;
        disturb(pod, &mut connection)?;
        until("connection tracking finds them invalid", || {
            Ok(invalid(node)? >= before + PACKETS)
        })?;
        for _ in 0..3 {
            let answer = connection.ping();
            answer.with_context(|| format!("the connection to {to}"))?;
        }
    }
    Ok(())
}

/// A masqueraded client's address is connection tracking's to translate, so there such packets do end
/// the connection, unless `conntrack.tcpBeLiberal` has none of them found invalid.
pub fn told_to_be_liberal_they_end_no_masqueraded_connection_either() -> Result<()> {
    let bed = Bed::with(&saying("conntrack: {tcpBeLiberal: true}"))?;
    let pod = &bed.pods[1];
    let web = bed.web()?;
    bed.cluster()?.publish(&web, [pod])?;
    let node = bed.node()?;
    for to in bed.ways_in()? {
        let outside = bed.world.outside();
        served_by(outside, to, &[pod])?;
        let mut connection = outside.connect_tcp(to)?;
        ensure!(node.has(connection.seen_client.ip()), "{connection:?}");
        disturb(pod, &mut connection)?;
        for _ in 0..3 {
            let answer = connection.ping();
            answer.with_context(|| format!("the connection to {to}"))?;
        }
    }
    Ok(())
}

/// Sends packets beyond the window of an open connection in the name of its pod. What they
/// acknowledge is right, so that a reset that answers them would be, too.
fn disturb(pod: &Pod, connection: &mut Connection) -> Result<()> {
    let client = connection.seen_client;
    let from = if client.is_ipv4() { pod.v4() } else { pod.v6() };
    let raw = pod.netns().enter(|| open(client.is_ipv4()))??;
    connection.ping()?;
    let (sequence, acknowledged) = heard(&raw, client)?;
    let segment = segment(from, client, acknowledged.wrapping_add(BEYOND), sequence);
    let host = SockaddrStorage::from(SocketAddr::new(client.ip(), 0));
    for _ in 0..PACKETS {
        let sent = sendto(raw.as_raw_fd(), &segment, &host, MsgFlags::empty())?;
        ensure!(sent == segment.len(), "only {sent} bytes were sent");
    }
    Ok(())
}

/// A socket for TCP segments as such, in the namespace of the calling thread.
fn open(over_ipv4: bool) -> Result<OwnedFd> {
    let family = if over_ipv4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socket(family, SockType::Raw, flags, SockProtocol::Tcp)?)
}

/// The next sequence number of a client that has been heard, and what it has acknowledged.
fn heard(raw: &OwnedFd, client: SocketAddr) -> Result<(u32, u32)> {
    let mut buffer = [0; 2048];
    let mut last = None;
    while let Ok(length) = recv(raw.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        let packet = &buffer[..length];
        // Over IPv4 the packet comes with its header, whose length is in words (RFC 791).
        let before = if client.is_ipv4() {
            usize::from(packet[0] & 0xf) * 4
        } else {
            0
        };
        let segment = &packet[before..];
        if segment.starts_with(&client.port().to_be_bytes()) {
            let number = |at: usize| segment[at..at + 4].try_into().map(u32::from_be_bytes);
            let data = segment.len() - usize::from(segment[12] >> 4) * 4;
            let next = number(4)?.wrapping_add(u32::try_from(data)?);
            last = Some((next, number(8)?));
        }
    }
    last.context("the client was not heard")
}

/// How many packets connection tracking has found invalid on a node.
fn invalid(node: &Node) -> Result<u64> {
    let table = node
        .netns()
        .enter(|| fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack"))??;
    let mut lines = table.lines().map(str::split_whitespace);
    let names = lines.next().context("an empty table")?;
    let column = names.take_while(|name| *name != "invalid").count();
    // A line for each processor.
    lines
        .map(|mut counts| {
            let count = counts.nth(column).context("no such column")?;
            Ok(u64::from_str_radix(count, 16)?)
        })
        .sum()
}

/// A TCP segment (RFC 9293, section 3.1) with one byte of data.
fn segment(from: SocketAddr, to: SocketAddr, sequence: u32, acknowledge: u32) -> Vec<u8> {
    const WORDS_OF_HEADER: u8 = 5;
    const ACK_AND_PUSH: u8 = 0x18;
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledge.to_be_bytes());
    segment.extend([WORDS_OF_HEADER << 4, ACK_AND_PUSH]);
    segment.extend(u16::MAX.to_be_bytes());
    segment.extend([0; 4]);
    segment.push(b'x');
    let checksum = checksum(from.ip(), to.ip(), &segment);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

/// The Internet checksum (RFC 1071) of a segment and the addresses it goes between.
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let octets = |ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let length = u16::try_from(segment.len()).unwrap_or(u16::MAX);
    let mut bytes = [octets(from), octets(to)].concat();
    bytes.extend([0, TCP]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(segment);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let words = bytes.chunks_exact(2);
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
