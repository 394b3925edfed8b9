//! What happens next, in model time.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// Model time in microseconds.
pub type Micros = u64;

/// Seconds as model time.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn micros(seconds: f64) -> Micros {
    (seconds.max(0.0) * 1e6) as Micros
}

/// Model time as seconds.
pub fn seconds(time: Micros) -> f64 {
    Duration::from_micros(time).as_secs_f64()
}

struct Entry<E> {
    at: Micros,
    /// Events of one moment happen in the order in which they were planned.
    number: u64,
    event: E,
}

impl<E> Ord for Entry<E> {
    /// The earliest is the greatest, for the heap's sake.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Entry<E> {}

/// The events to come.
pub struct Queue<E> {
    heap: BinaryHeap<Entry<E>>,
    /// Most events are ends of the kernel's `TIME_WAIT`. All of those lie equally far ahead, so
    /// they come in order and need no heap.
    lingering: VecDeque<Entry<E>>,
    planned: u64,
    now: Micros,
    end: Micros,
}

impl<E> Queue<E> {
    /// No event yet; none after `end`.
    pub fn new(end: Micros) -> Self {
        Self {
            heap: BinaryHeap::new(),
            lingering: VecDeque::new(),
            planned: 0,
            now: 0,
            end,
        }
    }

    pub fn now(&self) -> Micros {
        self.now
    }

    fn entry(&mut self, delay: Micros, event: E) -> Option<Entry<E>> {
        let at = self.now + delay;
        self.planned += 1;
        (at <= self.end).then_some(Entry {
            at,
            number: self.planned,
            event,
        })
    }

    /// Plans an event.
    pub fn after(&mut self, delay: Micros, event: E) {
        let entry = self.entry(delay, event);
        self.heap.extend(entry);
    }

    /// Plans an event with a delay that is the same in all calls.
    pub fn linger(&mut self, delay: Micros, event: E) {
        let entry = self.entry(delay, event);
        self.lingering.extend(entry);
    }

    /// The next event, whose time it now is.
    pub fn next(&mut self) -> Option<E> {
        let from_heap = match (self.heap.peek(), self.lingering.front()) {
            (Some(one), Some(other)) => one >= other,
            (one, _) => one.is_some(),
        };
        let entry = if from_heap {
            self.heap.pop()
        } else {
            self.lingering.pop_front()
        }?;
        self.now = entry.at;
        Some(entry.event)
    }
}
