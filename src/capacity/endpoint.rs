//! What is known of one endpoint of a virtual server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fallback::Fallback;
use super::gate::Gate;
use super::learned::Learned;
use super::number::{nearest, up};
use super::recent::{Answer, Moved, Recent, weight};
use super::threshold::{Situation, Threshold, Unit};
use super::{Address, Adjustment, Count, Pace, nudge};
use crate::model::{Capacity, Level};
use crate::plan::{Limits, RealServer};

/// How far connections may get beyond a budget, as a part of it: all the head-room there is. The
/// budgets of all nodes together are an endpoint's capacity. Of the tenth that it may be over, most is
/// left for what the rounding of many small budgets adds up to.
pub const CEILING: f64 = 1.03;

/// How slowly a part of the capacity rises and falls that the nodes agreed on: time constants.
const RISE: Duration = Duration::from_secs(6);
const FALL: Duration = Duration::from_secs(1);

/// What all endpoints of a virtual server have in common at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The constants.
    pub pace: &'a Pace,
    /// How many agents there are.
    pub peers: f64,
    /// Whether the budgets of the others' reports can be trusted.
    pub reported: bool,
    /// What counts against budgets.
    pub unit: Unit,
    /// Now.
    pub now: Instant,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: Address,
    pub level: Level,
    pub cluster: Option<Arc<str>>,
    /// Its rank's place, nearest first.
    pub place: usize,
    pub capacity: Capacity,
    pub gate: Gate,
    pub recent: Recent,
    pub moved: Moved,
    /// The plan's weight.
    base: u32,
    bucket: u8,
    /// Since when it is in slow start.
    since: Option<Instant>,
    learned: Learned,
    fallback: Fallback,
    /// Its load over the other sets of the service port.
    elsewhere: u32,
    /// This node's part of the capacity by the reports of all nodes.
    reported: Option<f64>,
    /// From which fraction on a part is rounded up.
    round: f64,
    /// The weight that it has by its budget instead of the plan's.
    lent: Option<u32>,
}

impl Endpoint {
    /// An endpoint that was not there before, at which the kernel counts this already.
    pub fn new(real: &RealServer, count: Option<Count>, slow: bool, at: Moment<'_>) -> Self {
        let recent = Recent::new(count, at.now);
        let mut endpoint = Self {
            address: (real.ip, real.port),
            level: real.level,
            cluster: real.cluster.clone(),
            place: 0,
            capacity: real.capacity,
            gate: Gate::Open,
            recent,
            moved: Moved::default(),
            base: real.weight,
            bucket: 0,
            since: slow.then_some(at.now),
            learned: Learned::default(),
            fallback: Fallback::new(0.0),
            elsewhere: 0,
            reported: None,
            round: 0.5,
            lent: None,
        };
        if !slow {
            endpoint.fallback = Fallback::new(f64::from(endpoint.load(at.unit)));
        }
        endpoint
    }

    /// Takes over what a new plan says. Whether that changes its capacity.
    pub fn replan(&mut self, real: &RealServer, place: usize) -> bool {
        let changed = self.capacity != real.capacity;
        self.level = real.level;
        self.cluster.clone_from(&real.cluster);
        self.place = place;
        self.capacity = real.capacity;
        self.base = real.weight;
        changed
    }

    /// Gives it a threshold that is right for the last counts, with its budget lifted by a factor.
    /// Where there are none, it is taken for empty: a kernel that has kept connections of an earlier
    /// life (before 5.9, or without `expire_nodest_conn`) is the exception, and the first look tells.
    pub fn close(&mut self, factor: f64, at: Moment<'_>) {
        let Some(situation) = self.situation(factor, at) else {
            return;
        };
        let limits = match self.recent.count() {
            Some(_) => situation.limits(),
            None => situation.unseen(),
        };
        self.gate = Gate::Threshold(Threshold::new(limits));
    }

    /// Takes new counts in.
    pub fn see(&mut self, count: Option<&Count>, at: Moment<'_>) {
        if !at.reported {
            // The others fell silent: their last word is where the fallback starts.
            if let Some(reported) = self.reported.take() {
                self.fallback = Fallback::new(reported);
            }
        }
        if self.slow(at) >= 1.0 {
            self.since = None;
        }
        self.moved = count.map_or_else(Moved::default, |count| self.recent.see(count, at.now));
        if let Some(answer) = self.moved.answer {
            let at_limit = self.at_limit(at);
            self.learn(answer, at_limit, at);
        }
    }

    fn at_limit(&self, at: Moment<'_>) -> bool {
        let load = f64::from(self.load(at.unit));
        self.budget(at)
            .is_some_and(|budget| load >= 0.9 * f64::from(budget))
            || matches!(self.gate, Gate::Threshold(threshold) if threshold.is_full())
    }

    fn learn(&mut self, answer: Answer, at_limit: bool, at: Moment<'_>) {
        match self.capacity {
            Capacity::Auto => self.learned.learn(answer, at_limit),
            // Who speaks UDP may be meant not to answer.
            Capacity::Connections(_) if answer == Answer::None && at.unit == Unit::Flows => {}
            Capacity::Connections(capacity) if !at.reported => {
                let capacity = f64::from(capacity.get());
                self.fallback.learn(answer, at_limit, capacity, at.peers);
            }
            Capacity::Connections(_) | Capacity::Unlimited => {}
        }
    }

    /// Takes this node's part of its capacity; none: nobody said. It is rounded up from the fraction
    /// `round` on.
    ///
    /// The first word counts at once. After that a part falls fast and rises slowly: what it rises by
    /// is taken from other nodes, whose connections have to end first.
    pub fn share(&mut self, part: Option<f64>, round: f64, since: Duration) {
        self.round = round;
        self.reported = part.map(|part| {
            self.reported.map_or(part, |before| {
                let slowly = if part > before { RISE } else { FALL };
                before + (part - before) * weight(since, slowly)
            })
        });
    }

    /// The capacity, as a number.
    pub fn most(&self) -> Option<f64> {
        match self.capacity {
            Capacity::Unlimited => None,
            Capacity::Connections(most) => Some(f64::from(most.get())),
            Capacity::Auto => Some(self.learned.get()),
        }
    }

    /// Takes its load over the other sets of the service port: the kernel counts each set alone, but
    /// the endpoint has all of it.
    pub fn beside(&mut self, elsewhere: u32) {
        self.elsewhere = elsewhere;
    }

    /// This node's part of the capacity, less what other sets have of it. What is learned is this
    /// node's part already.
    pub fn part(&self, at: Moment<'_>) -> Option<f64> {
        let most = self.most()?;
        let part = match (self.capacity, at.reported) {
            (Capacity::Auto, _) => most,
            (_, true) => {
                let part = self.reported.unwrap_or(most / at.peers).min(most);
                part * (1.0 - chance(part, most))
            }
            (_, false) => self.fallback.of(most, at.peers),
        };
        Some((part - f64::from(self.elsewhere)).max(0.0))
    }

    /// How much of its part it may have in its slow start, 0 to 1.
    pub fn slow(&self, at: Moment<'_>) -> f64 {
        let Some(since) = self.since else {
            return 1.0;
        };
        let elapsed = at.now.saturating_duration_since(since).as_secs_f64();
        let whole = at.pace.slow_start.as_secs_f64();
        if elapsed >= whole {
            return 1.0;
        }
        let from = at.pace.slow_start_from;
        from + (1.0 - from) * elapsed / whole
    }

    /// Connections at a time that it may have from this node now. At least 1, unless others want
    /// so much of it that this node's part is less than that: many nodes with one connection each
    /// are many connections.
    pub fn budget(&self, at: Moment<'_>) -> Option<u32> {
        let part = self.part(at)?;
        let now = part * self.slow(at);
        let shared = at.reported && !matches!(self.capacity, Capacity::Auto);
        Some(match self.reported {
            Some(_) if shared && part < 1.0 => u32::from(now >= self.round),
            _ => self.whole(now).max(1),
        })
    }

    /// Connections at a time that it must not get beyond, if its budget is lifted by a factor.
    /// Rounded like the budget, so that the ceilings of all nodes together keep to [`CEILING`].
    pub fn ceiling(&self, factor: f64, at: Moment<'_>) -> Option<u32> {
        let budget = self.budget(at)?;
        let now = self.part(at)? * self.slow(at);
        Some(self.whole(now * factor * CEILING).max(budget))
    }

    /// What of it the scheduler shall fill, relative to the other endpoints of its rank: what clients
    /// that came back leave of the budget, or, where a part is too little for a connection, how near
    /// it is to one.
    pub fn fill(&self, factor: f64, at: Moment<'_>) -> Option<f64> {
        Some(if self.budget(at)? == 0 {
            self.part(at)? * self.slow(at) / self.round
        } else {
            let left = self.lifted(factor, at)?;
            f64::from(left.saturating_sub(self.returned(at.unit))) / factor
        })
    }

    /// How many more connections it may have, if its budget is lifted by a factor.
    pub fn room(&self, factor: f64, at: Moment<'_>) -> Option<f64> {
        let budget = f64::from(self.budget(at)?) * factor;
        Some((budget - f64::from(self.load(at.unit))).max(0.0))
    }

    /// So many whole connections for a part.
    fn whole(&self, part: f64) -> u32 {
        nearest((part + 1.0 - self.round).floor())
    }

    /// The plan's weight.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// Takes a weight instead of the plan's; none: the plan's again.
    pub fn lend(&mut self, weight: Option<u32>) {
        self.lent = weight;
    }

    /// What counts against its budget.
    pub fn load(&self, unit: Unit) -> u32 {
        let count = self.recent.count();
        let chosen = count.map_or(0, |count| match unit {
            Unit::Connections => count.active,
            Unit::Flows => count.total(),
        });
        chosen.saturating_add(self.returned(unit))
    }

    /// What of its load no threshold holds back.
    fn returned(&self, unit: Unit) -> u32 {
        let count = self.recent.count();
        count.map_or(0, |count| match unit {
            Unit::Connections => count.returned.active,
            Unit::Flows => count.returned.total(),
        })
    }

    /// Its budget, lifted by a factor.
    fn lifted(&self, factor: f64, at: Moment<'_>) -> Option<u32> {
        Some(up(f64::from(self.budget(at)?) * factor))
    }

    /// Whether no client that is new to it may have any of its budget, lifted by a factor.
    pub fn is_shut(&self, factor: f64, at: Moment<'_>) -> bool {
        let budget = self.lifted(factor, at);
        budget.is_some_and(|budget| budget <= self.returned(at.unit))
    }

    /// What its threshold depends on, with its budget lifted by this factor: what clients that came
    /// back leave of it. None: it has no budget.
    pub fn situation(&self, factor: f64, at: Moment<'_>) -> Option<Situation> {
        let budget = self.lifted(factor, at)?;
        let ceiling = self.ceiling(factor, at)?.max(budget);
        let returned = self.returned(at.unit);
        let (active, inactive) = self
            .recent
            .count()
            .map_or((0, 0), |count| (count.active, count.inactive));
        Some(Situation {
            unit: at.unit,
            budget: budget.saturating_sub(returned),
            ceiling: ceiling.saturating_sub(returned),
            active,
            inactive,
            peak: self.moved.peak,
            arrivals: self.moved.arrivals,
            endings: self.moved.endings,
        })
    }

    /// Its use of late for its weight, and its bucket.
    pub fn used(&self) -> (f64, u8) {
        (self.recent.used / f64::from(self.base.max(1)), self.bucket)
    }

    /// Puts it into a bucket.
    pub fn nudge(&mut self, bucket: u8) {
        self.bucket = bucket;
    }

    /// The weight that the kernel shall hold.
    pub fn weight(&self) -> u32 {
        match (self.lent, self.gate) {
            (Some(weight), _) => nudge::weight(weight, self.bucket),
            (None, Gate::Last { lowered: true }) => 1,
            (None, Gate::Open | Gate::Threshold(_) | Gate::Last { lowered: false }) => {
                nudge::weight(self.base, self.bucket)
            }
        }
    }

    /// What the kernel shall hold, with these limits.
    pub fn adjustment(&self, limits: Limits) -> Adjustment {
        let (ip, port) = self.address;
        Adjustment {
            ip,
            port,
            weight: self.weight(),
            limits,
        }
    }
}

/// What must be kept free of a part since it is rounded: how many nodes round up is a matter of
/// chance. It is the standard deviation of what all of them get together, as a fraction of the
/// capacity, if all have parts like this one.
fn chance(part: f64, capacity: f64) -> f64 {
    let fraction = part.fract();
    if fraction > 0.0 {
        (fraction * (1.0 - fraction) / (part * capacity))
            .sqrt()
            .min(0.5)
    } else {
        0.0
    }
}
