//! What the table knows of session affinity: how long it lasts for the clients of a virtual server,
//! and the pins, virtual servers of one real server each, that clients come back by.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};

use super::key::{Entry, address, octets};
use super::set::Set;
use crate::kernel::mark::{Mark, MarkRange};
use crate::model::Family;

/// What a set or map that serves session affinity holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Affinity {
    /// The clients of a virtual server come back to their real servers.
    Lasting {
        /// The mark of the virtual server.
        server: Mark,
        /// For how many seconds after their last new connection.
        seconds: NonZeroU32,
    },
    /// A real server of a virtual server has a pin.
    Pin {
        /// The mark of the virtual server.
        server: Mark,
        /// The address of the real server.
        ip: IpAddr,
        /// Its port.
        port: NonZeroU16,
        /// The mark of the pin.
        pin: Mark,
    },
    /// Clients may come back by this pin now. Those of one that is not alive are as if they had
    /// never come.
    Alive {
        /// The mark of the virtual server: should the pin's mark ever be another's, what is
        /// remembered of it leads nobody there.
        server: Mark,
        /// The mark of the pin.
        pin: Mark,
    },
}

impl Affinity {
    /// The set or map that it belongs to.
    pub(super) fn set(self) -> Set {
        match self {
            Self::Lasting { .. } => Set::Affinity,
            Self::Pin { ip, .. } => Set::Pins(Family::of(ip)),
            Self::Alive { .. } => Set::Alive,
        }
    }

    pub(super) fn key(self) -> Vec<u8> {
        match self {
            Self::Lasting { server, .. } => bytes(server).to_vec(),
            Self::Pin {
                server, ip, port, ..
            } => {
                let [high, low] = port.get().to_be_bytes();
                [&bytes(server)[..], &octets(ip), &[high, low, 0, 0]].concat()
            }
            Self::Alive { server, pin } => [bytes(server), bytes(pin)].concat(),
        }
    }

    /// What its key maps to, if it belongs to a map.
    pub(super) fn value(self) -> Option<u32> {
        match self {
            Self::Lasting { seconds, .. } => Some(seconds.get()),
            Self::Pin { pin, .. } => Some(pin.value()),
            Self::Alive { .. } => None,
        }
    }

    /// How long affinity lasts, by the map that says so.
    pub(super) fn decode_lasting(entry: &Entry, marks: MarkRange) -> Option<Self> {
        let server = only(split_mark(&entry.key, marks)?)?;
        let seconds = NonZeroU32::new(number(entry)?)?;
        Some(Self::Lasting { server, seconds })
    }

    /// A pin, by the map of those of a family.
    pub(super) fn decode_pin(family: Family, entry: &Entry, marks: MarkRange) -> Option<Self> {
        let (server, rest) = split_mark(&entry.key, marks)?;
        let (ip, rest) = address(family, rest)?;
        let &[high, low, 0, 0] = rest else {
            return None;
        };
        Some(Self::Pin {
            server,
            ip,
            port: NonZeroU16::new(u16::from_be_bytes([high, low]))?,
            pin: marks.mark(number(entry)?)?,
        })
    }

    /// A pin that is alive, by the set of those.
    pub(super) fn decode_alive(entry: &Entry, marks: MarkRange) -> Option<Self> {
        let (server, rest) = split_mark(&entry.key, marks)?;
        let pin = only(split_mark(rest, marks)?)?;
        Some(Self::Alive { server, pin })
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lasting { server, seconds } => {
                write!(f, "affinity of mark {server} for {seconds} s")
            }
            Self::Pin {
                server,
                ip,
                port,
                pin,
            } => write!(f, "pin {pin} of mark {server} to {ip} {port}"),
            Self::Alive { server, pin } => write!(f, "living pin {pin} of mark {server}"),
        }
    }
}

fn bytes(mark: Mark) -> [u8; 4] {
    mark.value().to_ne_bytes()
}

fn split_mark(key: &[u8], marks: MarkRange) -> Option<(Mark, &[u8])> {
    let (mark, rest) = key.split_first_chunk::<4>()?;
    Some((marks.mark(u32::from_ne_bytes(*mark))?, rest))
}

fn only((mark, rest): (Mark, &[u8])) -> Option<Mark> {
    rest.is_empty().then_some(mark)
}

fn number(entry: &Entry) -> Option<u32> {
    let value = entry.value.as_deref()?;
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}
