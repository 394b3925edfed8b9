//! A set of endpoints that is not wanted any more, because its Service has been deleted, say,
//! finishes the connections that it has. Nothing leads to its virtual servers by then, but they
//! stay, and so do its virtual addresses: packets would find no way here without them.
//!
//! A restart ends this: nothing in the kernel tells which addresses such virtual servers had.

use std::net::IpAddr;
use std::time::Instant;

use super::diff::destination;
use super::known::{KnownReal, KnownServer};
use super::platform::{Platform, Trouble};
use super::{Syncer, elements};
use crate::kernel::ipvs::{Command, DestinationEntry};
use crate::kernel::nft::Element;
use crate::model::{Protocol, SetId};
use crate::plan::Frontend;

impl<P: Platform> Syncer<P> {
    /// What stays of the virtual servers of a set that is gone: those with TCP connections.
    pub(super) fn leaving(
        &mut self,
        id: &SetId,
        commands: &mut Vec<Command>,
    ) -> Result<Vec<KnownServer>, Trouble> {
        let servers = match self.ports.get(id) {
            Some(known) if id.port.protocol == Protocol::Tcp => known.servers.as_slice(),
            _ => &[],
        };
        let mut leaving = Vec::new();
        for server in servers {
            let counted = self.platform.destinations(&server.key())?;
            leaving.extend(with_the_busy(server, &counted, commands));
        }
        Ok(leaving)
    }

    /// Gives up sets that have finished.
    pub(super) fn retire(&mut self, over: &[SetId], now: Instant) {
        for id in over {
            let Some(known) = self.ports.remove(id) else {
                continue;
            };
            self.doomed
                .extend(known.servers.iter().map(KnownServer::key));
            self.retired.push(known.mark);
            for ip in &known.held {
                self.shared.addresses.release(*ip);
            }
            for member in &known.members {
                self.shared.members.release(*member);
            }
        }
        if !over.is_empty() {
            let failed = self.flush(now);
            self.back_off(failed, now);
        }
    }
}

/// The virtual addresses that a set goes on needing when it loses its frontends.
pub fn held(before: &[Frontend], held: &[IpAddr]) -> Vec<IpAddr> {
    let mut all: Vec<_> = elements::addresses(before)
        .chain(held.iter().copied())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What the table needs to know of addresses that are held: that they are virtual.
pub fn members(held: &[IpAddr]) -> impl Iterator<Item = Element> {
    held.iter().copied().map(Element::Vip)
}

/// The virtual server with only those real servers that have connections, at weight 0.
fn with_the_busy(
    server: &KnownServer,
    counted: &[DestinationEntry],
    commands: &mut Vec<Command>,
) -> Option<KnownServer> {
    let is_busy = |real: &&KnownReal| {
        let mut entries = counted.iter();
        entries.any(|it| {
            (it.destination.ip, it.destination.port) == (real.ip, real.port.get()) && !it.is_idle()
        })
    };
    let (busy, idle): (Vec<&KnownReal>, Vec<&KnownReal>) = server.reals.iter().partition(is_busy);
    if busy.is_empty() {
        return None;
    }
    let key = server.key();
    for real in idle {
        commands.push(Command::DelDestination(key, real.ip, real.port.get()));
    }
    let mut reals = Vec::with_capacity(busy.len());
    for real in busy {
        let drained = KnownReal { weight: 0, ..*real };
        if !real.is_draining() {
            commands.push(Command::SetDestination(key, destination(&drained)));
        }
        reals.push(drained);
    }
    Some(KnownServer {
        reals,
        ..server.clone()
    })
}
