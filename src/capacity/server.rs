//! The control loop of one virtual server.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, Moment};
use super::gate::Gate;
use super::lift::Lift;
use super::number::float;
use super::rank::{Rank, places};
use super::recent::weight;
use super::sum::Sum;
use super::threshold::{Edit, Unit};
use super::{Address, Adjustment, Budgets, Count, Demand, Pace, nudge};
use crate::model::{Capacity, Protocol, Scheduler};
use crate::plan::{Style, VirtualServer};

/// How slowly the demand falls that others hear of.
const DEMAND: Duration = Duration::from_secs(5);

/// The control loop of one virtual server.
#[derive(Debug)]
pub struct Server {
    pub(super) unit: Unit,
    pub(super) style: Style,
    pub(super) scheduler: Scheduler,
    pub(super) shed: bool,
    pub(super) drain_back: bool,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) ranks: Vec<Rank>,
    pub(super) lift: Lift,
    pub(super) demand: Demand,
    pub(super) spilled: u64,
    pub(super) saturated: Duration,
    /// When the reports of the others came that the budgets are made of.
    budgets: Option<Instant>,
    /// When the budgets were made.
    shared: Option<Instant>,
    /// When it was arranged first.
    begun: Option<Instant>,
    /// When it was arranged first, or its last tick.
    pub(super) ticked: Option<Instant>,
    fast: bool,
    /// When the kernel was last told to change something.
    edited: Option<Instant>,
}

impl Server {
    pub fn new(protocol: Protocol) -> Self {
        Self {
            unit: match protocol {
                Protocol::Udp => Unit::Flows,
                Protocol::Tcp | Protocol::Sctp => Unit::Connections,
            },
            style: Style::default(),
            scheduler: Scheduler::default(),
            shed: false,
            drain_back: false,
            endpoints: Vec::new(),
            ranks: Vec::new(),
            lift: Lift::default(),
            demand: Demand::default(),
            spilled: 0,
            saturated: Duration::ZERO,
            budgets: None,
            shared: None,
            begun: None,
            ticked: None,
            fast: false,
            edited: None,
        }
    }

    pub(super) fn moment<'a>(&self, pace: &'a Pace, peers: f64, now: Instant) -> Moment<'a> {
        let reported = self
            .budgets
            .is_some_and(|at| now.saturating_duration_since(at) < pace.budgets_last);
        Moment {
            pace,
            peers,
            reported,
            unit: self.unit,
            now,
        }
    }

    /// Takes a plan, and writes weights and limits into it.
    pub fn arrange(&mut self, plan: &mut VirtualServer, adopted: &[Count], at: Moment<'_>) {
        // What is there when the agent, or the service, begins is not new: a service whose endpoints
        // all were would refuse most of what they can serve.
        let begun = *self.begun.get_or_insert(at.now);
        let slow = at.now.saturating_duration_since(begun) >= at.pace.gather;
        self.ticked.get_or_insert(at.now);
        self.style = plan.style;
        self.scheduler = plan.scheduler;
        self.shed = plan.shed;
        self.drain_back = plan.drain_back;
        let places = places(plan);
        self.ranks = Rank::of(plan, &places, &self.ranks);

        let adopted: BTreeMap<Address, &Count> = adopted
            .iter()
            .map(|count| (count.address(), count))
            .collect();
        let mut before: BTreeMap<Address, Endpoint> = std::mem::take(&mut self.endpoints)
            .into_iter()
            .map(|endpoint| (endpoint.address, endpoint))
            .collect();
        let last = self.ranks.len().saturating_sub(1);
        // Where weights are shares, those without a threshold are found anew at every look.
        let shares = self.style == Style::Share;
        // Beside one that accepts any number nobody need get more than its budget.
        let mut of_last = plan.reals.iter().zip(&places);
        let endless =
            of_last.any(|(real, place)| *place == last && real.capacity == Capacity::Unlimited);
        let open = |place| (shares || (place == last && !endless)) && !plan.shed;
        for (real, place) in plan.reals.iter().zip(&places) {
            let address = (real.ip, real.port);
            let known = before.remove(&address);
            let mut fresh = known.is_none();
            let mut endpoint = known.unwrap_or_else(|| {
                let count = adopted.get(&address).map(|count| **count);
                Endpoint::new(real, count, slow, at)
            });
            fresh |= endpoint.replan(real, *place);
            if !self.nudges() {
                endpoint.nudge(0);
            }
            match (endpoint.budget(at), endpoint.gate) {
                (None, _) => endpoint.gate = Gate::Open,
                (Some(_), Gate::Last { .. }) if open(*place) => {}
                (Some(_), _) if open(*place) && !shares => {
                    endpoint.gate = Gate::Last { lowered: false };
                }
                // The next tick moves it.
                (Some(_), Gate::Threshold(_)) if !fresh => {}
                (Some(_), _) => endpoint.close(1.0, at),
            }
            self.endpoints.push(endpoint);
        }
        self.weigh(at);
        self.lower(at);
        self.reserve(at);
        // Budgets may be made of it before the first tick.
        let load = self.load();
        self.demand.connections = self.demand.connections.max(load);

        for (real, endpoint) in plan.reals.iter_mut().zip(&self.endpoints) {
            real.weight = endpoint.weight();
            real.limits = endpoint.gate.limits();
        }
    }

    /// Whether ties go to the head of the list, and the weights leave room to do something about
    /// it.
    fn nudges(&self) -> bool {
        self.style == Style::Ladder && self.scheduler == Scheduler::ShortestExpectedDelay
    }

    /// This node's part of each endpoint's capacity, by what was heard of the others at `heard`.
    ///
    /// A part is seldom a whole number. So that the nodes together round to what there is, each
    /// rounds up from another fraction on, which `seed` tells.
    pub fn share(&mut self, budgets: &Budgets, seed: u64, heard: Instant, now: Instant) {
        self.budgets = Some(heard);
        let before = self.shared.replace(now).unwrap_or(now);
        let since = now.saturating_duration_since(before);
        for endpoint in &mut self.endpoints {
            let part = budgets.of.get(&endpoint.address).copied();
            endpoint.share(part, round(seed, endpoint.address), since);
        }
    }

    /// The endpoints of a rank.
    pub(super) fn members(&self, place: usize) -> impl Iterator<Item = &Endpoint> {
        let endpoints = self.endpoints.iter();
        endpoints.filter(move |endpoint| endpoint.place == place)
    }

    fn load(&self) -> f64 {
        let loads = self.loads().map(|(_, load)| f64::from(load));
        loads.sum()
    }

    /// What each endpoint has.
    pub fn loads(&self) -> impl Iterator<Item = (Address, u32)> {
        let endpoints = self.endpoints.iter();
        endpoints.map(|endpoint| (endpoint.address, endpoint.load(self.unit)))
    }

    /// Takes what each endpoint has over the other sets of the service port.
    pub fn beside(&mut self, elsewhere: &BTreeMap<Address, u32>) {
        for endpoint in &mut self.endpoints {
            let load = elsewhere.get(&endpoint.address);
            endpoint.beside(load.copied().unwrap_or(0));
        }
    }

    /// What to change, now that the kernel counts this.
    pub fn tick(&mut self, counts: &[Count], at: Moment<'_>) -> Vec<Adjustment> {
        let counts: BTreeMap<Address, &Count> = counts
            .iter()
            .map(|count| (count.address(), count))
            .collect();
        let held: Vec<Adjustment> = self.endpoints.iter().map(held).collect();
        for endpoint in &mut self.endpoints {
            endpoint.see(counts.get(&endpoint.address).copied(), at);
        }
        let since = self.ticked.replace(at.now).unwrap_or(at.now);
        self.measure(at.now.saturating_duration_since(since), at);
        if self.rests(at) {
            return Vec::new();
        }
        self.weigh(at);
        self.lower(at);
        self.reserve(at);
        self.nudge();
        self.suspect();
        let factor = self.lift.factor();
        let mut adjustments = Vec::new();
        for (endpoint, held) in self.endpoints.iter_mut().zip(held) {
            if !counts.contains_key(&endpoint.address) {
                continue;
            }
            let edit = follow(endpoint, factor, at);
            if let Edit::Reopen(first) = edit {
                adjustments.push(endpoint.adjustment(first));
            }
            let wanted = endpoint.adjustment(endpoint.gate.limits());
            if edit != Edit::None || wanted != held {
                adjustments.push(wanted);
            }
        }
        if !adjustments.is_empty() {
            self.edited = Some(at.now);
        }
        adjustments
    }

    /// Whether the last edits are too recent for others: by each, the kernel makes the whole table of
    /// a hash anew (`ip_vs_mh_dest_changed`).
    fn rests(&self, at: Moment<'_>) -> bool {
        let recent = |edited| at.now.saturating_duration_since(edited) < at.pace.hash_rests;
        self.scheduler == Scheduler::MaglevHash && self.edited.is_some_and(recent)
    }

    /// Whether a farther rank gets connections only past a nearer one. By hash it has its turns.
    fn is_strict(&self) -> bool {
        self.style == Style::Ladder && self.scheduler != Scheduler::MaglevHash
    }

    /// Where weights make a ladder, a farther rank gets connections only if the kernel passes all
    /// nearer endpoints over. So one that got none meanwhile is marked in the kernel as full.
    fn suspect(&mut self) {
        if !self.is_strict() {
            return;
        }
        let farthest = self
            .endpoints
            .iter()
            .filter(|one| one.moved.new > 0)
            .map(|one| one.place)
            .max();
        for endpoint in &mut self.endpoints {
            if let Gate::Threshold(threshold) = &mut endpoint.gate
                && endpoint.moved.new == 0
                && Some(endpoint.place) < farthest
            {
                threshold.suspect();
            }
        }
    }

    /// Takes the load of the ranks and of all together in.
    fn measure(&mut self, elapsed: Duration, at: Moment<'_>) {
        let last = self.ranks.len().saturating_sub(1);
        // An idle endpoint gets a flow of UDP now and then, however far it is.
        let nearest_first = self.is_strict() && self.unit == Unit::Connections;
        let mut closed_before = false;
        for place in 0..self.ranks.len() {
            let sum = Sum::of(self.members(place), at);
            let spilled = closed_before || (nearest_first && place > 0);
            self.spilled += if spilled { sum.new } else { 0 };
            closed_before |= sum.count > 0 && sum.closed == sum.count;
            let Some(rank) = self.ranks.get_mut(place) else {
                continue;
            };
            if sum.load > 0.0 || sum.new > 0 {
                rank.busy = Some(at.now);
            }
            let members = self.endpoints.iter().filter(|one| one.place == place);
            rank.count(members, spilled);
            if let Some(budget) = sum.budget {
                let closed = place != last && sum.closed == sum.count;
                rank.saturation
                    .see(sum.load, budget, closed, at.pace, at.now);
                if rank.saturation.is_saturated() && (closed || sum.load >= budget) {
                    rank.spend(elapsed);
                }
            }
        }
        if self.is_spilling() {
            self.saturated += elapsed;
        }

        let all = Sum::of(self.endpoints.iter(), at);
        // Who sheds load keeps to the budgets.
        let whole = all.part.filter(|_| !self.shed).unwrap_or(f64::INFINITY);
        self.lift.see(all.load, whole, at.pace, at.now);
        let falls = (all.load - self.demand.connections) * weight(elapsed, DEMAND);
        self.demand = Demand {
            connections: all.load.max(self.demand.connections + falls),
            per_second: all.per_second,
        };
        self.fast = self.endpoints.iter().any(|endpoint| {
            let soon = 2.0 * endpoint.recent.per_second * at.pace.tick.as_secs_f64();
            let full = matches!(endpoint.gate, Gate::Threshold(threshold) if threshold.is_full());
            // Room that an ending makes is seen at a tick only, and until then connections go far.
            if full && endpoint.moved.endings > 0.0 {
                return true;
            }
            matches!(endpoint.gate, Gate::Threshold(_))
                && endpoint
                    .budget(at)
                    .is_some_and(|budget| soon >= f64::from(budget))
        });
    }

    /// Whether a rank before the last is saturated.
    pub fn is_spilling(&self) -> bool {
        let nearer = self
            .ranks
            .split_last()
            .map_or(&[][..], |(_, nearer)| nearer);
        nearer.iter().any(|rank| rank.saturation.is_saturated())
    }

    /// Puts the endpoints of each rank that see few connections at a time in the order of their
    /// use: where there are many, `sed` balances by itself.
    fn nudge(&mut self) {
        if !self.nudges() {
            return;
        }
        for place in 0..self.ranks.len() {
            let mut members: Vec<&mut Endpoint> = self
                .endpoints
                .iter_mut()
                .filter(|endpoint| endpoint.place == place)
                .collect();
            let load: u64 = members
                .iter()
                .map(|endpoint| u64::from(endpoint.load(self.unit)))
                .sum();
            let new: u64 = members.iter().map(|endpoint| endpoint.moved.new).sum();
            if new == 0 || load >= 2 * members.len() as u64 {
                continue;
            }
            let used: Vec<(f64, u8)> = members.iter().map(|endpoint| endpoint.used()).collect();
            for (endpoint, bucket) in members.iter_mut().zip(nudge::buckets(&used)) {
                endpoint.nudge(bucket);
            }
        }
    }

    /// How long after a tick the next is due.
    pub fn delay(&self, pace: &Pace) -> Duration {
        if self.fast {
            pace.fast_tick.min(pace.tick)
        } else {
            pace.tick
        }
    }
}

/// A fraction, above 0 and at most 1, that is another one for each node and endpoint.
fn round(seed: u64, address: Address) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, address).hash(&mut hasher);
    (float(hasher.finish() >> 32) + 1.0) / (float(u64::from(u32::MAX)) + 1.0)
}

/// What the kernel holds for an endpoint.
fn held(endpoint: &Endpoint) -> Adjustment {
    endpoint.adjustment(endpoint.gate.limits())
}

/// Moves the threshold of an endpoint, if it has one.
fn follow(endpoint: &mut Endpoint, factor: f64, at: Moment<'_>) -> Edit {
    let Some(situation) = endpoint.situation(factor, at) else {
        return Edit::None;
    };
    match &mut endpoint.gate {
        Gate::Threshold(threshold) => threshold.follow(&situation),
        Gate::Open | Gate::Last { .. } => Edit::None,
    }
}
