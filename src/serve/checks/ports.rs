//! Listening at health-check node ports: those that are wanted, and no others.

use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{AbortHandle, JoinSet};
use tracing::info;

use super::super::Now;
use super::super::events::{Happening, Reason, Subject, Teller};
use super::super::http;
use super::super::listen::persist;
use super::addresses::{self, Own};
use super::{Checks, Place};

/// As many clients as the health port has: load balancers ask often, and in groups.
const BACKLOG: u32 = 128;

/// How often to look which addresses the node has, where not all are meant.
pub(super) const LOOK: Duration = Duration::from_secs(30);

impl Checks {
    /// Answers at the ports that are wanted, for ever.
    pub async fn serve(self: Arc<Self>, teller: Teller) {
        self.serve_at(addresses::own, teller).await;
    }

    /// The same on a node whose addresses are those that `own` reads.
    pub(super) async fn serve_at(
        self: Arc<Self>,
        own: impl Fn() -> nix::Result<Vec<IpAddr>>,
        teller: Teller,
    ) {
        let mut servers = JoinSet::new();
        let mut open = BTreeMap::<Place, AbortHandle>::new();
        let mut known = Own::default();
        loop {
            let networks = self.networks();
            let some = !addresses::are_all(&networks);
            let wanted = if some {
                self.places(&networks, known.take(own()))
            } else {
                self.places(&networks, &[])
            };
            open.retain(|place, server| {
                let stays = wanted.contains(place);
                if !stays {
                    // Its listener goes with it.
                    server.abort();
                }
                stays
            });
            for place in wanted {
                open.entry(place).or_insert_with_key(|place| {
                    servers.spawn(one(self.clone(), place.clone(), teller.clone()))
                });
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK), if some => {}
                // What has been aborted; the others never end.
                Some(_) = servers.join_next() => {}
            }
        }
    }
}

/// Answers at one port, once it is free.
async fn one(checks: Arc<Checks>, place: Place, teller: Teller) {
    let (service, family, port, ip) = place;
    let at = SocketAddr::new(ip, port.get());
    let told = |error: &io::Error| {
        teller.tell(Happening {
            subject: Subject::service(&service, None),
            port: format!("{port}/TCP over {family}"),
            reason: Reason::FailedToStartServiceHealthcheck,
            note: format!(
                "node cannot listen at health-check node port {port} over {family} ({at}): {error}"
            ),
        });
    };
    let here = format!("health-check node port {at} of {service}");
    let listener = persist(here, told, || ready(listen(at))).await;
    info!(%service, %at, "answering health checks");
    let answers = move |_: &http::Request| ready(checks.answer(&service, family, Now::read()));
    http::serve(listener, answers).await;
}

/// Listens at an address, the unspecified one of a family for all of that family, and leaves the other
/// family alone: each has a count of its own.
fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = match at {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
            socket
        }
    };
    // A port that was given up a moment ago may have connections that linger.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}
