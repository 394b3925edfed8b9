//! How IPVS picks a destination.

use anyhow::bail;
use spillway::model::Scheduler;

use super::{Dest, Server, Slot};

/// The schedulers that the model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    RoundRobin,
    WeightedRoundRobin,
    WeightedLeastConnection,
    ShortestExpectedDelay,
}

impl TryFrom<Scheduler> for Way {
    type Error = anyhow::Error;

    fn try_from(scheduler: Scheduler) -> anyhow::Result<Self> {
        Ok(match scheduler {
            Scheduler::RoundRobin => Self::RoundRobin,
            Scheduler::WeightedRoundRobin => Self::WeightedRoundRobin,
            Scheduler::WeightedLeastConnection => Self::WeightedLeastConnection,
            Scheduler::ShortestExpectedDelay => Self::ShortestExpectedDelay,
            other => bail!("the model of the kernel has no scheduler {other}"),
        })
    }
}

/// Where the round-robin schedulers stand.
#[derive(Debug, Default)]
pub struct Cursor {
    /// The place in the list of the last pick; none: before the first.
    place: Option<usize>,
    /// What a destination must weigh to be picked in this pass.
    current: i64,
    /// The same in the first pass of a round.
    most: i64,
    /// By how much it falls from pass to pass.
    step: i64,
    /// Destinations looked at by the last pick: how long the kernel held its lock.
    pub looked_at: u64,
}

impl Cursor {
    /// A destination came to the head of the list.
    pub fn added(&mut self) {
        self.place = self.place.map(|place| place + 1);
    }

    /// The destination at a place left the list.
    pub fn removed(&mut self, gone: usize) {
        self.place = match self.place {
            Some(place) if place >= gone => place.checked_sub(1),
            unchanged => unchanged,
        };
    }

    /// Weighted round robin starts at the head again but in the pass where it was; so after the
    /// first change away from equal weights, in the last one.
    pub fn weights_changed(&mut self, weights: impl Iterator<Item = u32>) {
        let (mut most, mut divisor) = (0, 0);
        for weight in weights.map(i64::from) {
            most = most.max(weight);
            divisor = greatest_common_divisor(divisor, weight);
        }
        self.place = None;
        self.step = divisor.max(1);
        self.most = most - (self.step - 1);
        if self.current > self.most || self.current == 0 {
            self.current = self.most;
        } else if self.step > 1 {
            self.current = self.current / self.step * self.step + 1;
        }
    }
}

fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Server {
    pub(super) fn pick(&mut self) -> Option<Slot> {
        match self.way {
            Way::ShortestExpectedDelay => self.cheapest(|dest| u64::from(dest.active) + 1),
            Way::WeightedLeastConnection => {
                self.cheapest(|dest| (u64::from(dest.active) << 8) + u64::from(dest.inactive))
            }
            Way::RoundRobin => self.next_in_turn(),
            Way::WeightedRoundRobin => self.next_by_weight(),
        }
    }

    /// The destination of the least cost for its weight, the first of several.
    fn cheapest(&self, cost: impl Fn(&Dest) -> u64) -> Option<Slot> {
        let mut best: Option<(Slot, u64, u64)> = None;
        for &slot in &self.list {
            let dest = &self.dests[slot as usize];
            if !dest.is_available() {
                continue;
            }
            let (own, weight) = (cost(dest), u64::from(dest.weight));
            if best.is_none_or(|(_, least, of)| least * weight > own * of) {
                best = Some((slot, own, weight));
            }
        }
        best.map(|(slot, ..)| slot)
    }

    /// The next available destination after the last pick, once around the list at most.
    fn next_in_turn(&mut self) -> Option<Slot> {
        let after = self.cursor.place.map_or(0, |place| place + 1);
        let places = (after..self.list.len()).chain(0..after);
        let place = places
            .into_iter()
            .find(|place| self.at(*place).is_available())?;
        self.cursor.place = Some(place);
        Some(self.list[place])
    }

    /// Passes over the list, each for a smaller weight, until one finds a destination or all have
    /// been looked at for any weight.
    fn next_by_weight(&mut self) -> Option<Slot> {
        self.cursor.looked_at = 0;
        if self.cursor.most == 0 {
            return None;
        }
        let begin = self.cursor.place;
        let mut place = begin.map_or(0, |place| place + 1);
        let (mut end, mut last_pass, mut restarted) = (None, false, false);
        loop {
            while place < self.list.len() {
                self.cursor.looked_at += 1;
                let dest = self.at(place);
                if !dest.overloaded && i64::from(dest.weight) >= self.cursor.current {
                    self.cursor.place = Some(place);
                    return Some(self.list[place]);
                }
                if Some(place) == end {
                    self.cursor.place = Some(place);
                    return None;
                }
                place += 1;
            }
            place = 0;
            self.cursor.current -= self.cursor.step;
            if self.cursor.current <= 0 {
                self.cursor.current = self.cursor.most;
                if last_pass || begin.is_none() {
                    self.cursor.place = None;
                    return None;
                }
                restarted = true;
            }
            last_pass = self.cursor.current <= self.cursor.step;
            if last_pass && restarted && begin.is_some() {
                end = begin;
            }
        }
    }

    fn at(&self, place: usize) -> &Dest {
        &self.dests[self.list[place] as usize]
    }
}
