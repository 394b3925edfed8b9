//! Netlink messages that are encoded beforehand and only sent when it counts.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use spillway::kernel::ipvs::{Batch, Command, wire};
use spillway::kernel::link;
use spillway::kernel::socket::{BATCH_BYTES, Socket};

/// Batches for one socket, each with the number of its last message.
pub struct Raw {
    socket: Socket,
    batches: Vec<(Vec<u8>, u32)>,
}

impl Raw {
    /// IPVS commands.
    pub fn commands(family: u16, commands: &[Command]) -> Result<Self> {
        let mut socket = Socket::open(NETLINK_GENERIC)?;
        let mut batches = Vec::new();
        let mut batch = Batch::default();
        for (number, command) in commands.iter().enumerate() {
            let last = socket.next_sequence();
            batch.push(family, last, 0, &wire::Message::from(command));
            if batch.bytes().len() >= BATCH_BYTES || number + 1 == commands.len() {
                batch.acknowledge_last();
                batches.push((batch.bytes().to_vec(), last));
                batch = Batch::default();
            }
        }
        Ok(Self { socket, batches })
    }

    /// Addresses for the link, which must be there.
    pub fn addresses(addresses: &[IpAddr]) -> Result<Self> {
        let mut socket = Socket::open(NETLINK_ROUTE)?;
        let index = nix::net::if_::if_nametoindex(link::NAME)?;
        let mut batches = Vec::new();
        let mut batch = Vec::new();
        for (number, ip) in addresses.iter().enumerate() {
            let sequence = socket.next_sequence();
            let mut message =
                NetlinkMessage::from(RouteNetlinkMessage::NewAddress(link::message(index, *ip)));
            message.header.flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
            message.header.sequence_number = sequence;
            message.finalize();
            let start = batch.len();
            let ends = start + message.buffer_len() >= BATCH_BYTES || number + 1 == addresses.len();
            if ends {
                message.header.flags |= NLM_F_ACK;
            }
            batch.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut batch[start..]);
            if ends {
                batches.push((std::mem::take(&mut batch), sequence));
            }
        }
        Ok(Self { socket, batches })
    }

    /// Sends them and waits for the last acknowledgement of each batch.
    pub fn send(&mut self) -> Result<()> {
        for (batch, last) in &self.batches {
            let refusals = self.socket.exchange(batch, *last)?;
            ensure!(refusals.is_empty(), "{refusals:?}");
        }
        Ok(())
    }
}
