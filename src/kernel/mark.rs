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
/// A quarter of them stand for virtual servers. Each has two twins among the others, one that refuses
/// packets in the name of that virtual server, and one that drops them: so a map that holds a twin
/// still tells whose frontend it is.
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

    /// The bit that a mark which refuses has, and one of a virtual server has not.
    const fn refusal_bit(self) -> u32 {
        1 << (31 - self.bits)
    }

    /// The same of a mark which drops.
    const fn drop_bit(self) -> u32 {
        self.refusal_bit() >> 1
    }

    /// The twin of a virtual server's mark: packets with it are refused at once (`connection
    /// refused`).
    pub fn refusing(self, server: Mark) -> Mark {
        Mark(server.0 | self.refusal_bit())
    }

    /// The twin of a virtual server's mark: packets with it are dropped without an answer.
    pub fn dropping(self, server: Mark) -> Mark {
        Mark(server.0 | self.drop_bit())
    }

    /// The mask under which to compare with [`Self::refusals`] and [`Self::drops`].
    pub const fn verdict_mask(self) -> u32 {
        self.mask() | self.refusal_bit() | self.drop_bit()
    }

    /// The value of the masked bits of all marks that refuse.
    pub const fn refusals(self) -> u32 {
        self.prefix() | self.refusal_bit()
    }

    /// The value of the masked bits of all marks that drop.
    pub const fn drops(self) -> u32 {
        self.prefix() | self.drop_bit()
    }

    /// The virtual server that a mark stands for, or whose twin it is, or `None` where it is none's.
    pub fn server(self, mark: Mark) -> Option<Mark> {
        let verdicts = self.refusal_bit() | self.drop_bit();
        let server = Mark(NonZeroU32::new(mark.value() & !verdicts)?);
        let has_two = mark.value() & verdicts == verdicts;
        (!has_two && server.value() > self.prefix()).then_some(server)
    }

    /// The marks that can stand for virtual servers, in ascending order.
    pub fn servers(self) -> impl Iterator<Item = Mark> {
        self.servers_from(Mark(self.prefix | 1))
    }

    /// The same from a certain mark on.
    pub fn servers_from(self, first: Mark) -> impl Iterator<Item = Mark> {
        let last = self.prefix.get() | !self.verdict_mask();
        (first.value()..=last).filter_map(NonZeroU32::new).map(Mark)
    }
}

impl Default for MarkRange {
    /// `0x01000000/8`: 4 million virtual servers, clear of the bits that Kubernetes (0x4000, 0x8000)
    /// and the common CNIs use.
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
