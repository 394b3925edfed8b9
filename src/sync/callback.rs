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

/// A real server, of whatever service port.
type Server = (Protocol, IpAddr, NonZeroU16);

/// What was last to be called back.
#[derive(Debug, Default)]
pub struct Called {
    asked: BTreeSet<Server>,
    /// What the kernel was told of it.
    told: BTreeSet<Server>,
    at: Option<Instant>,
}

impl<P: Platform> Syncer<P> {
    /// Has connections end that go to these real servers, so that their clients open new ones, and
    /// those to all others stay. To be called again and again for as long as it shall be so.
    pub fn call_back(&mut self, asked: BTreeSet<Server>, now: Instant) {
        // What the kernel is told runs out: it is told again when half of that time is over.
        let again = Element::CALLED / 2;
        let old = self.called.at.is_none_or(|at| now >= at + again);
        if asked == self.called.asked && (asked.is_empty() || !old) {
            return;
        }
        let told = self.of_one_set(&asked);
        let news = told != self.called.told;
        if news || !told.is_empty() {
            let elements: Vec<Element> = told
                .iter()
                .map(|&(protocol, ip, port)| Element::Called { ip, protocol, port })
                .collect();
            if let Err(trouble) = self.platform.call_back(&elements) {
                // What was said before ends by itself.
                warn!(error = %trouble, "far connections cannot be called back now");
                return;
            }
        }
        if news {
            info!(
                endpoints = told.len(),
                "calling connections back from far endpoints"
            );
        }
        self.called = Called {
            asked,
            told,
            at: Some(now),
        };
    }

    /// Those that are in no more than one endpoint set. The kernel tells connections by where they
    /// went, not by what they asked for, and to another Service's clients, or to some of the same
    /// Service's, a real server of several may be the nearest.
    fn of_one_set(&self, asked: &BTreeSet<Server>) -> BTreeSet<Server> {
        let mut alone = asked.clone();
        if asked.is_empty() {
            return alone;
        }
        let mut seen = BTreeSet::new();
        for (id, known) in &self.ports {
            for real in known.servers.iter().flat_map(|server| &server.reals) {
                let server = (id.port.protocol, real.ip, real.port);
                if asked.contains(&server) && !seen.insert(server) {
                    alone.remove(&server);
                }
            }
        }
        alone
    }
}
