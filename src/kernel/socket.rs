//! A blocking netlink socket: batches of requests with their acknowledgements matched by sequence
//! number, and dumps.
//!
//! The kernel works through a batch while it is being sent, so an exchange is one `sendmsg` and a
//! few reads, whatever the number of requests in it. Only the last request of a batch asks for an
//! acknowledgement: the kernel reports every request that fails, asked or not.

use std::io;
use std::ops::ControlFlow;

use netlink_packet_core::{
    DoneBuffer, ErrorBuffer, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
};
use netlink_sys::SocketAddr;
use nix::errno::Errno;
use nix::libc::MSG_TRUNC;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

#[cfg(test)]
mod tests;

/// The most bytes of requests to put into one batch (it may end with the request that reaches it).
///
/// Small enough for the default send buffer (`net.core.wmem_default`, 208 KiB), large enough that
/// the system call no longer counts.
pub const BATCH_BYTES: usize = 64 * 1024;

/// Room for the reports of a batch in which every request fails (about 1,500 of them at 40 bytes
/// each, for which the kernel charges up to 2 KiB apiece).
const RECEIVE_BYTES: usize = 4 * 1024 * 1024;

/// The kernel's largest reply datagram (`NLMSG_GOODSIZE` grows up to this for dumps).
const DATAGRAM_BYTES: usize = 64 * 1024;

/// How long the kernel may take to answer. It answers before `sendmsg` returns, so this only
/// bounds the harm of a lost reply.
const ANSWER_SECONDS: i64 = 30;

/// A request that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The sequence number of the request.
    pub sequence: u32,
    /// The error number, positive as in `errno.h`.
    pub errno: i32,
}

impl Refusal {
    /// The refusal as an I/O error.
    pub fn to_io(self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

/// What the kernel said of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// The requests that it refused, in their order.
    pub refusals: Vec<Refusal>,
    /// Whether some reports were lost for want of memory: then a request without a refusal may
    /// have been refused too.
    pub lost: bool,
}

/// A netlink socket that talks to the kernel of the network namespace it was opened in.
///
/// After an error that does not come from the kernel the socket may hold stale replies, which
/// later exchanges pass over by their sequence number.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket for a netlink protocol, one of `netlink_sys::protocols`.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut inner = netlink_sys::Socket::new(protocol)?;
        inner.bind_auto()?;
        inner.connect(&SocketAddr::new(0, 0))?;
        inner.set_cap_ack(true)?;
        // Without CAP_NET_ADMIN the forced size is refused; the ordinary limit then applies, and a
        // lost acknowledgement is reported as ENOBUFS.
        if setsockopt(&inner, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
            setsockopt(&inner, sockopt::RcvBuf, &RECEIVE_BYTES)?;
        }
        setsockopt(
            &inner,
            sockopt::ReceiveTimeout,
            &TimeVal::new(ANSWER_SECONDS, 0),
        )?;
        Ok(Self {
            inner,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
        })
    }

    /// A sequence number that no request in flight has: the previous one and 1, wrapping around.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a batch of requests and collects the refusals until the acknowledgement of `last`,
    /// the sequence number of the last request, which must ask for one.
    ///
    /// # Errors
    /// `ENOBUFS` if reports were lost, which leaves unknown which requests took effect; `EAGAIN` if
    /// the kernel did not answer.
    pub fn exchange(&mut self, batch: &[u8], last: u32) -> io::Result<Vec<Refusal>> {
        all(self.collect(batch, last, None)?)
    }

    /// Like [`Socket::exchange`] for a transaction, which the kernel may refuse as such: it then
    /// reports on its first request, `begin`, and perhaps on no other.
    pub fn transact(&mut self, batch: &[u8], begin: u32, last: u32) -> io::Result<Vec<Refusal>> {
        all(self.collect(batch, last, Some(begin))?)
    }

    /// Like [`Socket::exchange`], but keeps the reports that did arrive if others were lost.
    pub fn submit(&mut self, batch: &[u8], last: u32) -> io::Result<Reports> {
        self.collect(batch, last, None)
    }

    fn collect(&mut self, batch: &[u8], last: u32, whole: Option<u32>) -> io::Result<Reports> {
        self.send(batch)?;
        let mut refusals = Vec::new();
        let mut collect = |message: &NetlinkBuffer<&[u8]>| {
            if message.message_type() != NLMSG_ERROR {
                return Ok(ControlFlow::Continue(()));
            }
            let sequence = message.sequence_number();
            if let Some(errno) = error_code(message)? {
                refusals.push(Refusal { sequence, errno });
            }
            Ok(if sequence == last || Some(sequence) == whole {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        };
        let received = match self.receive(0, &mut collect) {
            Err(error) if is(&error, Errno::ENOBUFS) => {
                // The reports from before the loss are still queued, and the kernel drops all
                // later ones until the queue is empty.
                match self.receive(nix::libc::MSG_DONTWAIT, &mut collect) {
                    Err(error) if !is(&error, Errno::EAGAIN) => Err(error),
                    _ => Ok(true),
                }
            }
            received => received.map(|()| false),
        };
        received.map(|lost| Reports { refusals, lost })
    }

    /// Sends one request with sequence number `sequence` that asks for a dump, or for an answer and
    /// an acknowledgement, and hands the payload of every reply to `each`.
    ///
    /// # Errors
    /// `EINTR` if the kernel says that the dumped state changed meanwhile and the dump may be
    /// inconsistent; the kernel's own error if it refuses; the first error of `each`, which is
    /// not called again after it.
    pub fn dump(
        &mut self,
        request: &[u8],
        sequence: u32,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.send(request)?;
        let mut outcome = Ok(());
        let mut interrupted = false;
        self.receive(0, |message| {
            if message.sequence_number() != sequence {
                return Ok(ControlFlow::Continue(()));
            }
            interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            let error = match message.message_type() {
                NLMSG_DONE => done_code(message)?,
                NLMSG_ERROR => error_code(message)?,
                _ => {
                    // A dump is read to its end whatever happens: the kernel starts no other one
                    // on this socket before.
                    if outcome.is_ok() {
                        outcome = each(message.payload());
                    }
                    return Ok(ControlFlow::Continue(()));
                }
            };
            match error {
                Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                None => Ok(ControlFlow::Break(())),
            }
        })?;
        outcome?;
        if interrupted {
            Err(Errno::EINTR.into())
        } else {
            Ok(())
        }
    }

    /// Makes the send buffer large enough for a batch of `bytes` that must not be divided.
    pub fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        if bytes <= BATCH_BYTES {
            return Ok(());
        }
        // The forced size is not bound by `net.core.wmem_max`, but needs CAP_NET_ADMIN in the
        // first user namespace.
        setsockopt(&self.inner, sockopt::SndBufForce, &bytes)
            .or_else(|_| setsockopt(&self.inner, sockopt::SndBuf, &bytes))?;
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.inner.send(bytes, 0)?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Reads datagrams and hands their messages to `each` until it breaks.
    fn receive(
        &mut self,
        flags: i32,
        mut each: impl FnMut(&NetlinkBuffer<&[u8]>) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<()> {
        loop {
            self.buffer.clear();
            let length = match self.inner.recv(&mut self.buffer, flags | MSG_TRUNC) {
                // A signal: the kernel does not restart a read that has a time limit.
                Err(error) if is(&error, Errno::EINTR) => continue,
                received => received?,
            };
            if length > self.buffer.len() {
                return Err(invalid("a reply is larger than the receive buffer"));
            }
            if for_each_message(&self.buffer, &mut each)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// The refusals, if none were lost.
fn all(reports: Reports) -> io::Result<Vec<Refusal>> {
    if reports.lost {
        Err(Errno::ENOBUFS.into())
    } else {
        Ok(reports.refusals)
    }
}

/// Hands the messages of a datagram to `each` until it breaks.
fn for_each_message(
    datagram: &[u8],
    mut each: impl FnMut(&NetlinkBuffer<&[u8]>) -> io::Result<ControlFlow<()>>,
) -> io::Result<ControlFlow<()>> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest).map_err(invalid)?;
        if each(&message)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // Messages start at multiples of four (NLMSG_ALIGN).
        let size = message.length() as usize;
        rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(ControlFlow::Continue(()))
}

/// The error number that an `NLMSG_ERROR` carries; none in an acknowledgement.
fn error_code(message: &NetlinkBuffer<&[u8]>) -> io::Result<Option<i32>> {
    let error = ErrorBuffer::new_checked(message.payload()).map_err(invalid)?;
    Ok(error.code().map(|code| code.get().saturating_neg()))
}

/// The error number that ends a dump, if it failed; kernels may leave out the zero of success.
fn done_code(message: &NetlinkBuffer<&[u8]>) -> io::Result<Option<i32>> {
    if message.payload().is_empty() {
        return Ok(None);
    }
    let done = DoneBuffer::new_checked(message.payload()).map_err(invalid)?;
    Ok((done.code() < 0).then(|| done.code().saturating_neg()))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
