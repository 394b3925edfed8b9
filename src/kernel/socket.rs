//! A blocking netlink socket: batches of requests with their acknowledgements matched by sequence
//! number, and dumps.
//!
//! The kernel works through a batch while it is being sent, so an exchange is one `sendmsg` and a
//! few reads, whatever the number of requests in it. Only the last request of a batch asks for an
//! acknowledgement: the kernel reports every request that fails, asked or not.

use std::io;
use std::ops::ControlFlow;

use netlink_packet_core::{DoneBuffer, ErrorBuffer, NetlinkBuffer};
use netlink_sys::SocketAddr;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

/// The most bytes of requests to put into one batch.
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

/// Set on the replies of a dump during which the dumped state changed (`linux/netlink.h`).
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

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

/// A netlink socket that talks to the kernel of the network namespace it was opened in.
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

    /// A sequence number that no request in flight has.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    /// Sends a batch of requests and collects the refusals until the acknowledgement of `last`,
    /// the sequence number of the last request, which must ask for one.
    ///
    /// # Errors
    /// `ENOBUFS` if reports were lost, which leaves unknown which requests took effect; `EAGAIN` if
    /// the kernel did not answer.
    pub fn exchange(&mut self, batch: &[u8], last: u32) -> io::Result<Vec<Refusal>> {
        self.send(batch)?;
        let mut refusals = Vec::new();
        self.receive(|message| {
            if message.message_type() != NLMSG_ERROR {
                return Ok(ControlFlow::Continue(()));
            }
            let sequence = message.sequence_number();
            if let Some(errno) = error_code(message)? {
                refusals.push(Refusal { sequence, errno });
            }
            Ok(if sequence == last {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(refusals)
    }

    /// Sends one dump request with sequence number `sequence` and hands the payload of every reply
    /// to `each`.
    ///
    /// # Errors
    /// `EINTR` if the kernel says that the dumped state changed meanwhile and the dump may be
    /// inconsistent; the kernel's own error if it refuses; the error of `each`.
    pub fn dump(
        &mut self,
        request: &[u8],
        sequence: u32,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.send(request)?;
        let mut interrupted = false;
        self.receive(|message| {
            if message.sequence_number() != sequence {
                return Ok(ControlFlow::Continue(()));
            }
            interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                NLMSG_DONE => {
                    let done = DoneBuffer::new_checked(message.payload()).map_err(invalid)?;
                    match done.code() {
                        0.. => Ok(ControlFlow::Break(())),
                        code => Err(io::Error::from_raw_os_error(-code)),
                    }
                }
                NLMSG_ERROR => match error_code(message)? {
                    Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                    None => Ok(ControlFlow::Break(())),
                },
                _ => each(message.payload()).map(ControlFlow::Continue),
            }
        })?;
        if interrupted {
            Err(io::Error::from_raw_os_error(nix::libc::EINTR))
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
        mut each: impl FnMut(&NetlinkBuffer<&[u8]>) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<()> {
        loop {
            self.buffer.clear();
            let length = self.inner.recv(&mut self.buffer, nix::libc::MSG_TRUNC)?;
            if length > self.buffer.len() {
                return Err(invalid("a reply is larger than the receive buffer"));
            }
            let mut rest = self.buffer.as_slice();
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest).map_err(invalid)?;
                let size = message.length() as usize;
                if each(&message)?.is_break() {
                    return Ok(());
                }
                // Messages start at multiples of four (NLMSG_ALIGN).
                rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// The error number that an `NLMSG_ERROR` carries; none in an acknowledgement.
fn error_code(message: &NetlinkBuffer<&[u8]>) -> io::Result<Option<i32>> {
    let error = ErrorBuffer::new_checked(message.payload()).map_err(invalid)?;
    Ok(error.code().map(|code| -code.get()))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
