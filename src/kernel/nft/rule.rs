//! Rules as sentences: conditions, then what to do.
//!
//! The expressions come in the order in which the `nft` tool would put them, so that it prints the
//! table in its own language.

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::{MetaKey, Operator};

use super::element::octets;
use super::expression::{self as expr, ConntrackKey, Expression, Next};
use crate::model::{Family, Protocol};

/// A part of the key of a set or map.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// The packet's source address.
    Source(Family),
    /// The packet's destination address.
    Destination(Family),
    /// The destination address that the first packet of the connection arrived with.
    OriginalDestination(Family),
    /// The transport protocol.
    Protocol,
    /// The destination port.
    Port,
    /// The connection.
    Connection,
    /// The packet's mark.
    Mark,
}

impl Field {
    /// Loads the field into the registers from `to`.
    fn load(self, to: u32) -> Expression {
        const NETWORK_HEADER: u32 = 1;
        const TRANSPORT_HEADER: u32 = 2;
        match self {
            // The addresses in struct iphdr and struct ipv6hdr.
            Self::Source(Family::V4) => expr::payload(NETWORK_HEADER, 12, 4, to),
            Self::Source(Family::V6) => expr::payload(NETWORK_HEADER, 8, 16, to),
            Self::Destination(Family::V4) => expr::payload(NETWORK_HEADER, 16, 4, to),
            Self::Destination(Family::V6) => expr::payload(NETWORK_HEADER, 24, 16, to),
            Self::OriginalDestination(Family::V4) => {
                expr::conntrack(ConntrackKey::DestinationV4, to)
            }
            Self::OriginalDestination(Family::V6) => {
                expr::conntrack(ConntrackKey::DestinationV6, to)
            }
            Self::Protocol => expr::meta(MetaKey::L4Proto, to),
            // TCP, UDP and SCTP have it at the same place.
            Self::Port => expr::payload(TRANSPORT_HEADER, 2, 2, to),
            Self::Connection => expr::conntrack(ConntrackKey::Id, to),
            Self::Mark => expr::meta(MetaKey::Mark, to),
        }
    }

    /// How many registers it fills.
    fn registers(self) -> u32 {
        match self {
            Self::Source(Family::V6)
            | Self::Destination(Family::V6)
            | Self::OriginalDestination(Family::V6) => 4,
            _ => 1,
        }
    }
}

/// A rule in the making.
#[derive(Debug, Default)]
pub struct Rule {
    /// What it does, step by step.
    pub expressions: Vec<Expression>,
}

impl Rule {
    /// A rule for every packet.
    pub fn new() -> Self {
        Self::default()
    }

    fn then(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    fn load(mut self, fields: &[Field]) -> Self {
        let mut to = 0;
        for field in fields {
            self.expressions.push(field.load(to));
            to += field.registers();
        }
        self
    }

    /// For packets of this family.
    pub fn family(self, family: Family) -> Self {
        // NFPROTO_IPV4 and NFPROTO_IPV6
        let number = match family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        self.then(expr::meta(MetaKey::Nfproto, 0))
            .then(expr::compare(Operator::Equal, &[number]))
    }

    /// For packets of this transport protocol.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.load(&[Field::Protocol])
            .then(expr::compare(Operator::Equal, &[protocol.number()]))
    }

    /// For packets with just this mark.
    pub fn mark(self, mark: u32) -> Self {
        self.load(&[Field::Mark])
            .then(expr::compare(Operator::Equal, &mark.to_ne_bytes()))
    }

    /// For packets with some mark.
    pub fn marked(self) -> Self {
        self.load(&[Field::Mark])
            .then(expr::compare(Operator::NotEqual, &[0; 4]))
    }

    /// For packets whose mark has this value in the bits of a mask.
    pub fn mark_under(self, mask: u32, value: u32) -> Self {
        self.load(&[Field::Mark])
            .then(expr::bitwise(&mask.to_ne_bytes(), &[0; 4]))
            .then(expr::compare(Operator::Equal, &value.to_ne_bytes()))
    }

    /// For packets that belong to no connection yet.
    pub fn new_connection(self) -> Self {
        /// `NF_CT_STATE_BIT(IP_CT_NEW)`
        const NEW: u32 = 1 << 3;
        self.connection_bit(ConntrackKey::State, NEW)
    }

    /// For connections whose first packet has left the node or reached a socket.
    pub fn confirmed(self) -> Self {
        /// `IPS_CONFIRMED`
        const CONFIRMED: u32 = 1 << 3;
        self.connection_bit(ConntrackKey::Status, CONFIRMED)
    }

    fn connection_bit(self, key: ConntrackKey, bit: u32) -> Self {
        self.then(expr::conntrack(key, 0))
            .then(expr::bitwise(&bit.to_ne_bytes(), &[0; 4]))
            .then(expr::compare(Operator::NotEqual, &[0; 4]))
    }

    /// For packets from the side that opened the connection.
    pub fn by_client(self) -> Self {
        self.then(expr::conntrack(ConntrackKey::Direction, 0))
            .then(expr::compare(Operator::Equal, &[0]))
    }

    /// For packets whose fields are in a set (or are keys of a map).
    pub fn when_in(self, fields: &[Field], set: &str) -> Self {
        self.load(fields).then(expr::is_in(set, true))
    }

    /// For packets whose fields are not in a set.
    pub fn unless_in(self, fields: &[Field], set: &str) -> Self {
        self.load(fields).then(expr::is_in(set, false))
    }

    /// For packets with an address in a network; the field must be an address of its family.
    pub fn within(self, field: Field, network: IpNet) -> Self {
        let rule = self.load(&[field]);
        let mask = octets(network.netmask());
        let whole = network.prefix_len() == network.max_prefix_len();
        let rule = if whole {
            rule
        } else {
            rule.then(expr::bitwise(&mask, &vec![0; mask.len()]))
        };
        rule.then(expr::compare(Operator::Equal, &octets(network.network())))
    }

    /// For packets to an address that is not this node's.
    pub fn unless_local(self) -> Self {
        /// `RTN_LOCAL`
        const LOCAL: u32 = 2;
        self.then(expr::destination_type())
            .then(expr::compare(Operator::NotEqual, &LOCAL.to_ne_bytes()))
    }

    /// Notes the packet's mark under its connection.
    pub fn note_mark(self, map: &str, milliseconds: u64) -> Self {
        self.load(&[Field::Connection, Field::Mark])
            .then(expr::update(map, milliseconds))
    }

    /// Sets the packet's mark to what a map has for the fields; ends the rule if it has nothing.
    pub fn mark_from(self, fields: &[Field], map: &str) -> Self {
        self.load(fields)
            .then(expr::map(map))
            .then(expr::set_mark(0))
    }

    /// Sets the packet's mark.
    pub fn set_mark(self, mark: u32) -> Self {
        self.then(expr::value(&mark.to_ne_bytes()))
            .then(expr::set_mark(0))
    }

    /// Sets or clears a bit of the packet's mark.
    pub fn set_mark_bit(self, bit: u32, set: bool) -> Self {
        let xor = if set { bit } else { 0 };
        self.load(&[Field::Mark])
            .then(expr::bitwise(&(!bit).to_ne_bytes(), &xor.to_ne_bytes()))
            .then(expr::set_mark(0))
    }

    /// Answers with a TCP reset.
    pub fn reset(self) -> Self {
        self.then(expr::reset())
    }

    /// Answers with "port unreachable".
    pub fn unreachable(self) -> Self {
        self.then(expr::unreachable())
    }

    /// Puts the node's own address and a random port in the place of the source.
    pub fn masquerade(self) -> Self {
        self.then(expr::masquerade())
    }

    /// Sends the packet elsewhere.
    pub fn next(self, next: Next) -> Self {
        self.then(expr::verdict(next))
    }

    /// Goes on in another chain for good.
    pub fn goto(self, chain: &'static str) -> Self {
        self.next(Next::Goto(chain))
    }

    /// The kernel modules that the rule needs besides `nf_tables`.
    pub fn modules(&self) -> Vec<&'static str> {
        let mut modules: Vec<_> = self.expressions.iter().filter_map(expr::module).collect();
        modules.sort_unstable();
        modules.dedup();
        modules
    }
}
