//! One transaction: requests between a begin and an end, of which the kernel takes all or none.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NetlinkBuffer};
use netlink_packet_netfilter::nftables::NfTablesMessage;
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};

use crate::kernel::netfilter::append;
use crate::kernel::socket::{Refusal, Socket};

/// `NFNL_SUBSYS_NFTABLES`
const NFTABLES: u16 = 10;

/// Requests to be taken or refused together.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    /// The sequence number of the begin.
    begin: u32,
    /// The sequence number of each request.
    requests: Vec<u32>,
    /// Where the last request starts.
    last: usize,
}

/// Why a transaction had no effect.
#[derive(Debug)]
pub enum Refused {
    /// The kernel refused the request with this index.
    Request(usize, io::Error),
    /// The exchange with the kernel failed, or it refused the transaction as such.
    Whole(io::Error),
}

impl Batch {
    /// A batch without requests.
    pub fn begin(socket: &mut Socket) -> Self {
        let begin = socket.next_sequence();
        let mut bytes = Vec::new();
        append(&mut bytes, begin, 0, control(ControlMessage::BatchBegin));
        Self {
            bytes,
            begin,
            requests: Vec::new(),
            last: 0,
        }
    }

    /// Adds a request; `flags` besides `NLM_F_REQUEST`.
    pub fn push(&mut self, socket: &mut Socket, flags: u16, message: NfTablesMessage) {
        let sequence = socket.next_sequence();
        self.requests.push(sequence);
        self.last = self.bytes.len();
        append(&mut self.bytes, sequence, flags, inet(message));
    }

    /// Has the kernel carry out all requests, or none if it refuses one.
    pub fn commit(mut self, socket: &mut Socket) -> Result<(), Refused> {
        let Some(&last) = self.requests.last() else {
            return Ok(());
        };
        let mut request = NetlinkBuffer::new(&mut self.bytes[self.last..]);
        request.set_flags(request.flags() | NLM_F_ACK);
        append(
            &mut self.bytes,
            socket.next_sequence(),
            0,
            control(ControlMessage::BatchEnd),
        );
        socket.reserve(self.bytes.len()).map_err(Refused::Whole)?;
        let refusals = socket
            .transact(&self.bytes, self.begin, last)
            .map_err(Refused::Whole)?;
        let index = |refusal: &Refusal| self.requests.iter().position(|&it| it == refusal.sequence);
        let request = refusals.iter().find_map(|it| Some((index(it)?, it)));
        // A refusal of the transaction as such comes under the number of its begin.
        let whole = refusals.iter().find(|it| it.sequence == self.begin);
        match (request, whole) {
            (Some((index, refusal)), _) => Err(Refused::Request(index, refusal.to_io())),
            (None, Some(refusal)) => Err(Refused::Whole(refusal.to_io())),
            (None, None) => Ok(()),
        }
    }
}

/// A message about the tables of family `inet`.
pub fn inet(message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0),
        NetfilterMessageInner::from(message),
    )
}

fn control(message: ControlMessage) -> NetfilterMessage {
    NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES),
        message,
    )
}
