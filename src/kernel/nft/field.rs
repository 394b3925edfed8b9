//! What the keys of sets and maps are made of.

use netlink_packet_netfilter::nftables::MetaKey;

use super::expression::{self as expr, ConntrackKey, Direction, Expression, Header};
use crate::model::Family;

/// A part of the key of a set or map.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// The packet's source address.
    Source(Family),
    /// The packet's destination address.
    Destination(Family),
    /// The source address that the first packet of the connection arrived with.
    OriginalSource(Family),
    /// The source port that it arrived with.
    OriginalSourcePort,
    /// The destination address that the first packet of the connection arrived with.
    OriginalDestination(Family),
    /// The destination port that it arrived with.
    OriginalPort,
    /// The address that the connection's answers come from: the real server.
    ReplySource(Family),
    /// The port that they come from.
    ReplySourcePort,
    /// The transport protocol.
    Protocol,
    /// The type of a message of ICMP or `ICMPv6`.
    MessageType,
    /// The source port.
    SourcePort,
    /// The destination port.
    Port,
    /// The connection.
    Connection,
    /// The packet's mark.
    Mark,
}

impl Field {
    /// Loads the field into the registers from `to`.
    pub fn load(self, to: u32) -> Expression {
        let original = |key| expr::conntrack_of(Direction::Original, key, to);
        let reply = |key| expr::conntrack_of(Direction::Reply, key, to);
        match self {
            // The addresses in struct iphdr and struct ipv6hdr.
            Self::Source(Family::V4) => expr::payload(Header::Network, 12, 4, to),
            Self::Source(Family::V6) => expr::payload(Header::Network, 8, 16, to),
            Self::Destination(Family::V4) => expr::payload(Header::Network, 16, 4, to),
            Self::Destination(Family::V6) => expr::payload(Header::Network, 24, 16, to),
            Self::OriginalSource(Family::V4) => original(ConntrackKey::SourceV4),
            Self::OriginalSource(Family::V6) => original(ConntrackKey::SourceV6),
            Self::OriginalSourcePort => original(ConntrackKey::SourcePort),
            Self::OriginalDestination(Family::V4) => original(ConntrackKey::DestinationV4),
            Self::OriginalDestination(Family::V6) => original(ConntrackKey::DestinationV6),
            Self::OriginalPort => original(ConntrackKey::DestinationPort),
            Self::ReplySource(Family::V4) => reply(ConntrackKey::SourceV4),
            Self::ReplySource(Family::V6) => reply(ConntrackKey::SourceV6),
            Self::ReplySourcePort => reply(ConntrackKey::SourcePort),
            Self::Protocol => expr::meta(MetaKey::L4Proto, to),
            Self::MessageType => expr::payload(Header::Transport, 0, 1, to),
            // TCP, UDP and SCTP have them at the same place.
            Self::SourcePort => expr::payload(Header::Transport, 0, 2, to),
            Self::Port => expr::payload(Header::Transport, 2, 2, to),
            Self::Connection => expr::conntrack(ConntrackKey::Id, to),
            Self::Mark => expr::meta(MetaKey::Mark, to),
        }
    }

    /// How many registers it fills.
    pub fn registers(self) -> u32 {
        match self {
            Self::Source(Family::V6)
            | Self::Destination(Family::V6)
            | Self::OriginalSource(Family::V6)
            | Self::OriginalDestination(Family::V6)
            | Self::ReplySource(Family::V6) => 4,
            _ => 1,
        }
    }
}
