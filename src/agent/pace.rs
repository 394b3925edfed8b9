//! The capacity loop in its place between plan and sync: plans get their thresholds from it before
//! they are programmed, and at every tick it is fed the kernel's counts.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::capacity::{Controller, Count, Key, Pace};
use crate::model::{ServiceId, SetId};
use crate::plan::{ServicePlan, VirtualServer};
use crate::sync::{Counted, Platform, Syncer, Trouble};

/// The capacity loop, and when it is due.
#[derive(Debug)]
pub struct Pacer {
    controller: Controller,
    pace: Pace,
    /// When each virtual server with a capacity is due.
    due: BTreeMap<Key, Instant>,
    /// How long it takes to look at one of them.
    cost: Duration,
    /// Whether the last of them has gone since the last tick.
    emptied: bool,
}

/// What looking at counts may take of a processor: a twentieth.
const SHARE: u32 = 20;

impl Pacer {
    /// The loop of the node of this name, with nothing to do yet.
    pub fn new(pace: Pace, node: &str) -> Self {
        Self {
            controller: Controller::new(pace).on(node),
            pace,
            due: BTreeMap::new(),
            cost: Duration::ZERO,
            emptied: false,
        }
    }

    /// When [`Self::tick`] has something to do; never while no Service has a capacity.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// The loop itself, to ask how things stand.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The loop itself, to tell it of the other nodes.
    pub fn controller_mut(&mut self) -> &mut Controller {
        &mut self.controller
    }

    /// Writes into the plan of a Service what the kernel shall hold now.
    pub fn arrange<P: Platform>(
        &mut self,
        service: &ServiceId,
        plan: &mut ServicePlan,
        syncer: &mut Syncer<P>,
        now: Instant,
    ) {
        let mut wanted = Vec::new();
        for (id, planned) in plan.iter_mut() {
            let signs = planned.signs();
            for server in &mut planned.servers {
                let key = Key {
                    id: id.clone(),
                    family: server.family,
                };
                let adopted = if server.has_capacity() {
                    let counts = counted(id, syncer.counts_before(id, &signs, server.family));
                    wanted.push((key.clone(), is_all_of(&counts, server)));
                    counts
                } else {
                    Vec::new()
                };
                self.controller.arrange(&key, server, &adopted, now);
            }
        }
        let known = Key::of_service(&self.due, service);
        let gone: Vec<Key> = known
            .filter(|key| wanted.iter().all(|(one, _)| one != *key))
            .cloned()
            .collect();
        for key in gone {
            self.controller.forget(&key);
            self.due.remove(&key);
            self.emptied = self.due.is_empty();
        }
        for (key, is_counted) in wanted {
            // A first look at once, since what comes before it counts as there all along; and one
            // where the kernel is now given an endpoint that it may have old connections of.
            let due = self.due.entry(key).or_insert(now);
            *due = if is_counted { *due } else { now };
        }
    }

    /// Feeds the loop the kernel's counts of what is due, and tells the kernel what follows. Whether
    /// there is anything to tell: something was due, or the last virtual server has gone.
    pub fn tick<P: Platform>(&mut self, syncer: &mut Syncer<P>, now: Instant) -> bool {
        let begin = Instant::now();
        let mut changes = Vec::new();
        let mut looked = 0;
        let usual = self.usual();
        for (key, due) in self.due.iter_mut().filter(|(_, due)| **due <= now) {
            looked += 1;
            let counts = counted(&key.id, syncer.counts(&key.id, key.family));
            // Nothing is known of a virtual server that cannot be read: it stays as it is.
            if !counts.is_empty() {
                let adjustments = self.controller.tick(key, &counts, now);
                changes.push((key.id.clone(), key.family, adjustments));
            }
            *due = now + self.controller.delay(key).unwrap_or(usual).min(usual);
        }
        if looked == 0 && !self.due.is_empty() {
            return false;
        }
        syncer.tune(&changes, now);
        let called = self.controller.called_back(now);
        let called = called.map(|(key, (ip, port))| (key.id.port.protocol, ip, port));
        syncer.call_back(called.collect(), now);
        if looked > 0 {
            self.cost = (self.cost + begin.elapsed() / looked) / 2;
        }
        looked > 0 || std::mem::take(&mut self.emptied)
    }

    /// Between two looks at a virtual server that does not ask for more: as often as is cheap, since
    /// short connections out of the blue fill a threshold in no time, but no less often than the
    /// tick.
    fn usual(&self) -> Duration {
        let servers = u32::try_from(self.due.len()).unwrap_or(u32::MAX);
        let affordable = self.cost.saturating_mul(servers).saturating_mul(SHARE);
        affordable.clamp(self.pace.fast_tick.min(self.pace.tick), self.pace.tick)
    }
}

/// Whether these are the counts of all endpoints of a virtual server.
fn is_all_of(counts: &[Count], server: &VirtualServer) -> bool {
    let counted: HashSet<_> = counts.iter().map(Count::address).collect();
    let mut reals = server.reals.iter();
    reals.all(|real| counted.contains(&(real.ip, real.port)))
}

fn counted(id: &SetId, counts: Result<Vec<Counted>, Trouble>) -> Vec<Count> {
    let counts = counts.unwrap_or_else(|trouble| {
        warn!(port = %id, error = %trouble, "the kernel's counts cannot be read");
        Vec::new()
    });
    counts.iter().filter_map(count).collect()
}

fn count(counted: &Counted) -> Option<Count> {
    let entry = &counted.entry;
    Some(Count {
        ip: entry.destination.ip,
        port: entry.destination.port.try_into().ok()?,
        active: entry.active,
        inactive: entry.inactive,
        connections: entry.stats.connections,
        in_packets: entry.stats.packets_in,
        out_packets: entry.stats.packets_out,
        returned: counted.pinned,
        returns: counted.pinned_so_far,
    })
}
