//! What the table's sets and maps hold: the elements, and their keys and values as the kernel
//! knows them.
//!
//! A key of several fields is their concatenation, each padded to a multiple of four bytes. Keys
//! are in network byte order, marks in the byte order of the host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use crate::kernel::mark::{Mark, MarkRange};
use crate::model::{Family, Protocol};

/// An element of one of the table's sets and maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// Packets to this address, protocol and port get the mark.
    Service {
        /// The virtual address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the virtual address.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// Packets of this client to this address, protocol and port get the mark, whatever all others
    /// get.
    Own {
        /// The address that they come from.
        client: IpAddr,
        /// The virtual address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the virtual address.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// Packets to this port of any address of this node, other than virtual ones, get the mark.
    NodePort {
        /// The family of the clients.
        family: Family,
        /// The transport protocol.
        protocol: Protocol,
        /// The port of the node.
        port: NonZeroU16,
        /// The virtual server or the verdict.
        mark: Mark,
    },
    /// A virtual address: nothing but its services can be reached at it.
    Vip(IpAddr),
    /// A local endpoint, which may be its own client.
    Hairpin(IpAddr),
    /// A real server whose connections are to come back to nearer ones. It goes by itself after
    /// [`Element::CALLED`].
    Called {
        /// Its address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// Its port.
        port: NonZeroU16,
    },
    /// A real server that cannot answer the clients of this node, only the node.
    Host {
        /// Its address.
        ip: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// Its port.
        port: NonZeroU16,
    },
}

impl Element {
    /// For how long a real server is [`Element::Called`]: should the agent die, its connections are
    /// safe again.
    pub const CALLED: Duration = Duration::from_secs(5);

    /// The set or map that it belongs to.
    pub(super) fn set(&self) -> Set {
        match *self {
            Self::Own { ip, .. } => Set::Own(Family::of(ip)),
            Self::Service { ip, .. } => Set::Services(Family::of(ip)),
            Self::NodePort { family, .. } => Set::NodePorts(family),
            Self::Vip(ip) => Set::Vips(Family::of(ip)),
            Self::Hairpin(ip) => Set::Hairpin(Family::of(ip)),
            Self::Host { ip, .. } => Set::Hosts(Family::of(ip)),
            Self::Called { ip, .. } => Set::Called(Family::of(ip)),
        }
    }

    /// Its key.
    pub(super) fn key(&self) -> Vec<u8> {
        match *self {
            Self::Service {
                ip, protocol, port, ..
            }
            | Self::Called { ip, protocol, port }
            | Self::Host { ip, protocol, port } => [octets(ip), frontend(protocol, port)].concat(),
            Self::Own {
                client,
                ip,
                protocol,
                port,
                ..
            } => [octets(client), octets(ip), frontend(protocol, port)].concat(),
            Self::NodePort { protocol, port, .. } => frontend(protocol, port),
            Self::Vip(ip) => octets(ip),
            Self::Hairpin(ip) => octets(ip).repeat(2),
        }
    }

    /// What its key maps to, if it belongs to a map.
    pub(super) fn mark(&self) -> Option<Mark> {
        match *self {
            Self::Own { mark, .. } | Self::Service { mark, .. } | Self::NodePort { mark, .. } => {
                Some(mark)
            }
            Self::Vip(_) | Self::Hairpin(_) | Self::Host { .. } | Self::Called { .. } => None,
        }
    }

    /// The element of a set that has this key and maps to this value, or `None` if it cannot be one
    /// of ours.
    pub(super) fn decode(
        set: Set,
        key: &[u8],
        value: Option<&[u8]>,
        marks: MarkRange,
    ) -> Option<Self> {
        let mark = || marks.mark(u32::from_ne_bytes(value?.try_into().ok()?));
        Some(match set {
            Set::Services(family) => {
                let (ip, protocol, port) = from_endpoint(family, key)?;
                let mark = mark()?;
                Self::Service {
                    ip,
                    protocol,
                    port,
                    mark,
                }
            }
            Set::Own(family) => {
                let (client, rest) = address(family, key)?;
                let (ip, protocol, port) = from_endpoint(family, rest)?;
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
                let (ip, protocol, port) = from_endpoint(family, key)?;
                Self::Host { ip, protocol, port }
            }
            Set::Called(family) => {
                let (ip, protocol, port) = from_endpoint(family, key)?;
                Self::Called { ip, protocol, port }
            }
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
            Set::Vips(family) => match address(family, key)? {
                (ip, []) => Self::Vip(ip),
                _ => return None,
            },
            Set::Hairpin(family) => {
                let (ip, rest) = address(family, key)?;
                (address(family, rest)? == (ip, &[][..])).then_some(Self::Hairpin(ip))?
            }
        })
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service {
                ip,
                protocol,
                port,
                mark,
            } => write!(f, "service {ip} {protocol} {port} with mark {mark}"),
            Self::Own {
                client,
                ip,
                protocol,
                port,
                mark,
            } => write!(
                f,
                "service {ip} {protocol} {port} for {client} with mark {mark}"
            ),
            Self::NodePort {
                family,
                protocol,
                port,
                mark,
            } => write!(f, "{family} node port {protocol} {port} with mark {mark}"),
            Self::Vip(ip) => write!(f, "virtual address {ip}"),
            Self::Hairpin(ip) => write!(f, "local endpoint {ip}"),
            Self::Called { ip, protocol, port } => {
                write!(f, "endpoint to come back from {ip} {protocol} {port}")
            }
            Self::Host { ip, protocol, port } => {
                write!(f, "masqueraded endpoint {ip} {protocol} {port}")
            }
        }
    }
}

/// One of the table's sets and maps, for one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    /// source address . address . protocol . port : mark
    Own(Family),
    /// address . protocol . port : mark
    Services(Family),
    /// protocol . port : mark
    NodePorts(Family),
    /// address
    Vips(Family),
    /// source address . destination address
    Hairpin(Family),
    /// address . protocol . port
    Hosts(Family),
    /// address . protocol . port, each for a while
    Called(Family),
}

impl Set {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Own(Family::V4),
        Self::Own(Family::V6),
        Self::Services(Family::V4),
        Self::Services(Family::V6),
        Self::NodePorts(Family::V4),
        Self::NodePorts(Family::V6),
        Self::Vips(Family::V4),
        Self::Vips(Family::V6),
        Self::Hairpin(Family::V4),
        Self::Hairpin(Family::V6),
        Self::Hosts(Family::V4),
        Self::Hosts(Family::V6),
        Self::Called(Family::V4),
        Self::Called(Family::V6),
    ];

    /// Its name in the kernel.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own(Family::V4) => "own_v4",
            Self::Own(Family::V6) => "own_v6",
            Self::Services(Family::V4) => "services_v4",
            Self::Services(Family::V6) => "services_v6",
            Self::NodePorts(Family::V4) => "nodeports_v4",
            Self::NodePorts(Family::V6) => "nodeports_v6",
            Self::Vips(Family::V4) => "vips_v4",
            Self::Vips(Family::V6) => "vips_v6",
            Self::Hairpin(Family::V4) => "hairpin_v4",
            Self::Hairpin(Family::V6) => "hairpin_v6",
            Self::Hosts(Family::V4) => "hosts_v4",
            Self::Hosts(Family::V6) => "hosts_v6",
            Self::Called(Family::V4) => "called_v4",
            Self::Called(Family::V6) => "called_v6",
        }
    }

    /// Whether its keys map to marks.
    pub const fn is_map(self) -> bool {
        matches!(self, Self::Own(_) | Self::Services(_) | Self::NodePorts(_))
    }
}

/// The octets of an address.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// An address at the start of a key, and the rest of the key.
fn address(family: Family, key: &[u8]) -> Option<(IpAddr, &[u8])> {
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

/// address . protocol . port, at the end of a key
fn from_endpoint(family: Family, key: &[u8]) -> Option<(IpAddr, Protocol, NonZeroU16)> {
    let (ip, rest) = address(family, key)?;
    let (protocol, port) = from_frontend(rest)?;
    Some((ip, protocol, port))
}

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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn protocols() -> impl Strategy<Value = Protocol> {
        prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
    }

    fn elements() -> impl Strategy<Value = Element> {
        let mark = (0..0x00ff_ffff_u32)
            .prop_map(|low| MarkRange::default().mark(0x0100_0000 | low).unwrap());
        let service = (
            any::<IpAddr>(),
            protocols(),
            any::<NonZeroU16>(),
            mark.clone(),
        )
            .prop_map(|(ip, protocol, port, mark)| Element::Service {
                ip,
                protocol,
                port,
                mark,
            });
        let own = (
            any::<bool>(),
            any::<(u128, u128)>(),
            protocols(),
            any::<NonZeroU16>(),
            mark.clone(),
        )
            .prop_map(|(six, (client, ip), protocol, port, mark)| {
                let address = |number: u128| -> IpAddr {
                    let low = u32::try_from(number >> 96).expect("32 bits");
                    if six {
                        Ipv6Addr::from_bits(number).into()
                    } else {
                        Ipv4Addr::from_bits(low).into()
                    }
                };
                Element::Own {
                    client: address(client),
                    ip: address(ip),
                    protocol,
                    port,
                    mark,
                }
            });
        let families = prop::sample::select(Family::ALL.to_vec());
        let node_port = (families, protocols(), any::<NonZeroU16>(), mark).prop_map(
            |(family, protocol, port, mark)| Element::NodePort {
                family,
                protocol,
                port,
                mark,
            },
        );
        prop_oneof![
            own,
            service,
            node_port,
            any::<IpAddr>().prop_map(Element::Vip),
            any::<IpAddr>().prop_map(Element::Hairpin),
            (any::<IpAddr>(), protocols(), any::<NonZeroU16>())
                .prop_map(|(ip, protocol, port)| Element::Host { ip, protocol, port }),
            (any::<IpAddr>(), protocols(), any::<NonZeroU16>())
                .prop_map(|(ip, protocol, port)| Element::Called { ip, protocol, port }),
        ]
    }

    proptest! {
        #[test]
        fn an_element_is_read_back_as_it_was_written(element in elements()) {
            let value = element.mark().map(|mark| mark.value().to_ne_bytes());
            let value = value.as_ref().map(<[u8; 4]>::as_slice);
            let read = Element::decode(element.set(), &element.key(), value, MarkRange::default());
            prop_assert_eq!(read, Some(element));
        }

        #[test]
        fn no_key_makes_it_panic(
            set in prop::sample::select(Set::ALL.to_vec()),
            key: Vec<u8>,
            value: Option<Vec<u8>>,
        ) {
            let _ = Element::decode(set, &key, value.as_deref(), MarkRange::default());
        }
    }

    #[test]
    fn a_mark_outside_of_the_range_is_not_ours() {
        let [service] = [Element::Service {
            ip: [10, 96, 0, 1].into(),
            protocol: Protocol::Tcp,
            port: NonZeroU16::MIN,
            mark: MarkRange::default().drop(),
        }];
        let value = 0x0200_0000_u32.to_ne_bytes();
        let read = Element::decode(
            service.set(),
            &service.key(),
            Some(&value),
            MarkRange::default(),
        );
        assert_eq!(read, None);
    }
}
