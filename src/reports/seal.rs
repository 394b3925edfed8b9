//! The outside of a datagram: who sent it, when, and whether that is true.
//!
//! ```text
//! 0   u8   version, 1
//! 1   u8   kind of the body
//! 2   u8   1 if a seal follows the body, else 0
//! 3   u64  microseconds since 1970; of one sender, each is later than the one before
//! 11  u8   length of the sender's node name, and the name
//! ..       body
//! ..  32   HMAC-SHA256 (RFC 2104, FIPS 180-4) of all before it, if there is one
//! ```
//!
//! Numbers are big-endian.

use std::path::Path;
use std::sync::Arc;

use ring::hmac;

/// The largest datagram: with headers it fits into the smallest MTU of IPv6 (1,280 bytes, RFC 8200).
pub const MOST: usize = 1_200;
const VERSION: u8 = 1;
const FIXED: usize = 12;
const SEAL: usize = 32;
/// How far a sealed datagram's time may be from ours, in microseconds: 30 s.
const SKEW: u64 = 30_000_000;

/// The secrets that the agents share. The first seals, all are taken: so that they can be changed
/// one after the other.
#[derive(Clone, Default)]
pub struct Keys(Vec<hmac::Key>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// A key could be guessed, or there is none.
    #[error("give one key of at least {} characters in a line", Keys::SHORTEST)]
    Weak,
}

impl Keys {
    /// The fewest characters of a key; 32 random ones are better.
    pub const SHORTEST: usize = 16;

    /// Reads a file with one key in each line.
    pub fn read(path: &Path) -> Result<Self, NoKeys> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Takes one key from each line; empty lines do not count.
    pub fn parse(text: &str) -> Result<Self, NoKeys> {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        if lines().next().is_none() || lines().any(|line| line.len() < Self::SHORTEST) {
            return Err(NoKeys::Weak);
        }
        let key = |line: &str| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes());
        Ok(Self(lines().map(key).collect()))
    }

    /// Whether there are none, so that nothing is sealed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is none of ours, or of a version that is not known.
    #[error("not a report of this version")]
    Malformed,
    /// It has no seal, or one of another key.
    #[error("not sealed with a key that is known here")]
    Unsealed,
    /// Its time is not ours: it was recorded and sent again, or a clock is wrong.
    #[error("more than 30 s old, or from the future")]
    Stale,
    /// Its sender is no agent of this cluster.
    #[error("from nobody who is an agent here")]
    Stranger,
}

/// What a datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    pub kind: u8,
    pub stamp: u64,
    pub node: &'a str,
    pub body: &'a [u8],
}

/// Seals what this agent sends, and opens what it gets.
#[derive(Debug)]
pub struct Sealer {
    node: Arc<str>,
    keys: Keys,
    last: u64,
}

impl Sealer {
    pub fn new(node: Arc<str>, keys: Keys) -> Self {
        Self {
            node,
            keys,
            last: 0,
        }
    }

    /// Whether senders prove who they are.
    pub fn is_keyed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// How many bytes a body can have.
    pub fn space(&self) -> usize {
        let seal = if self.is_keyed() { SEAL } else { 0 };
        MOST.saturating_sub(FIXED + self.node.len() + seal)
    }

    /// A time for what is sent now, later than any before, unless the clock has been set back: what
    /// is too far from the others' time they do not take, but they forget what came before.
    pub fn stamp(&mut self, unix_micros: u64) -> u64 {
        let next = self.last.saturating_add(1);
        self.last = if next > unix_micros.saturating_add(SKEW) {
            unix_micros
        } else {
            unix_micros.max(next)
        };
        self.last
    }

    /// A whole datagram.
    pub fn seal(&self, kind: u8, stamp: u64, body: &[u8]) -> Vec<u8> {
        let key = self.keys.0.first();
        let mut bytes = Vec::with_capacity(MOST);
        bytes.extend([VERSION, kind, u8::from(key.is_some())]);
        bytes.extend(stamp.to_be_bytes());
        // The name of a Node has at most 253 characters (RFC 1123 subdomain).
        bytes.push(u8::try_from(self.node.len()).unwrap_or(u8::MAX));
        bytes.extend(self.node.bytes().take(usize::from(u8::MAX)));
        bytes.extend(body);
        if let Some(key) = key {
            let tag = hmac::sign(key, &bytes);
            bytes.extend(tag.as_ref());
        }
        bytes
    }

    /// What a datagram holds. Whether its sender is an agent is for others to know.
    pub fn open<'a>(&self, bytes: &'a [u8], unix_micros: u64) -> Result<Opened<'a>, Rejected> {
        let [version, kind, sealed, ..] = *bytes else {
            return Err(Rejected::Malformed);
        };
        if version != VERSION || bytes.len() > MOST {
            return Err(Rejected::Malformed);
        }
        let (content, tag) = match sealed {
            0 => (bytes, &[][..]),
            1 => bytes
                .split_at_checked(bytes.len().wrapping_sub(SEAL))
                .ok_or(Rejected::Malformed)?,
            _ => return Err(Rejected::Malformed),
        };
        let is_true = |key: &hmac::Key| hmac::verify(key, content, tag).is_ok();
        if self.is_keyed() && !self.keys.0.iter().any(is_true) {
            return Err(Rejected::Unsealed);
        }
        let opened = Self::parse(kind, content).ok_or(Rejected::Malformed)?;
        // Without a seal the time proves nothing, and a wrong clock should do no harm.
        if self.is_keyed() && opened.stamp.abs_diff(unix_micros) > SKEW {
            return Err(Rejected::Stale);
        }
        Ok(opened)
    }

    fn parse(kind: u8, content: &[u8]) -> Option<Opened<'_>> {
        let (stamp, rest) = content.get(3..)?.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (node, body) = rest.split_at_checked(usize::from(*length))?;
        Some(Opened {
            kind,
            stamp: u64::from_be_bytes(*stamp),
            node: std::str::from_utf8(node).ok()?,
            body,
        })
    }
}
