//! A kernel in memory: as much of IPVS as decides where a connection goes (`ip_vs_sed.c`,
//! `ip_vs_wlc.c`, `ip_vs_lc.c`, what a round of `ip_vs_rr.c` and `ip_vs_wrr.c` adds up to,
//! `ip_vs_bind_dest` and `ip_vs_unbind_dest` in `ip_vs_conn.c`,
//! `__ip_vs_update_dest` in `ip_vs_ctl.c`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::capacity::{Address, Adjustment, Controller, Count, Held, Key};
use crate::model::{Protocol, Scheduler};
use crate::plan::{Limits, VirtualServer};

/// How long the kernel remembers a TCP connection that is over.
pub const TIME_WAIT: Duration = Duration::from_mins(2);

#[derive(Clone, Debug)]
pub struct Dest {
    pub count: Count,
    pub weight: u32,
    pub limits: Limits,
    pub overload: bool,
}

impl Dest {
    fn unbind(&mut self) {
        self.count.inactive -= 1;
        let (total, Limits { upper, lower }) = (self.count.total(), self.limits);
        let below = match (lower, upper) {
            (0, 0) => true,
            (0, _) => total * 4 < upper * 3,
            _ => total < lower,
        };
        if below {
            self.overload = false;
        }
    }
}

/// One virtual server in the kernel, the controller that keeps it, and clients.
pub struct World {
    pub controller: Controller,
    pub key: Key,
    pub plan: VirtualServer,
    pub dests: Vec<Dest>,
    pub now: Instant,
    pub refused: usize,
    pub edits: usize,
    /// What ends when: connections that close, and those that are forgotten.
    ends: BTreeMap<Instant, Vec<(Address, bool)>>,
    next_tick: Instant,
    /// What each real server has had of the rounds so far, for its weight.
    turns: BTreeMap<Address, f64>,
    /// Which connections closed, and when.
    pub closed: Vec<(Instant, Address)>,
    /// Whether endpoints answer.
    pub answers: bool,
}

impl World {
    /// A kernel that holds the plan, which the controller knows from `adopted` counts of zero: no
    /// slow start.
    pub fn warm(controller: Controller, key: Key, plan: VirtualServer) -> Self {
        let mut world = Self::empty(controller, key, plan);
        let zero: Vec<Count> = world.plan.reals.iter().map(zero).collect();
        world.arrange(&zero);
        world
    }

    /// The same, but all endpoints are new.
    pub fn cold(controller: Controller, key: Key, plan: VirtualServer) -> Self {
        let mut world = Self::empty(controller, key, plan);
        world.arrange(&[]);
        world
    }

    fn empty(controller: Controller, key: Key, plan: VirtualServer) -> Self {
        let now = Instant::now();
        Self {
            controller,
            key,
            plan,
            dests: Vec::new(),
            now,
            refused: 0,
            edits: 0,
            ends: BTreeMap::new(),
            next_tick: now,
            turns: BTreeMap::new(),
            closed: Vec::new(),
            answers: true,
        }
    }

    /// Brings the kernel to the plan as the controller has it.
    pub fn arrange(&mut self, adopted: &[Count]) {
        let mut arranged = self.plan.clone();
        self.controller
            .arrange(&self.key, &mut arranged, adopted, self.now);
        self.dests.retain(|dest| {
            arranged
                .reals
                .iter()
                .any(|real| of(real) == dest.count.address())
        });
        for real in &arranged.reals {
            let adjustment = Adjustment {
                ip: real.ip,
                port: real.port,
                weight: real.weight,
                limits: real.limits,
            };
            if self.dest(of(real)).is_some() {
                self.edit(adjustment);
            } else {
                // The last one added is the first in every scan.
                self.dests.insert(
                    0,
                    Dest {
                        count: zero(real),
                        weight: real.weight,
                        limits: real.limits,
                        overload: false,
                    },
                );
            }
        }
        self.next_tick = self.now + self.delay();
    }

    fn delay(&self) -> Duration {
        self.controller
            .delay(&self.key)
            .unwrap_or(Duration::from_secs(1))
    }

    pub fn dest(&mut self, address: Address) -> Option<&mut Dest> {
        self.dests
            .iter_mut()
            .find(|dest| dest.count.address() == address)
    }

    pub fn counts(&self) -> Vec<Count> {
        self.dests.iter().map(|dest| dest.count).collect()
    }

    fn edit(&mut self, to: Adjustment) {
        assert!(to.weight > 0, "a weight of 0 is the drain's word");
        assert!(to.limits.lower <= to.limits.upper, "ERANGE: {to:?}");
        let dest = self.dest((to.ip, to.port)).expect("a real server");
        if to.limits.upper == 0 || to.limits.upper > dest.limits.upper {
            dest.overload = false;
        }
        dest.weight = to.weight;
        dest.limits = to.limits;
    }

    pub fn tick(&mut self) {
        let counts = self.counts();
        let adjustments = self.controller.tick(&self.key, &counts, self.now);
        self.edits += adjustments.len();
        for adjustment in adjustments {
            self.edit(adjustment);
        }
        self.next_tick = self.now + self.delay();
    }

    /// Lets time pass: connections end, and ticks happen.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let end = self.ends.keys().next().copied().filter(|at| *at <= until);
            match end {
                Some(at) if at <= self.next_tick => {
                    self.now = at;
                    for (address, closes) in self.ends.remove(&at).unwrap_or_default() {
                        self.end(address, closes);
                    }
                }
                _ if self.next_tick <= until => {
                    self.now = self.next_tick;
                    self.tick();
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn end(&mut self, address: Address, closes: bool) {
        let forgotten = self.now + TIME_WAIT;
        let Some(dest) = self.dest(address) else {
            return;
        };
        if closes {
            dest.count.active -= 1;
            dest.count.inactive += 1;
            self.closed.push((self.now, address));
            self.ends
                .entry(forgotten)
                .or_default()
                .push((address, false));
        } else {
            dest.unbind();
        }
    }

    /// A new connection (UDP: flow) that lasts for so long; where it goes.
    pub fn connect(&mut self, holds: Duration) -> Option<Address> {
        let udp = self.key.id.port.protocol == Protocol::Udp;
        let scheduler = self.plan.scheduler;
        if matches!(
            scheduler,
            Scheduler::RoundRobin | Scheduler::WeightedRoundRobin
        ) {
            let next = self.next_turn(scheduler);
            return self.bind(next, udp, holds);
        }
        let cost = |dest: &Dest| match scheduler {
            Scheduler::WeightedLeastConnection | Scheduler::LeastConnection => {
                u64::from(dest.count.active) * 256 + u64::from(dest.count.inactive)
            }
            _ => u64::from(dest.count.active) + 1,
        };
        let mut best: Option<usize> = None;
        for (index, dest) in self.dests.iter().enumerate() {
            if dest.overload || dest.weight == 0 {
                continue;
            }
            let better = best.is_none_or(|best| {
                let best = &self.dests[best];
                cost(dest) * u64::from(best.weight) < cost(best) * u64::from(dest.weight)
            });
            if better {
                best = Some(index);
            }
        }
        self.bind(best, udp, holds)
    }

    /// The real server that has had least of the rounds for its weight, of those that take
    /// connections. Who takes none misses its turns.
    fn next_turn(&mut self, scheduler: Scheduler) -> Option<usize> {
        let weight = |dest: &Dest| match scheduler {
            Scheduler::RoundRobin => 1.0,
            _ => f64::from(dest.weight),
        };
        let turns = |dest: &Dest, turns: &BTreeMap<Address, f64>| {
            turns.get(&dest.count.address()).copied().unwrap_or(0.0)
        };
        let open = self.dests.iter().enumerate();
        let open = open.filter(|(_, dest)| !dest.overload && dest.weight > 0);
        let next = |dest: &Dest| turns(dest, &self.turns) + 1.0 / weight(dest);
        let (index, dest) = open.min_by(|(_, one), (_, two)| next(one).total_cmp(&next(two)))?;
        let at = next(dest);
        self.turns.insert(dest.count.address(), at);
        for dest in self.dests.iter().filter(|dest| dest.overload) {
            let missed = at - 1.0 / weight(dest);
            let had = self.turns.entry(dest.count.address()).or_default();
            *had = had.max(missed);
        }
        Some(index)
    }

    fn bind(&mut self, to: Option<usize>, udp: bool, holds: Duration) -> Option<Address> {
        let Some(index) = to else {
            self.refused += 1;
            return None;
        };
        let answers = self.answers;
        let dest = &mut self.dests[index];
        if udp {
            dest.count.inactive += 1;
        } else {
            dest.count.active += 1;
        }
        dest.count.connections += 1;
        dest.count.in_packets += 4;
        dest.count.out_packets += if answers { 4 } else { 0 };
        if dest.limits.upper != 0 && dest.count.total() >= dest.limits.upper {
            dest.overload = true;
        }
        let address = dest.count.address();
        let ends = self.now + holds;
        self.ends.entry(ends).or_default().push((address, !udp));
        Some(address)
    }

    /// So many connections per second for so long, evenly, each of which lasts for `holds`.
    pub fn load(&mut self, per_second: u32, time: Duration, holds: Duration) {
        let gap = Duration::from_secs(1) / per_second;
        let until = self.now + time;
        while self.now < until {
            self.connect(holds);
            self.pass(gap);
        }
    }
}

fn of(real: &crate::plan::RealServer) -> Address {
    (real.ip, real.port)
}

pub fn zero(real: &crate::plan::RealServer) -> Count {
    Count {
        ip: real.ip,
        port: real.port,
        active: 0,
        inactive: 0,
        connections: 0,
        in_packets: 0,
        out_packets: 0,
        returned: Held::default(),
        returns: 0,
    }
}
