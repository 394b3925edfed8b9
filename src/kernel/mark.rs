//! Firewall marks: how a packet tells IPVS which virtual server it is for.

use std::fmt;
use std::num::NonZeroU32;

/// A firewall mark of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(NonZeroU32);

impl Mark {
    /// The mark's 32 bits, as `meta mark` and IPVS know them.
    pub const fn value(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// The marks that belong to Spillway: those that start with a given prefix, written like
/// `0x01000000/8`.
///
/// The first two are verdicts, not virtual servers: a packet that gets them is refused or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkRange {
    prefix: NonZeroU32,
    bits: u8,
}

impl MarkRange {
    /// The range of all marks whose first `bits` bits are those of `prefix`, or `None` where it
    /// would hold the mark 0 (which means "no mark"), where `prefix` has bits set after the
    /// first `bits`, or where fewer than 2^8 marks would be left.
    pub fn new(prefix: u32, bits: u8) -> Option<Self> {
        let prefix = NonZeroU32::new(prefix)?;
        (1..=24).contains(&bits).then_some(())?;
        let range = Self { prefix, bits };
        (prefix.get() & !range.mask() == 0).then_some(range)
    }

    /// The bits that all marks of the range share: the mask to compare under.
    pub const fn mask(self) -> u32 {
        !(u32::MAX >> self.bits)
    }

    /// The value of the shared bits.
    pub const fn prefix(self) -> u32 {
        self.prefix.get()
    }

    /// Whether a mark belongs to the range, and which one it is.
    pub fn mark(self, value: u32) -> Option<Mark> {
        let mark = NonZeroU32::new(value)?;
        (value & self.mask() == self.prefix.get()).then_some(Mark(mark))
    }

    /// The mark of packets to be refused at once (`connection refused`).
    pub fn reject(self) -> Mark {
        Mark(self.prefix)
    }

    /// The mark of packets to be dropped without an answer.
    pub fn drop(self) -> Mark {
        Mark(self.prefix | 1)
    }

    /// The marks that can stand for virtual servers, in ascending order.
    pub fn servers(self) -> impl Iterator<Item = Mark> {
        self.servers_from(Mark(self.prefix | 2))
    }

    /// The same from a certain mark on.
    pub fn servers_from(self, first: Mark) -> impl Iterator<Item = Mark> {
        let last = self.prefix.get() | !self.mask();
        (first.value()..=last).filter_map(NonZeroU32::new).map(Mark)
    }
}

impl Default for MarkRange {
    /// `0x01000000/8`: 16 million marks, clear of the bits that Kubernetes (0x4000, 0x8000) and the
    /// common CNIs use.
    fn default() -> Self {
        const PREFIX: NonZeroU32 = match NonZeroU32::new(0x0100_0000) {
            Some(prefix) => prefix,
            None => NonZeroU32::MIN,
        };
        Self {
            prefix: PREFIX,
            bits: 8,
        }
    }
}
