//! What the netfilter subsystems, nftables and connection tracking, have in common on the wire.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_netfilter::NetfilterMessage;
use nix::errno::Errno;

use super::socket::Socket;

/// The length of `struct nfgenmsg`, with which every reply begins.
pub const HEADER: usize = 4;

/// Appends a request; `flags` besides `NLM_F_REQUEST`.
pub fn append(bytes: &mut Vec<u8>, sequence: u32, flags: u16, message: NetfilterMessage) {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = bytes.len();
    // Every part of a message is a multiple of four bytes long, so the next one is aligned.
    bytes.resize(start + message.buffer_len(), 0);
    message.serialize(&mut bytes[start..]);
}

/// Collects from the payload of every reply to a dump, which starts again if what it reads changes
/// meanwhile, at most so many times.
///
/// # Errors
/// `EINTR` if it changed every time: `found` then holds what was read last.
pub fn dump<T>(
    socket: &mut Socket,
    message: &NetfilterMessage,
    attempts: usize,
    found: &mut Vec<T>,
    each: impl Fn(&[u8], &mut Vec<T>),
) -> io::Result<()> {
    let mut outcome = Ok(());
    for _ in 0..attempts {
        found.clear();
        let sequence = socket.next_sequence();
        let mut request = Vec::new();
        append(&mut request, sequence, NLM_F_DUMP, message.clone());
        outcome = socket.dump(&request, sequence, |reply| {
            each(reply, found);
            Ok(())
        });
        match &outcome {
            Err(error) if is(error, Errno::EINTR) => {}
            _ => break,
        }
    }
    outcome
}

/// Whether an error is this one of the kernel's.
pub fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}
