//! Destinations: the kernel's name for real servers.

use std::net::IpAddr;

use bitflags::bitflags;
use netlink_packet_core::{DecodeError, Parseable};

use super::Stats;
use super::service::{address_bytes, family_number, parse_address, parse_family};
use super::wire::{DestinationAttributes, NetworkOrder, required};
use crate::model::Family;

/// How packets get from the service to the destination (`IP_VS_CONN_F_FWD_MASK`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// Their destination is translated; the only way that can change the port.
    #[default]
    Masquerade,
    /// They are taken in by this host.
    LocalNode,
    /// They are sent on inside another packet.
    Tunnel(Tunnel),
    /// They are sent on as they are, to the destination's link-layer address.
    DirectRoute,
    /// They are sent on as if there were no service.
    Bypass,
}

/// The packet around a tunnelled packet (`IP_VS_CONN_F_TUNNEL_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// An IP packet.
    IpInIp,
    /// Generic UDP encapsulation.
    Gue {
        /// The UDP port that the destination listens on; not 0.
        port: u16,
        /// How it is protected.
        flags: TunnelFlags,
    },
    /// Generic routing encapsulation.
    Gre {
        /// How it is protected.
        flags: TunnelFlags,
    },
}

bitflags! {
    /// Checksums of a tunnel (`IP_VS_TUNNEL_ENCAP_FLAG_*`); empty: none.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TunnelFlags: u16 {
        /// The outer packet carries one.
        const CHECKSUM = 1;
        /// The inner packet's is left to the far end.
        const REMOTE_CHECKSUM = 2;
    }
}

/// A destination as one wants it; address and port identify it within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// How packets get there.
    pub forwarding: Forwarding,
    /// Its part of the new connections, up to `i32::MAX`; 0: none.
    pub weight: u32,
    /// From this many connections on it gets no more, up to `i32::MAX`; 0: no limit.
    pub upper_threshold: u32,
    /// Below this many connections it gets more again, at most `upper_threshold`; 0: below three
    /// quarters of `upper_threshold`.
    pub lower_threshold: u32,
}

impl Destination {
    /// A destination by masquerading, without thresholds.
    pub fn new(ip: IpAddr, port: u16, weight: u32) -> Self {
        Self {
            ip,
            port,
            forwarding: Forwarding::Masquerade,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

/// A destination as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationEntry {
    /// What was asked for.
    pub destination: Destination,
    /// Connections in an active state: TCP's are from SYN to FIN, UDP's never.
    pub active: u32,
    /// Connections remembered in another state.
    pub inactive: u32,
    /// Clients that are to stay with it.
    pub persistent: u32,
    /// What went through it.
    pub stats: Stats,
}

impl DestinationEntry {
    /// Whether the kernel knows of no connection to it, not even one that is over.
    pub fn is_idle(&self) -> bool {
        self.active == 0 && self.inactive == 0
    }
}

impl DestinationAttributes {
    /// What identifies a destination within its service.
    pub(super) fn key(ip: IpAddr, port: u16) -> Self {
        Self {
            address: Some(address_bytes(ip)),
            port: Some(NetworkOrder(port)),
            family: Some(family_number(Family::of(ip))),
            ..Self::default()
        }
    }
}

impl From<&Destination> for DestinationAttributes {
    fn from(destination: &Destination) -> Self {
        let attributes = Self {
            forwarding: Some(match destination.forwarding {
                Forwarding::Masquerade => 0,
                Forwarding::LocalNode => 1,
                Forwarding::Tunnel(_) => 2,
                Forwarding::DirectRoute => 3,
                Forwarding::Bypass => 4,
            }),
            weight: Some(destination.weight),
            upper_threshold: Some(destination.upper_threshold),
            lower_threshold: Some(destination.lower_threshold),
            ..Self::key(destination.ip, destination.port)
        };
        let Forwarding::Tunnel(tunnel) = destination.forwarding else {
            return attributes;
        };
        let (kind, port, flags) = match tunnel {
            Tunnel::IpInIp => (0, 0, TunnelFlags::empty()),
            Tunnel::Gue { port, flags } => (1, port, flags),
            Tunnel::Gre { flags } => (2, 0, flags),
        };
        Self {
            tunnel_type: Some(kind),
            tunnel_port: Some(NetworkOrder(port)),
            tunnel_flags: Some(flags.bits()),
            ..attributes
        }
    }
}

impl Parseable<DestinationAttributes> for Forwarding {
    fn parse(attributes: &DestinationAttributes) -> Result<Self, DecodeError> {
        match required(attributes.forwarding, "forwarding method")? {
            0 => Ok(Self::Masquerade),
            1 => Ok(Self::LocalNode),
            2 => Tunnel::parse(attributes).map(Self::Tunnel),
            3 => Ok(Self::DirectRoute),
            4 => Ok(Self::Bypass),
            other => Err(format!("unknown forwarding method {other}").into()),
        }
    }
}

impl Parseable<DestinationAttributes> for Tunnel {
    /// Without the attributes (before Linux 5.3) it is IP in IP.
    fn parse(attributes: &DestinationAttributes) -> Result<Self, DecodeError> {
        let flags = TunnelFlags::from_bits_truncate(attributes.tunnel_flags.unwrap_or_default());
        match attributes.tunnel_type.unwrap_or_default() {
            0 => Ok(Self::IpInIp),
            1 => {
                let NetworkOrder(port) = required(attributes.tunnel_port, "tunnel port")?;
                Ok(Self::Gue { port, flags })
            }
            2 => Ok(Self::Gre { flags }),
            other => Err(format!("unknown tunnel type {other}").into()),
        }
    }
}

impl Parseable<DestinationAttributes> for Destination {
    fn parse(attributes: &DestinationAttributes) -> Result<Self, DecodeError> {
        let family = parse_family(required(attributes.family, "destination family")?)?;
        let address = required(attributes.address, "destination address")?;
        let NetworkOrder(port) = required(attributes.port, "destination port")?;
        Ok(Self {
            ip: parse_address(family, address),
            port,
            forwarding: Forwarding::parse(attributes)?,
            weight: required(attributes.weight, "weight")?,
            upper_threshold: required(attributes.upper_threshold, "upper threshold")?,
            lower_threshold: required(attributes.lower_threshold, "lower threshold")?,
        })
    }
}

impl Parseable<DestinationAttributes> for DestinationEntry {
    fn parse(attributes: &DestinationAttributes) -> Result<Self, DecodeError> {
        Ok(Self {
            destination: Destination::parse(attributes)?,
            active: attributes.active.unwrap_or_default(),
            inactive: attributes.inactive.unwrap_or_default(),
            persistent: attributes.persistent.unwrap_or_default(),
            stats: Stats::of(attributes.stats64.as_ref(), attributes.stats.as_ref()),
        })
    }
}
