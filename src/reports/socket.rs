//! The exchange on the network. Decides nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use super::exchange::{Asked, Exchange, News, Now};
use super::seal::{Keys, MOST, Rejected};
use super::{Outgoing, Peers};

/// How often the exchange is asked what to send: what waits for it is late by so much.
const TICK: Duration = Duration::from_millis(250);
/// After what time an address that could not be listened on is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Room for what arrives at once, as when thousands of agents find a new keeper.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How often it is said that datagrams are not taken.
const COMPLAIN: Duration = Duration::from_mins(1);

/// What the core says to the exchange, once a second.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// This node's zone.
    pub zone: Option<Arc<str>>,
    /// All agents.
    pub peers: Arc<Peers>,
    /// What this node wants and has.
    pub asked: Vec<Asked>,
}

/// Takes part in the exchange for as long as `local` lasts, and hands on the summaries that come.
/// If nobody takes them they are dropped: there will be newer ones.
///
/// Listens on the address that the agents' Service names for this node and on no other, and on none
/// while it names none. Others so see the address that they expect.
pub async fn run(
    node: Arc<str>,
    keys: Keys,
    mut local: watch::Receiver<Local>,
    news: SyncSender<Vec<News>>,
) {
    let mut exchange = Exchange::new(node.clone(), keys);
    loop {
        let found = own_address(&local.borrow_and_update(), &node);
        let Some(address) = found else {
            if local.changed().await.is_err() {
                return;
            }
            continue;
        };
        let ended = match bind(address).await {
            Ok(socket) => {
                info!(%address, "exchanging reports with the other agents");
                let on = On {
                    socket: &socket,
                    address,
                    node: &node,
                };
                on.serve(&mut exchange, &mut local, &news).await
            }
            Err(error) => Err(error),
        };
        match ended {
            Ok(Next::End) => return,
            Ok(Next::Move) => {}
            Err(error) => {
                warn!(%address, %error, "no reports can be exchanged; trying again");
                sleep(AGAIN).await;
            }
        }
    }
}

fn own_address(local: &Local, node: &str) -> Option<SocketAddr> {
    Some(local.peers.get(node)?.address)
}

async fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    // More than net.core.rmem_max, which NET_ADMIN allows.
    if let Err(error) = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER) {
        debug!(%error, "the receive buffer stays as it is");
    }
    Ok(socket)
}

enum Next {
    /// The core has ended.
    End,
    /// This node's address is another one.
    Move,
}

struct On<'a> {
    socket: &'a UdpSocket,
    address: SocketAddr,
    node: &'a str,
}

impl On<'_> {
    async fn serve(
        &self,
        exchange: &mut Exchange,
        local: &mut watch::Receiver<Local>,
        news: &SyncSender<Vec<News>>,
    ) -> io::Result<Next> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaints = Complaints::default();
        // One byte more than a datagram has, so that one that is too long shows.
        let mut buffer = [0; MOST + 1];
        local.mark_changed();
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    let bytes = buffer.get(..length).unwrap_or_default();
                    if let Err(rejected) = exchange.on_datagram(from, bytes, now()) {
                        complaints.hear(from, rejected);
                    }
                }
                changed = local.changed() => {
                    if changed.is_err() {
                        return Ok(Next::End);
                    }
                    let local = local.borrow_and_update();
                    exchange.peers(local.peers.clone());
                    exchange.demand(local.zone.clone(), &local.asked, now());
                    if own_address(&local, self.node) != Some(self.address) {
                        return Ok(Next::Move);
                    }
                }
                _ = ticks.tick(), if !exchange.is_idle() => {
                    let (outgoing, come) = exchange.tick(now());
                    if !come.is_empty() {
                        // A core that is busy takes the next ones.
                        let _ = news.try_send(come);
                    }
                    for Outgoing { to, bytes } in outgoing {
                        // A loss like any other.
                        if let Err(error) = self.socket.send_to(&bytes, to).await {
                            debug!(%to, %error, "a datagram could not be sent");
                        }
                    }
                }
            }
        }
    }
}

/// Says that datagrams are not taken, but not for each.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
}

impl Complaints {
    fn hear(&mut self, from: SocketAddr, rejected: Rejected) {
        let now = Instant::now();
        let lately = |last| now.saturating_duration_since(last) < COMPLAIN;
        if !self.last.is_some_and(lately) {
            self.last = Some(now);
            warn!(%from, reason = %rejected, "reports are not taken");
        }
    }
}

fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Now {
        instant: Instant::now(),
        unix_micros: u64::try_from(micros).unwrap_or(u64::MAX),
    }
}
