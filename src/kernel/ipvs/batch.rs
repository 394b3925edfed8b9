//! Requests encoded one after another into a buffer that is used again and again.

use netlink_packet_core::{Emitable, NLM_F_ACK, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader};
use netlink_packet_generic::{GenlFamily, GenlHeader};

/// Requests to be sent at once.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where the last request starts.
    last: usize,
}

impl Batch {
    /// Forgets all requests but keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.last = 0;
    }

    /// Appends a request to a family; `flags` besides `NLM_F_REQUEST`.
    pub fn push<P>(&mut self, family: u16, sequence: u32, flags: u16, payload: &P)
    where
        P: GenlFamily + Emitable,
    {
        let command = GenlHeader {
            cmd: payload.command(),
            version: payload.version(),
        };
        let mut header = NetlinkHeader::default();
        let length = header.buffer_len() + command.buffer_len() + payload.buffer_len();
        header.length = u32::try_from(length).unwrap_or(u32::MAX);
        header.message_type = family;
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = sequence;

        self.last = self.bytes.len();
        // Every part of a request is a multiple of four bytes long, so the next one is aligned.
        self.bytes.resize(self.last + length, 0);
        let rest = &mut self.bytes[self.last..];
        let rest = put(&header, rest);
        let rest = put(&command, rest);
        payload.emit(rest);
    }

    /// Asks for an acknowledgement of the last request.
    pub fn acknowledge_last(&mut self) {
        if let Some(last) = self.bytes.get_mut(self.last..).filter(|it| !it.is_empty()) {
            let mut last = NetlinkBuffer::new(last);
            last.set_flags(last.flags() | NLM_F_ACK);
        }
    }

    /// The encoded requests.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Encodes at the start of a buffer and returns the rest of it.
fn put<'b>(part: &impl Emitable, buffer: &'b mut [u8]) -> &'b mut [u8] {
    let (head, rest) = buffer.split_at_mut(part.buffer_len());
    part.emit(head);
    rest
}
