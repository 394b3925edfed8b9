//! Echo servers: every connection, line and datagram is answered with the server's name and the
//! client's address.

use std::io;
use std::iter;
use std::net::{self, IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::socket::sctp_listener;

/// Longer than any line or datagram that is sent here.
const DATAGRAM_BYTES: usize = 2048;

/// Sockets that are bound but not served yet.
///
/// Two steps, because a socket belongs to the namespace of the thread that opens it.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<net::TcpListener>,
    datagrams: Vec<net::UdpSocket>,
}

impl Bound {
    /// Binds TCP, UDP and, where the kernel has it, SCTP on one port of the given addresses, in
    /// the namespace of the calling thread.
    pub fn open(addresses: &[IpAddr], port: u16) -> io::Result<Self> {
        let mut bound = Self {
            listeners: Vec::new(),
            datagrams: Vec::new(),
        };
        for &address in addresses {
            let address = SocketAddr::new(address, port);
            let listener = net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            bound.listeners.push(listener);
            let datagrams = net::UdpSocket::bind(address)?;
            datagrams.set_nonblocking(true)?;
            bound.datagrams.push(datagrams);
            match sctp_listener(address) {
                Ok(listener) => bound.listeners.push(listener),
                Err(error) if error.raw_os_error() == Some(nix::libc::EPROTONOSUPPORT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bound)
    }
}

/// How far a server has been shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Serving,
    /// New clients are refused, open connections go on.
    Closed,
    /// Nothing is left.
    Gone,
}

/// A running echo server; it is gone when this value is dropped.
#[derive(Debug)]
pub struct Echo {
    state: watch::Sender<State>,
    /// Closed once every socket is that new clients come to.
    open: watch::Sender<()>,
}

impl Echo {
    /// Serves on bound sockets under a name.
    pub fn start(runtime: &Runtime, name: &str, bound: Bound) -> io::Result<Self> {
        let name: Arc<str> = name.into();
        let (state, watched) = watch::channel(State::Serving);
        let (open, still_open) = watch::channel(());
        let _context = runtime.enter();
        for listener in bound.listeners {
            let listener = TcpListener::from_std(listener)?;
            let (name, state, open) = (name.clone(), watched.clone(), still_open.clone());
            runtime.spawn(listen((listener, open), name, state));
        }
        for socket in bound.datagrams {
            let socket = UdpSocket::from_std(socket)?;
            let (name, state, open) = (name.clone(), watched.clone(), still_open.clone());
            runtime.spawn(answer_datagrams((socket, open), name, state));
        }
        Ok(Self { state, open })
    }

    /// Closes the sockets that new clients come to; returns when they are closed. Open connections
    /// go on being answered.
    pub fn stop_listening(&self, runtime: &Runtime) {
        self.state.send_replace(State::Closed);
        runtime.block_on(self.open.closed());
    }

    /// Closes everything; returns when it is closed.
    pub fn kill(&self, runtime: &Runtime) {
        self.state.send_replace(State::Gone);
        runtime.block_on(self.state.closed());
    }
}

/// A socket that new clients come to, with a sign of life that ends with it.
type Open<T> = (T, watch::Receiver<()>);

/// Accepts connections and answers them until told to stop.
async fn listen(listener: Open<TcpListener>, name: Arc<str>, mut state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            // A client that has given up already makes `accept` fail; the next one may be fine.
            if let Ok((stream, client)) = listener.0.accept().await {
                connections.spawn(answer_lines(stream, client, name.clone()));
                while connections.try_join_next().is_some() {}
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = reached(&mut state, State::Closed) => {}
    }
    for (stream, client) in waiting(listener) {
        connections.spawn(answer_lines(stream, client, name.clone()));
    }
    reached(&mut state, State::Gone).await;
    connections.shutdown().await;
}

/// Closes a listener, and returns the connections that it has not accepted yet: the kernel would
/// reset them.
fn waiting((listener, _open): Open<TcpListener>) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    let accepted = iter::from_fn(|| listener.accept().ok());
    let usable = accepted.filter_map(|(stream, client)| {
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, client))
    });
    usable.collect()
}

async fn answer_lines(mut stream: TcpStream, client: SocketAddr, name: Arc<str>) {
    let line = line(&name, client);
    let (reader, mut writer) = stream.split();
    let mut requests = BufReader::new(reader).lines();
    loop {
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        let Ok(Some(_)) = requests.next_line().await else {
            return;
        };
    }
}

async fn answer_datagrams(
    socket: Open<UdpSocket>,
    name: Arc<str>,
    mut state: watch::Receiver<State>,
) {
    let mut datagram = [0; DATAGRAM_BYTES];
    let answering = async {
        loop {
            // An answer that nobody took (ICMP) shows as an error here; it ends nothing.
            if let Ok((length, client)) = socket.0.recv_from(&mut datagram).await {
                let mut answer = line(&name, client).into_bytes();
                answer.resize(answer.len().max(length), b'\n');
                let _ = socket.0.send_to(&answer, client).await;
            }
        }
    };
    tokio::select! {
        () = answering => {}
        () = reached(&mut state, State::Closed) => {}
    }
}

fn line(name: &str, seen_client: SocketAddr) -> String {
    let answered_by = name.to_owned();
    format!(
        "{}\n",
        Answer {
            answered_by,
            seen_client
        }
    )
}

/// Waits for a state or a later one; the end of the [`Echo`] counts as the last.
async fn reached(state: &mut watch::Receiver<State>, wanted: State) {
    let _ = state.wait_for(|state| *state >= wanted).await;
}
