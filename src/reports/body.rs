//! The inside of a datagram.
//!
//! ```text
//! kind 1, a report:   u8 length of the zone's name, and the name (empty: in none); then entries
//!   entry             u64 key, f32 demand, u32 capacity of the pods on the sender's node
//! kind 2, summaries, one after the other:
//!   summary           u64 key, u32 nodes, f32 demand, cluster, u8 number of zones, zones, hosts
//!   cluster           f32 demand, f32 room
//!   zone              u32 hash of its name, f32 demand, f32 room
//!   hosts             u8 32, u16 number, and of each: u32 hash of its name, u8 used in 1/255
//!                     u8 bits < 32, and 2^bits times: u8 used in 1/255
//! ```
//!
//! Numbers are big-endian; a demand or room is in connections at a time, never negative and always
//! a number. What does not parse is no message; nothing is read in part.

use super::seal::MOST;
use crate::capacity::{Coarse, Hosts, Place, Summary};

/// A report's kind.
pub const REPORT: u8 = 1;
/// The kind of a datagram with summaries.
pub const SUMMARIES: u8 = 2;

/// The most zones that a summary tells apart.
const ZONES: usize = 16;
const ZONE: usize = 12;
const HOST: usize = 5;
/// A summary without zones and hosts, but with the number of hosts.
const SUMMARY: usize = 28;
/// The size of an [`Entry`].
pub const ENTRY: usize = 16;

/// What a node says of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    pub key: u64,
    /// Connections at a time that it wants.
    pub demand: f32,
    /// Connections at a time that the pods on it accept together.
    pub capacity: u32,
}

/// How coarse a summary with so many zones must be to fit into a body of so many bytes.
pub fn coarse(zones: usize, space: usize) -> Coarse {
    let left = space.saturating_sub(SUMMARY + ZONE * zones.min(ZONES));
    Coarse {
        zones: ZONES,
        listed: left / HOST,
        bits: left.max(2).ilog2(),
    }
}

/// The beginning of a report.
pub fn write_zone(zone: Option<&str>, body: &mut Vec<u8>) {
    // The value of a label has at most 63 characters.
    let zone = zone.unwrap_or_default();
    body.push(u8::try_from(zone.len()).unwrap_or(u8::MAX));
    body.extend(zone.bytes().take(usize::from(u8::MAX)));
}

pub fn write_entry(entry: Entry, body: &mut Vec<u8>) {
    body.extend(entry.key.to_be_bytes());
    body.extend(entry.demand.to_be_bytes());
    body.extend(entry.capacity.to_be_bytes());
}

/// The zone, and what is said.
pub fn read_report(body: &[u8]) -> Option<(Option<&str>, Vec<Entry>)> {
    let mut reader = Reader(body);
    let length = reader.u8()?;
    let zone = std::str::from_utf8(reader.take(length.into())?).ok()?;
    let mut entries = Vec::with_capacity(reader.0.len() / ENTRY);
    while !reader.0.is_empty() {
        entries.push(Entry {
            key: reader.u64()?,
            demand: reader.f32()?,
            capacity: reader.u32()?,
        });
    }
    Some(((!zone.is_empty()).then_some(zone), entries))
}

pub fn write_summary(key: u64, summary: &Summary, body: &mut Vec<u8>) {
    body.extend(key.to_be_bytes());
    body.extend(summary.nodes.to_be_bytes());
    body.extend(single(summary.demand).to_be_bytes());
    write_place(summary.cluster, body);
    let zones = summary.zones.len().min(ZONES);
    body.push(u8::try_from(zones).unwrap_or(u8::MAX));
    for (zone, place) in summary.zones.iter().take(zones) {
        body.extend(zone.to_be_bytes());
        write_place(*place, body);
    }
    let hosts = &summary.hosts;
    body.push(u8::try_from(hosts.bits()).unwrap_or(u8::MAX));
    if hosts.bits() == Hosts::ALL_BITS {
        let number = u16::try_from(hosts.iter().len()).unwrap_or(u16::MAX);
        body.extend(number.to_be_bytes());
        for (prefix, used) in hosts.iter().take(number.into()) {
            body.extend(prefix.to_be_bytes());
            body.push(Hosts::steps(used));
        }
    } else {
        let begin = body.len();
        body.resize(begin + (1 << hosts.bits()), 0);
        for (prefix, used) in hosts.iter() {
            let slot = usize::try_from(prefix).ok();
            if let Some(byte) = slot.and_then(|slot| body.get_mut(begin + slot)) {
                *byte = Hosts::steps(used);
            }
        }
    }
}

fn write_place(place: Place, body: &mut Vec<u8>) {
    body.extend(single(place.demand).to_be_bytes());
    body.extend(single(place.room).to_be_bytes());
}

pub fn read_summaries(body: &[u8]) -> Option<Vec<(u64, Summary)>> {
    let mut reader = Reader(body);
    let mut summaries = Vec::new();
    while !reader.0.is_empty() {
        summaries.push((reader.u64()?, reader.summary()?));
    }
    Some(summaries)
}

/// Half the precision is plenty for what is a few seconds old.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub fn single(value: f64) -> f32 {
    value as f32
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn u8(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn f32(&mut self) -> Option<f32> {
        let value = self.chunk().map(f32::from_be_bytes)?;
        (value.is_finite() && value.is_sign_positive()).then_some(value)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place {
            demand: self.f32()?.into(),
            room: self.f32()?.into(),
        })
    }

    fn summary(&mut self) -> Option<Summary> {
        let mut summary = Summary {
            nodes: self.u32()?,
            demand: self.f32()?.into(),
            cluster: self.place()?,
            ..Summary::default()
        };
        for _ in 0..self.u8()? {
            summary.zones.insert(self.u32()?, self.place()?);
        }
        let bits = u32::from(self.u8()?);
        // Fewer bytes than a datagram may have.
        let widest = MOST.ilog2();
        summary.hosts = Hosts::by(bits);
        match bits {
            Hosts::ALL_BITS => {
                for _ in 0..self.u16()? {
                    let prefix = self.u32()?;
                    summary.hosts.note(prefix, Hosts::step(self.u8()?));
                }
            }
            bits if (1..=widest).contains(&bits) => {
                let slots = self.take(1 << bits)?;
                for (prefix, steps) in (0_u32..).zip(slots) {
                    summary.hosts.note(prefix, Hosts::step(*steps));
                }
            }
            _ => return None,
        }
        Some(summary)
    }
}
