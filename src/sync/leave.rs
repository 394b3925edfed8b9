//! A set of endpoints that is not wanted any more, because its Service has been deleted, say,
//! finishes the connections that it has. Nothing leads to its virtual servers by then, but they
//! stay, and so do its virtual addresses: packets would find no way here without them.
//!
//! A restart ends this: nothing in the kernel tells which addresses such virtual servers had.

use std::collections::HashSet;
use std::net::IpAddr;

use super::diff::drained;
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
    let busy: HashSet<(IpAddr, u16)> = counted
        .iter()
        .filter(|entry| !entry.is_idle())
        .map(|entry| (entry.destination.ip, entry.destination.port))
        .collect();
    let is_busy = |real: &KnownReal| busy.contains(&(real.ip, real.port.get()));
    if !server.reals.iter().any(is_busy) {
        return None;
    }
    let key = server.key();
    let mut reals = Vec::with_capacity(busy.len());
    for real in &server.reals {
        if is_busy(real) {
            reals.push(drained(key, *real, commands));
        } else {
            commands.push(Command::DelDestination(key, real.ip, real.port.get()));
        }
    }
    Some(KnownServer {
        reals,
        ..server.clone()
    })
}
