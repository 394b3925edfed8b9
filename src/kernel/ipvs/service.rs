//! Services: the kernel's name for virtual servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bitflags::bitflags;
use netlink_packet_core::{DecodeError, Parseable};
use nix::libc;

use super::wire::{MaskedFlags, NetworkOrder, ServiceAttributes, required};
use super::{Name, Stats};
use crate::model::{Family, Protocol};

/// How packets find a service; also what identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// By a firewall mark, whatever their protocol, address and port.
    Mark {
        /// The family of the packets.
        family: Family,
        /// The mark; never 0, which the kernel would take for the address 0.0.0.0.
        mark: u32,
    },
    /// By destination.
    Address {
        /// The protocol.
        protocol: Protocol,
        /// The virtual address.
        ip: IpAddr,
        /// The port; 0 stands for all ports of a persistent service.
        port: u16,
    },
}

impl ServiceKey {
    /// The family of the service's packets.
    pub fn family(&self) -> Family {
        match *self {
            Self::Mark { family, .. } => family,
            Self::Address { ip, .. } => Family::of(ip),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Mark { family, mark } => write!(f, "mark {mark:#010x} ({family})"),
            Self::Address { protocol, ip, port } => {
                write!(f, "{} {protocol}", SocketAddr::new(ip, port))
            }
        }
    }
}

bitflags! {
    /// What is special about a service (`IP_VS_SVC_F_*`).
    ///
    /// The kernel's own flag `HASHED` is left out when read.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ServiceFlags: u32 {
        /// A client stays with its destination for the service's time-out.
        const PERSISTENT = 0x01;
        /// UDP only: every packet is scheduled anew.
        const ONE_PACKET = 0x04;
        /// Of the scheduler; `sh` and `mh`: fall back to another destination.
        const SCHEDULER_1 = 0x08;
        /// Of the scheduler; `sh` and `mh`: the source port counts too.
        const SCHEDULER_2 = 0x10;
        /// Of the scheduler; unused by those of Linux 6.12.
        const SCHEDULER_3 = 0x20;
    }
}

/// A service as one wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// How packets find it.
    pub key: ServiceKey,
    /// What picks the destination of a new connection.
    pub scheduler: Name,
    /// What is special about it.
    pub flags: ServiceFlags,
    /// How long a client stays with its destination after its last connection, in seconds; only
    /// with [`ServiceFlags::PERSISTENT`] does it count.
    pub timeout_seconds: u32,
    /// Clients that share this many leading bits of their address count as one for persistence:
    /// 0 to 32 for IPv4, 1 to 128 for IPv6. (A mask with gaps is read as its leading ones.)
    pub netmask: u8,
    /// What tells the clients of a persistent service apart by more than their address (`sip`).
    pub persistence_engine: Option<Name>,
}

impl Service {
    /// A service without flags or persistence.
    pub fn new(key: ServiceKey, scheduler: Name) -> Self {
        Self {
            key,
            scheduler,
            flags: ServiceFlags::empty(),
            timeout_seconds: 0,
            netmask: match key.family() {
                Family::V4 => 32,
                Family::V6 => 128,
            },
            persistence_engine: None,
        }
    }
}

/// A service as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// What was asked for.
    pub service: Service,
    /// What went through it.
    pub stats: Stats,
}

impl From<&ServiceKey> for ServiceAttributes {
    fn from(key: &ServiceKey) -> Self {
        let base = Self {
            family: Some(family_number(key.family())),
            ..Self::default()
        };
        match *key {
            ServiceKey::Mark { mark, .. } => Self {
                mark: Some(mark),
                ..base
            },
            ServiceKey::Address { protocol, ip, port } => Self {
                protocol: Some(protocol.number().into()),
                address: Some(address_bytes(ip)),
                port: Some(NetworkOrder(port)),
                ..base
            },
        }
    }
}

impl From<&Service> for ServiceAttributes {
    fn from(service: &Service) -> Self {
        Self {
            scheduler: Some(service.scheduler),
            flags: Some(MaskedFlags {
                flags: service.flags.bits(),
                mask: u32::MAX,
            }),
            timeout: Some(service.timeout_seconds),
            netmask: Some(netmask_bytes(service.key.family(), service.netmask)),
            persistence_engine: service.persistence_engine,
            ..Self::from(&service.key)
        }
    }
}

impl Parseable<ServiceAttributes> for ServiceKey {
    fn parse(attributes: &ServiceAttributes) -> Result<Self, DecodeError> {
        let family = parse_family(required(attributes.family, "service family")?)?;
        if let Some(mark) = attributes.mark {
            return Ok(Self::Mark { family, mark });
        }
        let protocol = required(attributes.protocol, "service protocol")?;
        let address = required(attributes.address, "service address")?;
        let NetworkOrder(port) = required(attributes.port, "service port")?;
        Ok(Self::Address {
            protocol: parse_protocol(protocol)
                .ok_or_else(|| DecodeError::from(format!("unknown protocol {protocol}")))?,
            ip: parse_address(family, address),
            port,
        })
    }
}

impl Parseable<ServiceAttributes> for Service {
    fn parse(attributes: &ServiceAttributes) -> Result<Self, DecodeError> {
        let key = ServiceKey::parse(attributes)?;
        let flags = required(attributes.flags, "service flags")?.flags;
        let netmask = required(attributes.netmask, "service netmask")?;
        Ok(Self {
            key,
            scheduler: required(attributes.scheduler, "scheduler")?,
            flags: ServiceFlags::from_bits_truncate(flags),
            timeout_seconds: required(attributes.timeout, "service timeout")?,
            netmask: parse_netmask(key.family(), netmask),
            persistence_engine: attributes.persistence_engine,
        })
    }
}

impl Parseable<ServiceAttributes> for ServiceEntry {
    fn parse(attributes: &ServiceAttributes) -> Result<Self, DecodeError> {
        Ok(Self {
            service: Service::parse(attributes)?,
            stats: Stats::of(attributes.stats64.as_ref(), attributes.stats.as_ref()),
        })
    }
}

impl ServiceAttributes {
    /// Whether the service is of a protocol that [`Protocol`] has no word for: the kernel takes any.
    pub(super) fn is_foreign(&self) -> bool {
        self.protocol
            .is_some_and(|number| parse_protocol(number).is_none())
    }
}

fn parse_protocol(number: u16) -> Option<Protocol> {
    u8::try_from(number).ok().and_then(Protocol::from_number)
}

/// The family as a socket address family.
pub(super) fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

/// The family with this socket address family.
pub(super) fn parse_family(number: u16) -> Result<Family, DecodeError> {
    match number {
        AF_INET => Ok(Family::V4),
        AF_INET6 => Ok(Family::V6),
        _ => Err(format!("unknown address family {number}").into()),
    }
}

/// An address as `union nf_inet_addr`.
pub(super) fn address_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The address of a family in a `union nf_inet_addr`.
pub(super) fn parse_address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = bytes;
            Ipv4Addr::new(a, b, c, d).into()
        }
        Family::V6 => Ipv6Addr::from(bytes).into(),
    }
}

fn netmask_bytes(family: Family, length: u8) -> [u8; 4] {
    let length = u32::from(length);
    match family {
        Family::V4 => {
            let host_bits = 32_u32.saturating_sub(length);
            u32::MAX.unbounded_shl(host_bits).to_be_bytes()
        }
        Family::V6 => length.to_ne_bytes(),
    }
}

fn parse_netmask(family: Family, bytes: [u8; 4]) -> u8 {
    let length = match family {
        Family::V4 => u32::from_be_bytes(bytes).leading_ones(),
        Family::V6 => u32::from_ne_bytes(bytes),
    };
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "2")]
const AF_INET: u16 = libc::AF_INET as u16;
#[expect(clippy::cast_possible_truncation, reason = "10")]
const AF_INET6: u16 = libc::AF_INET6 as u16;
