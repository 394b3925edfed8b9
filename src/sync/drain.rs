//! Real servers that are no longer wanted finish the connections that they have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::known::{KnownPort, KnownReal, KnownServer};
use super::pins::Address;
use super::platform::{Platform, Trouble};
use crate::kernel::ipvs::{Command, DestinationEntry};
use crate::model::SetId;

/// The kernel does not say when a connection ends, so it is asked: soon after an endpoint has
/// gone, when most have no connection left, and then ever more rarely.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The service ports with real servers at weight 0, and when to look at them again.
#[derive(Debug)]
pub struct Drain {
    /// How long a real server may take.
    limit: Duration,
    ports: BTreeMap<SetId, Leaving>,
    due: Option<Instant>,
    delay: Duration,
}

/// Since when real servers have been leaving.
pub type Leaving = BTreeMap<Address, Instant>;

impl Drain {
    /// Nothing drains yet; what will may take at most `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            ports: BTreeMap::new(),
            due: None,
            delay: FIRST,
        }
    }

    /// Notes which real servers of a service port are leaving now. Those that were leaving before
    /// go on from where they are.
    pub fn watch(&mut self, id: &SetId, known: &KnownPort, now: Instant) {
        let before = self.ports.remove(id).unwrap_or_default();
        let leaving: Leaving = known
            .draining()
            .map(|real| (real, before.get(&real).copied().unwrap_or(now)))
            .collect();
        if leaving.is_empty() {
            return;
        }
        if leaving.keys().any(|key| !before.contains_key(key)) {
            self.delay = FIRST;
            self.due = Some(now + FIRST);
        }
        self.ports.insert(id.clone(), leaving);
    }

    /// When to look next.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.ports.is_empty())
    }

    /// The service ports to look at, if it is time.
    pub fn due(&mut self, now: Instant) -> Vec<SetId> {
        if self.deadline().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.delay = LONGEST.min(self.delay * 2);
        self.due = Some(now + self.delay);
        self.ports.keys().cloned().collect()
    }

    /// The commands that delete the real servers of a service port which have no connection left
    /// or have used up their time, and the real servers that they delete.
    pub fn finished(
        &self,
        platform: &mut impl Platform,
        id: &SetId,
        known: &KnownPort,
        now: Instant,
    ) -> Result<Vec<(Command, KnownReal)>, Trouble> {
        let mut finished = Vec::new();
        for server in known.servers.iter().filter(|server| server.is_draining()) {
            let key = server.key();
            for entry in platform.destinations(&key)? {
                let real = leaving(server, &entry)
                    .filter(|real| entry.is_idle() || self.is_late(id, &real.key(), now));
                finished.extend(real.map(|real| {
                    (
                        Command::DelDestination(key, real.ip, real.port.get()),
                        *real,
                    )
                }));
            }
        }
        Ok(finished)
    }

    /// The pins of a service port that nobody comes back by and that have no connection left or have
    /// used up their time.
    pub fn finished_pins(
        &self,
        platform: &mut impl Platform,
        id: &SetId,
        known: &KnownPort,
        now: Instant,
    ) -> Result<Vec<Address>, Trouble> {
        let mut finished = Vec::new();
        if known.unsure {
            // There may be virtual servers of which nothing is known yet.
            return Ok(finished);
        }
        for (address, pin) in known.pins.iter().filter(|(_, pin)| !pin.alive) {
            if self.is_late(id, address, now) || !pin.is_busy(platform)? {
                finished.push(*address);
            }
        }
        Ok(finished)
    }

    fn is_late(&self, id: &SetId, real: &Address, now: Instant) -> bool {
        let since = self.ports.get(id).and_then(|leaving| leaving.get(real));
        since.is_some_and(|since| now.duration_since(*since) >= self.limit)
    }
}

fn leaving<'a>(server: &'a KnownServer, entry: &DestinationEntry) -> Option<&'a KnownReal> {
    server.reals.iter().find(|real| {
        real.is_draining()
            && real.ip == entry.destination.ip
            && real.port.get() == entry.destination.port
    })
}
