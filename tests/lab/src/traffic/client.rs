//! Clients: they ask an echo server and report what came back. All of them give up in time.
//!
//! The functions here act in the namespace of the calling thread; [`crate::world::Place`] calls
//! them in the right one.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::Protocol;
use super::answer::{Answer, Failure};
use super::socket::sctp_connect;

/// How long a client waits for an answer if its caller does not say. A lost SYN is sent again
/// after 1 s and then 3 s (RFC 6298), so this leaves room for either.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any answer.
const DATAGRAM_BYTES: usize = 4096;

/// The shortest question.
const QUESTION: &[u8] = b"\n";

/// An open connection, or a UDP flow, that its server has answered.
#[derive(Debug)]
pub struct Connection {
    /// The server's name, e.g. `east-1/echo-1`.
    pub answered_by: String,
    /// The client's address as the server sees it.
    pub seen_client: SocketAddr,
    /// The client's own address.
    pub local: SocketAddr,
    line: Line,
}

impl Connection {
    /// Opens a connection of a protocol and waits for its answer.
    pub fn open(to: SocketAddr, protocol: Protocol, patience: Duration) -> Result<Self, Failure> {
        runtime()?.block_on(connect(to, protocol, patience))
    }

    /// Opens a TCP connection from a source port, and waits for its answer.
    pub fn open_from(to: SocketAddr, port: u16, patience: Duration) -> Result<Self, Failure> {
        runtime()?.block_on(async {
            let (socket, any): (_, IpAddr) = match to {
                SocketAddr::V4(_) => (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into()),
                SocketAddr::V6(_) => (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into()),
            };
            // One port may be used for several servers.
            socket.set_reuseaddr(true)?;
            socket.bind((any, port).into())?;
            let (stream, answer) = greeting(socket.connect(to), patience).await?;
            let local = stream.local_addr()?;
            Ok(Self::new(Line::stream(stream, patience)?, answer, local))
        })
    }

    fn new(line: Line, answer: Answer, local: SocketAddr) -> Self {
        Self {
            answered_by: answer.answered_by,
            seen_client: answer.seen_client,
            local,
            line,
        }
    }

    /// Sets how long to wait for each answer from now on.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.line.set_patience(patience)
    }

    /// Asks once more over the open connection, which must reach the same server.
    ///
    /// # Errors
    /// Says how the connection died; [`Failure::Other`] if somebody else answers.
    pub fn ping(&mut self) -> Result<(), Failure> {
        self.ask()?;
        self.hear()
    }

    /// The first half of [`Connection::ping`].
    pub(super) fn ask(&mut self) -> Result<(), Failure> {
        self.line.ask()
    }

    /// The second half of [`Connection::ping`].
    pub(super) fn hear(&mut self) -> Result<(), Failure> {
        let answer = self.line.hear()?;
        if answer.answered_by == self.answered_by && answer.seen_client == self.seen_client {
            Ok(())
        } else {
            Err(Failure::Other(format!("answered by {answer} this time")))
        }
    }
}

/// What a connection's questions and answers go over; it blocks.
#[derive(Debug)]
enum Line {
    Stream(BufReader<net::TcpStream>),
    Datagrams(net::UdpSocket),
}

impl Line {
    fn stream(stream: TcpStream, patience: Duration) -> io::Result<Self> {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        let line = Self::Stream(BufReader::new(stream));
        line.set_patience(patience)?;
        Ok(line)
    }

    fn datagrams(socket: UdpSocket, patience: Duration) -> io::Result<Self> {
        let socket = socket.into_std()?;
        socket.set_nonblocking(false)?;
        let line = Self::Datagrams(socket);
        line.set_patience(patience)?;
        Ok(line)
    }

    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                stream.get_ref().set_read_timeout(Some(patience))?;
                stream.get_ref().set_write_timeout(Some(patience))
            }
            Self::Datagrams(socket) => socket.set_read_timeout(Some(patience)),
        }
    }

    fn ask(&mut self) -> Result<(), Failure> {
        match self {
            Self::Stream(stream) => stream.get_mut().write_all(b"\n")?,
            Self::Datagrams(socket) => _ = socket.send(b"\n")?,
        }
        Ok(())
    }

    fn hear(&mut self) -> Result<Answer, Failure> {
        match self {
            Self::Stream(stream) => {
                let mut line = String::new();
                if stream.read_line(&mut line)? == 0 {
                    return Err(Failure::Closed);
                }
                line.parse()
            }
            Self::Datagrams(socket) => {
                let mut datagram = [0; DATAGRAM_BYTES];
                let length = socket.recv(&mut datagram)?;
                String::from_utf8_lossy(&datagram[..length]).parse()
            }
        }
    }
}

/// Opens a connection or, over UDP, a flow with a source port of its own, and waits for its answer.
pub(super) async fn connect(
    to: SocketAddr,
    protocol: Protocol,
    patience: Duration,
) -> Result<Connection, Failure> {
    let (line, answer, local) = match protocol {
        Protocol::Tcp => {
            let (stream, answer) = greeted(to, patience).await?;
            let local = stream.local_addr()?;
            (Line::stream(stream, patience)?, answer, local)
        }
        Protocol::Sctp => {
            let (stream, answer) = greeting(sctp_connect(to), patience).await?;
            let local = stream.local_addr()?;
            (Line::stream(stream, patience)?, answer, local)
        }
        Protocol::Udp => {
            let (socket, answer) = ask_from(to, None, QUESTION, patience).await?;
            let local = socket.local_addr()?;
            (Line::datagrams(socket, patience)?, answer, local)
        }
    };
    Ok(Connection::new(line, answer, local))
}

/// Opens a TCP connection and reads the server's greeting.
pub(super) async fn greeted(
    to: SocketAddr,
    patience: Duration,
) -> Result<(TcpStream, Answer), Failure> {
    greeting(TcpStream::connect(to), patience).await
}

async fn greeting(
    connecting: impl Future<Output = io::Result<TcpStream>>,
    patience: Duration,
) -> Result<(TcpStream, Answer), Failure> {
    timeout(patience, async {
        let mut stream = tokio::io::BufReader::new(connecting.await?);
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(Failure::Closed);
        }
        Ok((stream.into_inner(), line.parse::<Answer>()?))
    })
    .await
    .map_err(|_| Failure::TimedOut)?
}

/// Sends one datagram and waits for its answer, from a given source port or any.
pub async fn ask_udp(
    to: SocketAddr,
    from_port: Option<u16>,
    patience: Duration,
) -> Result<Answer, Failure> {
    Ok(ask_from(to, from_port, QUESTION, patience).await?.1)
}

/// As [`ask_udp`], with a datagram of so many bytes and an answer that is as long.
pub async fn ask_udp_at_length(
    to: SocketAddr,
    bytes: usize,
    patience: Duration,
) -> Result<Answer, Failure> {
    let question = QUESTION.repeat(bytes);
    Ok(ask_from(to, None, &question, patience).await?.1)
}

async fn ask_from(
    to: SocketAddr,
    from_port: Option<u16>,
    question: &[u8],
    patience: Duration,
) -> Result<(UdpSocket, Answer), Failure> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, from_port.unwrap_or(0))).await?;
    // Connected, so that an ICMP error comes back as one.
    socket.connect(to).await?;
    socket.send(question).await?;
    let mut datagram = [0; DATAGRAM_BYTES];
    let length = timeout(patience, socket.recv(&mut datagram))
        .await
        .map_err(|_| Failure::TimedOut)??;
    if length < question.len() {
        return Err(Failure::Other(format!("an answer of {length} bytes")));
    }
    let answer = String::from_utf8_lossy(&datagram[..length]).parse()?;
    Ok((socket, answer))
}

/// A runtime on the calling thread, and so in its namespace.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
