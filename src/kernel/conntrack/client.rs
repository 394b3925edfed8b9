//! Talking to the connection tracking of one network namespace.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

use super::flow::{append, listing};
use super::{Flow, Stale};
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
        for _ in 0..ATTEMPTS {
            found.clear();
            let sequence = self.socket.next_sequence();
            let mut request = Vec::new();
            let message = listing(stale.port(family));
            append(&mut request, family, sequence, NLM_F_DUMP, message);
            let outcome = self.socket.dump(&request, sequence, |payload| {
                found.extend(Flow::parse(payload).filter(|flow| stale.holds(flow)));
                Ok(())
            });
            match outcome {
                Ok(()) => break,
                Err(error) if is(error.raw_os_error(), Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn delete(&mut self, flows: &[Flow]) -> Result<(), Error> {
        let mut refused = Vec::new();
        let mut batch = Vec::new();
        for (index, flow) in flows.iter().enumerate() {
            let sequence = self.socket.next_sequence();
            let last = batch.len() >= BATCH_BYTES || index + 1 == flows.len();
            let flags = if last { NLM_F_ACK } else { 0 };
            append(&mut batch, flow.family(), sequence, flags, flow.deletion());
            if last {
                let refusals = self.socket.exchange(&batch, sequence);
                refused.extend(refusals.map_err(Error::Exchange)?);
                batch.clear();
            }
        }
        // One that has ended by itself meanwhile is as good as deleted.
        refused.retain(|refusal| !is(Some(refusal.errno), Errno::ENOENT));
        refused.first().map_or(Ok(()), |first| {
            Err(Error::Refused {
                count: refused.len(),
                cause: first.to_io(),
            })
        })
    }
}

fn is(errno: Option<i32>, wanted: Errno) -> bool {
    errno == Some(wanted as i32)
}
