//! Packets that connection tracking finds invalid.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use lab::world::{Node, Place};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};

use crate::bed::{Bed, served_by, until};

/// Where in the space of sequence numbers packets are sent: at most one of these is within a
/// connection's window.
const SEQUENCES: [u32; 4] = [0, 1 << 30, 2 << 30, 3 << 30];
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
    for (to, from) in [(web.v4(80), pod.v4()), (web.v6(80), pod.v6())] {
        served_by(&bed.client, to, &[pod])?;
        let mut connection = bed.client.connect_tcp(to)?;
        connection.ping()?;
        let before = invalid(node)?;
        for sequence in SEQUENCES {
            let client = connection.seen_client;
            pod.netns().enter(|| inject(from, client, sequence))??;
        }
        until("connection tracking finds them invalid", || {
            Ok(invalid(node)? >= before + SEQUENCES.len() as u64 - 1)
        })?;
        for _ in 0..3 {
            let answer = connection.ping();
            answer.with_context(|| format!("the connection to {to}"))?;
        }
    }
    Ok(())
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

/// Sends a segment of one byte in the name of an open connection, from the namespace of the calling
/// thread.
fn inject(from: SocketAddr, to: SocketAddr, sequence: u32) -> Result<()> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let segment = segment(from, to, sequence);
    let raw = socket(
        family,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Tcp,
    )?;
    let host = SockaddrStorage::from(SocketAddr::new(to.ip(), 0));
    let sent = sendto(raw.as_raw_fd(), &segment, &host, MsgFlags::empty())?;
    ensure!(sent == segment.len(), "only {sent} bytes were sent");
    Ok(())
}

/// A TCP segment (RFC 9293, section 3.1) with one byte of data.
fn segment(from: SocketAddr, to: SocketAddr, sequence: u32) -> Vec<u8> {
    const WORDS_OF_HEADER: u8 = 5;
    const ACK_AND_PUSH: u8 = 0x18;
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
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
