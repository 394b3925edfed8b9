//! The short names that IPVS gives its schedulers and persistence engines.

use std::fmt;

use netlink_packet_core::DecodeError;

use super::attribute::Value;
use crate::model::Scheduler;

/// Room for a name with its final NUL (`IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN`).
const ROOM: usize = 16;

/// The name of a scheduler or persistence engine: 1 to 15 bytes without NUL, kept in place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; ROOM]);

impl Name {
    /// Round robin.
    pub const RR: Self = Self::known("rr");
    /// Weighted round robin.
    pub const WRR: Self = Self::known("wrr");
    /// Least connections.
    pub const LC: Self = Self::known("lc");
    /// Weighted least connections.
    pub const WLC: Self = Self::known("wlc");
    /// Shortest expected delay.
    pub const SED: Self = Self::known("sed");
    /// Never queue.
    pub const NQ: Self = Self::known("nq");
    /// Source hashing.
    pub const SH: Self = Self::known("sh");
    /// Maglev hashing.
    pub const MH: Self = Self::known("mh");
    /// Weighted fail-over.
    pub const FO: Self = Self::known("fo");
    /// Weighted overflow.
    pub const OVF: Self = Self::known("ovf");

    /// The name, or `None` if the kernel has no room for it, or it is empty or holds a NUL.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..ROOM).contains(&name.len()) && !name.contains('\0');
        fits.then(|| Self::known(name))
    }

    /// A name that is known to fit.
    const fn known(name: &str) -> Self {
        let mut bytes = [0; ROOM];
        let mut at = 0;
        while at < name.len() && at < ROOM - 1 {
            bytes[at] = name.as_bytes()[at];
            at += 1;
        }
        Self(bytes)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // Always whole characters: both ways to make a name start from text.
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    fn bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

impl From<Scheduler> for Name {
    fn from(scheduler: Scheduler) -> Self {
        Self::known(scheduler.name())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Value for Name {
    fn size(&self) -> usize {
        self.bytes().len() + 1
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0[..self.size()]);
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        str::from_utf8(name)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| DecodeError::from(format!("{bytes:02x?} is no name")))
    }
}
