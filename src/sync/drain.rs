//! Real servers that are no longer wanted finish the connections that they have.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::known::{KnownPort, KnownReal};
use super::platform::{Platform, Trouble};
use crate::kernel::ipvs::Command;
use crate::model::ServicePortId;

/// The kernel does not say when a connection ends, so it is asked: soon after an endpoint has
/// gone, when most have no connection left, and then ever more rarely.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The service ports with real servers at weight 0, and when to look at them again.
#[derive(Debug)]
pub struct Drain {
    ports: BTreeSet<ServicePortId>,
    due: Option<Instant>,
    delay: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { ports: BTreeSet::new(), due: None, delay: FIRST }
    }
}

impl Drain {
    /// A service port has real servers to watch.
    pub fn add(&mut self, id: ServicePortId, now: Instant) {
        if self.ports.insert(id) {
            self.delay = FIRST;
            self.due = Some(now + FIRST);
        }
    }

    /// A service port still has.
    pub fn keep(&mut self, id: ServicePortId) {
        self.ports.insert(id);
    }

    /// When to look next.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.ports.is_empty())
    }

    /// Whether that is past.
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|due| due <= now)
    }

    /// The service ports to look at now; those that are not finished are to be kept.
    pub fn take(&mut self, now: Instant) -> BTreeSet<ServicePortId> {
        self.delay = LONGEST.min(self.delay * 2);
        self.due = Some(now + self.delay);
        std::mem::take(&mut self.ports)
    }
}

/// The commands that delete the real servers of a service port which have no connection left,
/// and the real servers that they delete.
pub fn finished(
    platform: &mut impl Platform,
    known: &KnownPort,
) -> Result<Vec<(Command, KnownReal)>, Trouble> {
    let mut finished = Vec::new();
    for server in &known.servers {
        if !server.reals.iter().any(KnownReal::is_draining) {
            continue;
        }
        let key = server.key(known.mark);
        for entry in platform.destinations(&key)? {
            let idle = entry.active == 0 && entry.inactive == 0;
            let real = server.reals.iter().find(|real| {
                real.is_draining()
                    && real.ip == entry.destination.ip
                    && real.port.get() == entry.destination.port
            });
            if let Some(real) = real.filter(|_| idle) {
                finished.push((Command::DelDestination(key, real.ip, real.port.get()), *real));
            }
        }
    }
    Ok(finished)
}
