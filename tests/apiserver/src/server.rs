//! The listener, its connections, and the thread that serves them.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener as Listener, ToSocketAddrs};
use std::sync::{Arc, mpsc as sync_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::handle::Handle;
use crate::serve;
use crate::shared::{Config, Shared};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Tells whoever gave a command that it is done.
pub type Done = sync_mpsc::Sender<io::Result<()>>;

/// What a handle tells the server's thread.
#[derive(Debug)]
pub enum Command {
    Stop(Done),
    Resume(Done),
    StopFor(Duration),
    End,
}

/// A running API server, on a thread of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address`, e.g. `127.0.0.1:0`, and serves.
    pub fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        Self::start(Listener::bind(address)?, config)
    }

    /// Serves on a listener, which may live in another network namespace.
    pub fn start(listener: Listener, config: Config) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (commands, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(address, config, commands));
        let handle = Handle(Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new()
            .name("apiserver".to_owned())
            .spawn(move || {
                let accepting = Accepting {
                    shared,
                    listener,
                    address,
                };
                if let Err(error) = runtime.block_on(accepting.run(received)) {
                    tracing::error!(%error, %address, "the API server ends");
                }
            })?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    /// The means to fill, question and disturb the server.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        self.handle.url()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if the thread has ended already.
        let _ = self.handle.0.commands.send(Command::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the API server's thread has panicked");
        }
    }
}

struct Accepting {
    shared: Arc<Shared>,
    listener: Listener,
    address: SocketAddr,
}

impl Accepting {
    async fn run(self, mut commands: mpsc::UnboundedReceiver<Command>) -> io::Result<()> {
        loop {
            let stopped = self.accept(&mut commands).await?;
            let resumed = match stopped {
                Command::StopFor(pause) => {
                    self.close()?;
                    tokio::time::timeout(pause, resume(&mut commands))
                        .await
                        .unwrap_or(Some(None))
                }
                Command::Stop(done) => {
                    reply(&done, self.close());
                    resume(&mut commands).await
                }
                Command::Resume(_) | Command::End => None,
            };
            let Some(done) = resumed else { return Ok(()) };
            let listening = SockRef::from(&self.listener).listen(BACKLOG);
            match done {
                Some(done) => reply(&done, listening),
                None => listening?,
            }
        }
    }

    /// Accepts and serves connections until told to stop or end, which drops them all.
    async fn accept(&self, commands: &mut mpsc::UnboundedReceiver<Command>) -> io::Result<Command> {
        let listener = TcpListener::from_std(self.listener.try_clone()?)?;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(Arc::clone(&self.shared), stream));
                    }
                    Err(error) => tracing::warn!(%error, "accept"),
                },
                Some(_) = connections.join_next() => {}
                command = commands.recv() => match command {
                    Some(Command::Resume(done)) => reply(&done, Ok(())),
                    command => {
                        connections.shutdown().await;
                        return Ok(command.unwrap_or(Command::End));
                    }
                },
            }
        }
    }

    /// Stops listening but keeps the port, so that clients are refused and nobody else gets it.
    /// The socket stays the same one since a new one might not be in its network namespace.
    fn close(&self) -> io::Result<()> {
        let socket = SockRef::from(&self.listener);
        // Linux: ends the listening state, and gives a port back that the kernel had picked.
        socket.shutdown(Shutdown::Both)?;
        match socket.bind(&self.address.into()) {
            // It still has its port.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            bound => bound,
        }
    }
}

/// Waits for the command to resume, and who wants to hear of it; `None`: the server is to end.
async fn resume(commands: &mut mpsc::UnboundedReceiver<Command>) -> Option<Option<Done>> {
    loop {
        match commands.recv().await? {
            Command::Resume(done) => return Some(Some(done)),
            Command::Stop(done) => reply(&done, Ok(())),
            Command::StopFor(_) => {}
            Command::End => return None,
        }
    }
}

fn reply(done: &Done, result: io::Result<()>) {
    if done.send(result).is_err() {
        tracing::debug!("whoever gave the command did not wait");
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let service = service_fn(move |request| serve::answer(Arc::clone(&shared), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection");
    }
}
