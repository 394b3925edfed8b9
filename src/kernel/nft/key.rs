//! Elements as the kernel knows them: a key, and for maps a value.
//!
//! A key of several fields is their concatenation, each padded to a multiple of four bytes. Keys
//! are in network byte order, marks in the byte order of the host. An element of a set of intervals
//! has two keys: its first and its last.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::affinity::Affinity;
use super::element::Element;
use super::set::Set;
use crate::kernel::mark::MarkRange;
use crate::model::{Family, Protocol};

/// An element of a set, as the kernel reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Vec<u8>,
    /// Its last key, where it is an interval.
    pub end: Option<Vec<u8>>,
    /// What its key maps to, in a map.
    pub value: Option<Vec<u8>>,
}

impl Element {
    /// Its key.
    pub(super) fn key(&self) -> Vec<u8> {
        match *self {
            Self::Service {
                ip, protocol, port, ..
            }
            | Self::Outside {
                ip, protocol, port, ..
            }
            | Self::External { ip, protocol, port }
            | Self::Probed { ip, protocol, port }
            | Self::Guarded { ip, protocol, port }
            | Self::Called { ip, protocol, port }
            | Self::Host { ip, protocol, port } => [octets(ip), frontend(protocol, port)].concat(),
            Self::Own {
                client,
                ip,
                protocol,
                port,
                ..
            } => [octets(client), octets(ip), frontend(protocol, port)].concat(),
            Self::Allowed {
                ip,
                protocol,
                port,
                source,
            } => [
                octets(ip),
                frontend(protocol, port),
                octets(source.network()),
            ]
            .concat(),
            Self::NodePort { protocol, port, .. }
            | Self::OutsideNodePort { protocol, port, .. } => frontend(protocol, port),
            Self::Vip(ip) => octets(ip),
            Self::Hairpin(ip) => octets(ip).repeat(2),
            Self::Affinity(affinity) => affinity.key(),
        }
    }

    /// Its last key, if it belongs to a set of intervals.
    pub(super) fn key_end(&self) -> Option<Vec<u8>> {
        match *self {
            Self::Allowed {
                ip,
                protocol,
                port,
                source,
            } => {
                let last = octets(source.broadcast());
                Some([octets(ip), frontend(protocol, port), last].concat())
            }
            _ => None,
        }
    }

    /// The element of a set that the kernel reports so, or `None` if it cannot be one of ours.
    pub(super) fn decode(set: Set, entry: &Entry, marks: MarkRange) -> Option<Self> {
        let key = entry.key.as_slice();
        let mark = || {
            let value = entry.value.as_deref()?;
            marks.mark(u32::from_ne_bytes(value.try_into().ok()?))
        };
        Some(match set {
            Set::Services(family) => {
                let (ip, protocol, port) = service(family, key)?;
                let mark = mark()?;
                Self::Service {
                    ip,
                    protocol,
                    port,
                    mark,
                }
            }
            Set::Outside(family) => {
                let (ip, protocol, port) = service(family, key)?;
                let mark = mark()?;
                Self::Outside {
                    ip,
                    protocol,
                    port,
                    mark,
                }
            }
            Set::Own(family) => {
                let (client, rest) = address(family, key)?;
                let (ip, protocol, port) = service(family, rest)?;
                let mark = mark()?;
                Self::Own {
                    client,
                    ip,
                    protocol,
                    port,
                    mark,
                }
            }
            Set::Hosts(family) => {
                let (ip, protocol, port) = service(family, key)?;
                Self::Host { ip, protocol, port }
            }
            Set::Called(family) => {
                let (ip, protocol, port) = service(family, key)?;
                Self::Called { ip, protocol, port }
            }
            Set::Probed(family) => {
                let (ip, protocol, port) = service(family, key)?;
                Self::Probed { ip, protocol, port }
            }
            Set::Guarded(family) => {
                let (ip, protocol, port) = service(family, key)?;
                Self::Guarded { ip, protocol, port }
            }
            Set::Allowed(family) => allowed(family, key, entry.end.as_deref()?)?,
            Set::NodePorts(family) => {
                let (protocol, port) = from_frontend(key)?;
                let mark = mark()?;
                Self::NodePort {
                    family,
                    protocol,
                    port,
                    mark,
                }
            }
            Set::OutsideNodePorts(family) => {
                let (protocol, port) = from_frontend(key)?;
                let mark = mark()?;
                Self::OutsideNodePort {
                    family,
                    protocol,
                    port,
                    mark,
                }
            }
            Set::Vips(family) => Self::Vip(only(address(family, key)?)?),
            Set::External(family) => {
                let (ip, protocol, port) = service(family, key)?;
                Self::External { ip, protocol, port }
            }
            Set::Affinity => Self::Affinity(Affinity::decode_lasting(entry, marks)?),
            Set::Pins(family) => Self::Affinity(Affinity::decode_pin(family, entry, marks)?),
            Set::Alive => Self::Affinity(Affinity::decode_alive(entry, marks)?),
            Set::Hairpin(family) => {
                let (ip, rest) = address(family, key)?;
                (address(family, rest)? == (ip, &[][..])).then_some(Self::Hairpin(ip))?
            }
        })
    }
}

/// The octets of an address.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// address . protocol . port
fn service(family: Family, key: &[u8]) -> Option<(IpAddr, Protocol, NonZeroU16)> {
    let (ip, rest) = address(family, key)?;
    let (protocol, port) = from_frontend(rest)?;
    Some((ip, protocol, port))
}

/// address . protocol . port . source addresses
fn allowed(family: Family, key: &[u8], end: &[u8]) -> Option<Element> {
    let split = |key| -> Option<(_, _, _, IpAddr)> {
        let (ip, rest) = address(family, key)?;
        let (head, rest) = rest.split_at_checked(FRONTEND)?;
        let (protocol, port) = from_frontend(head)?;
        Some((ip, protocol, port, only(address(family, rest)?)?))
    };
    let (ip, protocol, port, first) = split(key)?;
    let source = network(first, split(end)?.3)?;
    let element = Element::Allowed {
        ip,
        protocol,
        port,
        source,
    };
    (element.key_end().as_deref() == Some(end)).then_some(element)
}

/// The network from its first address to its last.
fn network(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let prefix = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (first.to_bits() ^ last.to_bits()).leading_zeros(),
        (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits() ^ last.to_bits()).leading_zeros(),
        _ => return None,
    };
    let network = IpNet::new(first, u8::try_from(prefix).ok()?).ok()?;
    (network.network() == first && network.broadcast() == last).then_some(network)
}

/// An address with nothing after it.
fn only((ip, rest): (IpAddr, &[u8])) -> Option<IpAddr> {
    rest.is_empty().then_some(ip)
}

/// An address at the start of a key, and the rest of the key.
pub(super) fn address(family: Family, key: &[u8]) -> Option<(IpAddr, &[u8])> {
    match family {
        Family::V4 => {
            let (octets, rest) = key.split_first_chunk::<4>()?;
            Some((Ipv4Addr::from(*octets).into(), rest))
        }
        Family::V6 => {
            let (octets, rest) = key.split_first_chunk::<16>()?;
            Some((Ipv6Addr::from(*octets).into(), rest))
        }
    }
}

/// The length of protocol . port.
const FRONTEND: usize = 8;

/// protocol . port
fn frontend(protocol: Protocol, port: NonZeroU16) -> Vec<u8> {
    let [high, low] = port.get().to_be_bytes();
    vec![protocol.number(), 0, 0, 0, high, low, 0, 0]
}

fn from_frontend(key: &[u8]) -> Option<(Protocol, NonZeroU16)> {
    let &[protocol, 0, 0, 0, high, low, 0, 0] = key else {
        return None;
    };
    let port = NonZeroU16::new(u16::from_be_bytes([high, low]))?;
    Some((Protocol::from_number(protocol)?, port))
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
