//! Talking to the connection tracking of one network namespace.

use std::io;

use netlink_packet_core::NLM_F_ACK;
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

use super::flow::{about, listing};
use super::{Flow, Stale};
use crate::kernel::netfilter::{append, dump, is};
use crate::kernel::socket::{BATCH_BYTES, Socket};
use crate::model::Family;

/// How often the flows are read that changed meanwhile, as kube-proxy does. What was read last is
/// used: the table of a busy node never stands still.
const ATTEMPTS: usize = 5;

/// Why flows could not be forgotten. The texts are whole: they end with the cause, which is
/// therefore no `source` to be printed after them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket could be had.
    #[error("no netlink socket for connection tracking: {0}")]
    Open(io::Error),
    /// The flows could not be read.
    #[error("the {0} flows cannot be read (needs kernel module nf_conntrack_netlink): {1}")]
    Read(Family, io::Error),
    /// The exchange with the kernel failed, so that some flows may be left.
    #[error("stale flows cannot be deleted: {0}")]
    Exchange(io::Error),
    /// The kernel refused to forget flows; all others are gone.
    #[error("{count} stale flows cannot be deleted, the first: {cause}")]
    Refused {
        /// How many.
        count: usize,
        /// Why, for the first of them.
        cause: io::Error,
    },
}

/// The connection tracking of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
}

impl Client {
    /// Opens it. Nothing is asked of the kernel yet.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open(NETLINK_NETFILTER).map_err(Error::Open)?;
        Ok(Self { socket })
    }

    /// Makes the kernel forget flows, and returns those. Each family that they are of is read once.
    pub fn forget(&mut self, stale: &Stale) -> Result<Vec<Flow>, Error> {
        let mut found = Vec::new();
        for family in stale.families() {
            let flows = self.stale(family, stale);
            found.extend(flows.map_err(|cause| Error::Read(family, cause))?);
        }
        self.delete(&found)?;
        Ok(found)
    }

    fn stale(&mut self, family: Family, stale: &Stale) -> io::Result<Vec<Flow>> {
        let mut found = Vec::new();
        let message = about(family, listing(stale.port(family)));
        let outcome = dump(
            &mut self.socket,
            &message,
            ATTEMPTS,
            &mut found,
            |reply, found| {
                found.extend(Flow::parse(reply).filter(|flow| stale.holds(flow)));
            },
        );
        match outcome {
            Err(error) if !is(&error, Errno::EINTR) => Err(error),
            _ => Ok(found),
        }
    }

    fn delete(&mut self, flows: &[Flow]) -> Result<(), Error> {
        let mut refused = Vec::new();
        let mut batch = Vec::new();
        for (index, flow) in flows.iter().enumerate() {
            let sequence = self.socket.next_sequence();
            let last = batch.len() >= BATCH_BYTES || index + 1 == flows.len();
            let flags = if last { NLM_F_ACK } else { 0 };
            let message = about(flow.family(), flow.deletion());
            append(&mut batch, sequence, flags, message);
            if last {
                let refusals = self.socket.exchange(&batch, sequence);
                refused.extend(refusals.map_err(Error::Exchange)?);
                batch.clear();
            }
        }
        // One that has ended by itself meanwhile is as good as deleted.
        refused.retain(|refusal| refusal.errno != Errno::ENOENT as i32);
        refused.first().map_or(Ok(()), |first| {
            Err(Error::Refused {
                count: refused.len(),
                cause: first.to_io(),
            })
        })
    }
}
