//! Connections that come back from far real servers when nearer ones have room again.
//!
//! The kernel ends them, a few a second, for as long as it is told so: that runs out by itself, so
//! an agent that dies in the middle leaves connections alone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Instant;

use tracing::{info, warn};

use super::Syncer;
use super::platform::Platform;
use crate::kernel::nft::Element;
use crate::model::Protocol;

/// What the kernel was told last.
#[derive(Debug, Default)]
pub struct Called {
    servers: BTreeSet<(Protocol, IpAddr, NonZeroU16)>,
    at: Option<Instant>,
}

impl<P: Platform> Syncer<P> {
    /// Has connections end that go to these real servers, so that their clients open new ones, and
    /// those to all others stay. To be called again and again for as long as it shall be so.
    pub fn call_back(
        &mut self,
        mut servers: BTreeSet<(Protocol, IpAddr, NonZeroU16)>,
        now: Instant,
    ) {
        self.keep_what_is_shared(&mut servers);
        let news = servers != self.called.servers;
        // What the kernel is told runs out: it is told again when half of that time is over.
        let again = Element::CALLED / 2;
        let old = self.called.at.is_none_or(|at| now >= at + again);
        if !news && (servers.is_empty() || !old) {
            return;
        }
        let elements: Vec<Element> = servers
            .iter()
            .map(|&(protocol, ip, port)| Element::Called { ip, protocol, port })
            .collect();
        if let Err(trouble) = self.platform.call_back(&elements) {
            // What was said before ends by itself.
            warn!(error = %trouble, "far connections cannot be called back now");
            return;
        }
        if news {
            info!(
                endpoints = servers.len(),
                "calling connections back from far endpoints"
            );
        }
        self.called = Called {
            servers,
            at: Some(now),
        };
    }

    /// Takes out the real servers of more than one endpoint set. The kernel tells connections by
    /// where they went, not by what they asked for, and to another Service's clients, or to some of
    /// the same Service's, such a real server may be the nearest.
    fn keep_what_is_shared(&self, servers: &mut BTreeSet<(Protocol, IpAddr, NonZeroU16)>) {
        if servers.is_empty() {
            return;
        }
        let mut seen = BTreeSet::new();
        for (id, known) in &self.ports {
            for real in known.servers.iter().flat_map(|server| &server.reals) {
                let server = (id.port.protocol, real.ip, real.port);
                if servers.contains(&server) && !seen.insert(server) {
                    servers.remove(&server);
                }
            }
        }
    }
}
