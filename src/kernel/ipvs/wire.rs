//! The messages of the IPVS family as they travel: attribute lists by table, under an operation.
//!
//! Decoding is total: any bytes give a message or an error.

use netlink_packet_core::{DecodeError, Emitable, Parseable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use super::Name;
use super::attribute::attributes;
pub use super::attribute::{Counter, MaskedFlags, NetworkOrder};

/// What a message asks or says (`IPVS_CMD_*`).
///
/// The sync daemon's (9 to 11) are left out: Spillway has no use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Add a service; also one entry of a dump of services.
    NewService = 1,
    /// Edit a service.
    SetService = 2,
    /// Delete a service with its destinations.
    DelService = 3,
    /// Dump services.
    GetService = 4,
    /// Add a destination to a service; also one entry of a dump of destinations.
    NewDestination = 5,
    /// Edit a destination.
    SetDestination = 6,
    /// Delete a destination.
    DelDestination = 7,
    /// Dump the destinations of a service.
    GetDestination = 8,
    /// Set the time-outs; also the answer to `GetConfig`.
    SetConfig = 12,
    /// Ask for the time-outs.
    GetConfig = 13,
    /// The answer to `GetInfo`.
    SetInfo = 14,
    /// Ask for the version and the size of the connection table.
    GetInfo = 15,
    /// Zero the counters of a service, or of all.
    Zero = 16,
    /// Delete all services.
    Flush = 17,
}

impl Operation {
    /// All of them, by number.
    pub const ALL: [Self; 14] = [
        Self::NewService,
        Self::SetService,
        Self::DelService,
        Self::GetService,
        Self::NewDestination,
        Self::SetDestination,
        Self::DelDestination,
        Self::GetDestination,
        Self::SetConfig,
        Self::GetConfig,
        Self::SetInfo,
        Self::GetInfo,
        Self::Zero,
        Self::Flush,
    ];

    /// The operation's number in the generic netlink header.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The operation with this number, if it is one that Spillway knows.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.number() == number)
    }
}

/// A message of the family: an operation on a list of attributes `A`.
///
/// `A` is [`Attributes`] except in the answer to [`Operation::GetInfo`], whose attributes are
/// numbered apart: [`InfoAttributes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<A> {
    /// What is asked or said.
    pub operation: Operation,
    /// Of what.
    pub attributes: A,
}

impl<A> GenlFamily for Message<A> {
    fn family_name() -> &'static str {
        "IPVS"
    }

    fn command(&self) -> u8 {
        self.operation.number()
    }

    fn version(&self) -> u8 {
        1
    }
}

impl<A: Emitable> Emitable for Message<A> {
    fn buffer_len(&self) -> usize {
        self.attributes.buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.emit(buffer);
    }
}

impl<A: Parseable<[u8]>> ParseableParametrized<[u8], GenlHeader> for Message<A> {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let operation = Operation::from_number(header.cmd)
            .ok_or_else(|| DecodeError::from(format!("unknown IPVS command {}", header.cmd)))?;
        Ok(Self {
            operation,
            attributes: A::parse(bytes)?,
        })
    }
}

/// An attribute that a message must have to make sense.
pub(super) fn required<T>(value: Option<T>, name: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::from(format!("the kernel left out the attribute {name}")))
}

attributes! {
    /// The outermost attributes of a message (`IPVS_CMD_ATTR_*`).
    Attributes {
        /// A service.
        1 => service: ServiceAttributes,
        /// A destination.
        2 => destination: DestinationAttributes,
        /// Idle time of an established TCP connection, in seconds.
        4 => timeout_tcp: u32,
        /// Idle time of a TCP connection after a FIN, in seconds.
        5 => timeout_tcp_fin: u32,
        /// Idle time of UDP, in seconds.
        6 => timeout_udp: u32,
    }

    /// A service (`IPVS_SVC_ATTR_*`).
    ServiceAttributes {
        /// `AF_INET` or `AF_INET6`.
        1 => family: u16,
        /// The protocol's number in the IP header; no mark then.
        2 => protocol: u16,
        /// The address; an IPv4 one is in the first four bytes.
        3 => address: [u8; 16],
        /// The port.
        4 => port: NetworkOrder,
        /// The firewall mark; no protocol, address and port then.
        5 => mark: u32,
        /// The scheduler's name.
        6 => scheduler: Name,
        /// Flags (`IP_VS_SVC_F_*`).
        7 => flags: MaskedFlags,
        /// How long a client stays with its destination, in seconds.
        8 => timeout: u32,
        /// IPv4: the mask under which clients count as one. IPv6: a prefix length, in host order.
        9 => netmask: [u8; 4],
        /// Counters, 32 bits wide except those of bytes.
        10 => stats: StatsAttributes,
        /// The persistence engine's name.
        11 => persistence_engine: Name,
        /// Counters, 64 bits wide (since Linux 4.1).
        12 => stats64: StatsAttributes,
    }

    /// A destination (`IPVS_DEST_ATTR_*`).
    DestinationAttributes {
        /// The address; an IPv4 one is in the first four bytes.
        1 => address: [u8; 16],
        /// The port.
        2 => port: NetworkOrder,
        /// How packets reach it (`IP_VS_CONN_F_FWD_MASK`).
        3 => forwarding: u32,
        /// The weight.
        4 => weight: u32,
        /// From this many connections on it gets no more; 0: no limit.
        5 => upper_threshold: u32,
        /// Below this many connections it gets more again.
        6 => lower_threshold: u32,
        /// Connections in an active state.
        7 => active: u32,
        /// Connections in another state.
        8 => inactive: u32,
        /// Persistence templates.
        9 => persistent: u32,
        /// Counters, 32 bits wide except those of bytes.
        10 => stats: StatsAttributes,
        /// `AF_INET` or `AF_INET6` (since Linux 3.18).
        11 => family: u16,
        /// Counters, 64 bits wide (since Linux 4.1).
        12 => stats64: StatsAttributes,
        /// The tunnel's encapsulation, `IP_VS_CONN_F_TUNNEL_TYPE_*` (since Linux 5.3).
        13 => tunnel_type: u8,
        /// The tunnel's UDP port.
        14 => tunnel_port: NetworkOrder,
        /// The tunnel's flags (`IP_VS_TUNNEL_ENCAP_FLAG_*`).
        15 => tunnel_flags: u16,
    }

    /// Counters and rates (`IPVS_STATS_ATTR_*`).
    StatsAttributes {
        /// Connections scheduled.
        1 => connections: Counter,
        /// Packets from clients.
        2 => packets_in: Counter,
        /// Packets to clients.
        3 => packets_out: Counter,
        /// Bytes from clients.
        4 => bytes_in: Counter,
        /// Bytes to clients.
        5 => bytes_out: Counter,
        /// Connections per second.
        6 => connection_rate: Counter,
        /// Packets per second from clients.
        7 => packet_rate_in: Counter,
        /// Packets per second to clients.
        8 => packet_rate_out: Counter,
        /// Bytes per second from clients.
        9 => byte_rate_in: Counter,
        /// Bytes per second to clients.
        10 => byte_rate_out: Counter,
    }

    /// What the kernel says of IPVS as a whole (`IPVS_INFO_ATTR_*`).
    InfoAttributes {
        /// The version, one byte a part.
        1 => version: u32,
        /// Buckets in the connection table.
        2 => connection_table_size: u32,
    }
}
