use std::collections::BTreeMap;

use super::super::number::nearest;
use crate::model::stable_hash;

/// Which fraction of each host's room its own node uses, 0 to 1.
///
/// Hosts are known by the leading bits of their names' hashes. With fewer bits it is smaller, and
/// hosts that fall together count as used as the most used of them: some room is then not offered
/// to others, but none twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Hosts {
    bits: u32,
    used: BTreeMap<u32, f64>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            bits: Self::ALL_BITS,
            used: BTreeMap::new(),
        }
    }
}

impl Hosts {
    /// The bits that tell all hosts apart: two of 5,000 fall together once in 300 clusters.
    pub const ALL_BITS: u32 = 32;

    /// Hosts of which nothing is known yet; at most [`Self::ALL_BITS`] and at least 1 bit.
    pub fn by(bits: u32) -> Self {
        Self {
            bits: bits.clamp(1, Self::ALL_BITS),
            used: BTreeMap::new(),
        }
    }

    /// The number of leading bits.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Those that use any of their room, by the leading bits of their names' hashes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, f64)> {
        self.used.iter().map(|(prefix, used)| (*prefix, *used))
    }

    /// Notes the fraction that hosts with these leading bits use.
    pub fn note(&mut self, prefix: u32, used: f64) {
        if used > 0.0 {
            let known = self.used.entry(prefix).or_insert(0.0);
            *known = known.max(used.min(1.0));
        }
    }

    /// Notes the fraction that a host uses.
    pub fn note_host(&mut self, host: &str, used: f64) {
        self.note(self.prefix(host), used);
    }

    /// The fraction that a host uses.
    pub fn used(&self, host: &str) -> f64 {
        let known = self.used.get(&self.prefix(host));
        known.copied().unwrap_or(0.0)
    }

    /// The same in steps of 1/255 and, unless it names at most `listed` hosts, by `bits` only.
    #[must_use]
    pub fn coarse(&self, listed: usize, bits: u32) -> Self {
        let mut coarse = if self.used.len() <= listed {
            Self::by(self.bits)
        } else {
            Self::by(bits.min(self.bits))
        };
        let shift = self.bits - coarse.bits;
        for (prefix, used) in self.iter() {
            coarse.note(prefix >> shift, Self::step(Self::steps(used)));
        }
        coarse
    }

    /// A fraction as a number of steps, never too small.
    pub fn steps(used: f64) -> u8 {
        // What adding up parts leaves over is not a step.
        let steps = (used * 255.0 - 1e-6).ceil();
        u8::try_from(nearest(steps)).unwrap_or(u8::MAX)
    }

    /// A number of steps as a fraction.
    pub fn step(steps: u8) -> f64 {
        f64::from(steps) / 255.0
    }

    /// The largest difference to another, 0 to 1.
    pub fn difference(&self, other: &Self) -> f64 {
        if self.bits != other.bits {
            return 1.0;
        }
        let of = |hosts: &Self, prefix: &u32| hosts.used.get(prefix).copied().unwrap_or(0.0);
        let prefixes = self.used.keys().chain(other.used.keys());
        prefixes
            .map(|prefix| (of(self, prefix) - of(other, prefix)).abs())
            .fold(0.0, f64::max)
    }

    fn prefix(&self, host: &str) -> u32 {
        short_hash(host) >> (Self::ALL_BITS - self.bits)
    }
}

/// The hash by which summaries name hosts and zones.
pub fn short_hash(name: &str) -> u32 {
    let high = stable_hash([name]) >> 32;
    u32::try_from(high).unwrap_or(u32::MAX)
}
