//! Rules as sentences: conditions, then what to do.
//!
//! The expressions come in the order in which the `nft` tool would put them, so that it prints the
//! table in its own language.

use std::num::NonZeroU32;

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::{MetaKey, Operator};

use super::expression::{
    self as expr, Address, Checksum, ConntrackKey, Direction, Expression, Header, Next,
};
use super::field::Field;
use super::key::octets;
use super::pods::Links;
use crate::model::{Family, Protocol};

/// The first register of a key, and the one of what a map has for it.
const KEY: u32 = 0;
/// For what is compared before a key is loaded, or loaded after it was looked up: a long key reaches
/// into it.
const SCRATCH: u32 = 8;
/// For what is held while a key is looked up that may be as long as mark . address . port; itself it
/// is at most as long as address . mark.
const HELD: u32 = 6;
/// For the value that goes with what is held.
const VALUE: u32 = HELD + 5;

/// `IPS_CONFIRMED`, a bit of a connection's status
const CONFIRMED: u32 = 1 << 3;

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

    /// Goes on if what has just been loaded into the scratch register compares so.
    fn compare(self, operator: Operator, value: &[u8]) -> Self {
        self.then(expr::compare(SCRATCH, operator, value))
    }

    fn mark_to_scratch(self) -> Self {
        self.then(Field::Mark.load(SCRATCH))
    }

    fn mark_from_scratch(self) -> Self {
        self.then(expr::set_mark(SCRATCH))
    }

    /// For packets of this family.
    pub fn family(self, family: Family) -> Self {
        // NFPROTO_IPV4 and NFPROTO_IPV6
        let number = match family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        self.then(expr::meta(MetaKey::Nfproto, SCRATCH))
            .compare(Operator::Equal, &[number])
    }

    /// For packets of this transport protocol.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.then(Field::Protocol.load(SCRATCH))
            .compare(Operator::Equal, &[protocol.number()])
    }

    /// For packets that ask for an echo: pings.
    pub fn ping(self, family: Family) -> Self {
        // The numbers of ICMP and `ICMPv6`, and of their message.
        let (protocol, message) = match family {
            Family::V4 => (1, 8),
            Family::V6 => (58, 128),
        };
        self.then(Field::Protocol.load(SCRATCH))
            .compare(Operator::Equal, &[protocol])
            .then(Field::MessageType.load(SCRATCH))
            .compare(Operator::Equal, &[message])
    }

    /// For packets with some mark.
    pub fn marked(self) -> Self {
        self.mark_to_scratch().compare(Operator::NotEqual, &[0; 4])
    }

    /// For packets whose mark has this value in the bits of a mask.
    pub fn mark_under(self, mask: u32, value: u32) -> Self {
        self.mark_to_scratch()
            .then(expr::bitwise(SCRATCH, &mask.to_ne_bytes(), &[0; 4]))
            .compare(Operator::Equal, &value.to_ne_bytes())
    }

    /// For packets that belong to no connection yet.
    pub fn new_connection(self) -> Self {
        /// `NF_CT_STATE_BIT(IP_CT_NEW)`
        const NEW: u32 = 1 << 3;
        self.connection_bit(ConntrackKey::State, NEW)
    }

    /// For connections whose first packet has left the node or reached a socket.
    pub fn confirmed(self) -> Self {
        self.connection_bit(ConntrackKey::Status, CONFIRMED)
    }

    /// For connections whose first packet is this one, and has neither left the node nor reached a
    /// socket.
    pub fn unconfirmed(self) -> Self {
        self.load_connection_bit(ConntrackKey::Status, CONFIRMED)
            .compare(Operator::Equal, &[0; 4])
    }

    /// For connections whose client the real server sees under another address or port.
    pub fn source_translated(self) -> Self {
        /// `IPS_SRC_NAT`
        const SOURCE_TRANSLATED: u32 = 1 << 4;
        self.connection_bit(ConntrackKey::Status, SOURCE_TRANSLATED)
    }

    fn connection_bit(self, key: ConntrackKey, bit: u32) -> Self {
        self.load_connection_bit(key, bit)
            .compare(Operator::NotEqual, &[0; 4])
    }

    fn load_connection_bit(self, key: ConntrackKey, bit: u32) -> Self {
        self.then(expr::conntrack(key, SCRATCH)).then(expr::bitwise(
            SCRATCH,
            &bit.to_ne_bytes(),
            &[0; 4],
        ))
    }

    /// For packets from the side that opened the connection.
    pub fn by_client(self) -> Self {
        self.by(Direction::Original)
    }

    /// For packets from the other side.
    pub fn by_server(self) -> Self {
        self.by(Direction::Reply)
    }

    fn by(self, direction: Direction) -> Self {
        self.then(expr::conntrack(ConntrackKey::Direction, SCRATCH))
            .compare(Operator::Equal, &[direction as u8])
    }

    /// For packets that came in by one of these links. What this node sends itself came by none.
    pub fn came_by(self, links: &Links) -> Self {
        self.then(expr::meta(MetaKey::Iifname, SCRATCH))
            .compare(Operator::Equal, &links.bytes())
    }

    /// For all others.
    pub fn came_otherwise(self, links: &Links) -> Self {
        self.then(expr::meta(MetaKey::Iifname, SCRATCH))
            .compare(Operator::NotEqual, &links.bytes())
    }

    /// For packets to an address of this node.
    pub fn local(self) -> Self {
        self.address_is_local(Address::Destination, Operator::Equal)
    }

    /// For packets to an address that is not this node's.
    pub fn elsewhere(self) -> Self {
        self.address_is_local(Address::Destination, Operator::NotEqual)
    }

    /// For packets from an address of this node.
    pub fn sent_here(self) -> Self {
        self.address_is_local(Address::Source, Operator::Equal)
    }

    /// For packets from an address that is not this node's.
    pub fn sent_elsewhere(self) -> Self {
        self.address_is_local(Address::Source, Operator::NotEqual)
    }

    fn address_is_local(self, address: Address, operator: Operator) -> Self {
        /// `RTN_LOCAL`
        const LOCAL: u32 = 2;
        self.then(expr::address_type(address, SCRATCH))
            .compare(operator, &LOCAL.to_ne_bytes())
    }

    /// For packets with an address in a network; the field must be an address of its family.
    pub fn within(self, field: Field, network: IpNet) -> Self {
        self.compare_network(field, Operator::Equal, network)
    }

    /// For packets with an address that is not in a network; the field must be an address of its
    /// family.
    pub fn beyond(self, field: Field, network: IpNet) -> Self {
        self.compare_network(field, Operator::NotEqual, network)
    }

    fn compare_network(self, field: Field, operator: Operator, network: IpNet) -> Self {
        let mask = octets(network.netmask());
        let rule = self.then(field.load(SCRATCH));
        let rule = if network.prefix_len() == network.max_prefix_len() {
            rule
        } else {
            rule.then(expr::bitwise(SCRATCH, &mask, &vec![0; mask.len()]))
        };
        rule.compare(operator, &octets(network.network()))
    }

    /// For packets whose fields are in a set.
    pub fn when_in(self, fields: &[Field], set: &str) -> Self {
        self.key(fields).then(expr::is_in(set, true))
    }

    /// For packets whose fields are not in a set.
    pub fn unless_in(self, fields: &[Field], set: &str) -> Self {
        self.key(fields).then(expr::is_in(set, false))
    }

    /// For packets for whose fields a map has a mark, which [`Rule::set_found_mark`] uses.
    pub fn find_mark(self, fields: &[Field], map: &str) -> Self {
        self.key(fields).then(expr::map(map))
    }

    /// For packets for whose fields a map has any mark.
    pub fn when_mapped(self, fields: &[Field], map: &str) -> Self {
        // A map cannot be asked whether it has a key alone; no mark is 0. (The `nft` tool has no type
        // for what it sees compared here, and says so.)
        self.find_mark(fields, map)
            .then(expr::compare(KEY, Operator::NotEqual, &[0; 4]))
    }

    /// For packets for whose fields a map has this value.
    pub fn when_mapped_to(self, fields: &[Field], map: &str, value: u32) -> Self {
        self.find_mark(fields, map)
            .then(expr::compare(KEY, Operator::Equal, &value.to_ne_bytes()))
    }

    /// Keeps fields at hand as they are now, for a key that is used when the mark has become another.
    pub fn hold(self, fields: &[Field]) -> Self {
        self.load(fields, HELD)
    }

    /// For packets of which the field of one register that is held, and with it the mark that they
    /// have now, is in a set.
    pub fn held_and_mark_in(self, set: &str) -> Self {
        self.then(Field::Mark.load(HELD + 1))
            .then(expr::key_is_in(HELD, set, true))
    }

    /// Maps what is held to the mark that the packet has now, for so long; a value that is there
    /// already stays, and is prolonged.
    pub fn keep(self, map: &str, seconds: NonZeroU32) -> Self {
        let milliseconds = u64::from(seconds.get()) * 1000;
        self.then(Field::Mark.load(VALUE))
            .then(expr::update(map, HELD, Some(VALUE), milliseconds))
    }

    /// Takes what is held out of a map, whatever that has for it. The kernel wants to be told of a
    /// value nevertheless.
    pub fn forget(self, map: &str) -> Self {
        self.then(Field::Mark.load(VALUE))
            .then(expr::delete(map, HELD, VALUE))
    }

    fn key(self, fields: &[Field]) -> Self {
        self.load(fields, KEY)
    }

    fn load(mut self, fields: &[Field], mut to: u32) -> Self {
        for field in fields {
            self.expressions.push(field.load(to));
            to += field.registers();
        }
        self
    }

    /// Notes the packet's mark under its connection.
    pub fn note_mark(self, map: &str, milliseconds: u64) -> Self {
        const VALUE: u32 = SCRATCH + 1;
        self.then(Field::Connection.load(SCRATCH))
            .then(Field::Mark.load(VALUE))
            .then(expr::update(map, SCRATCH, Some(VALUE), milliseconds))
    }

    /// Notes the packet's connection in a set.
    pub fn note_connection(self, set: &str, milliseconds: u64) -> Self {
        self.then(Field::Connection.load(SCRATCH))
            .then(expr::update(set, SCRATCH, None, milliseconds))
    }

    /// Notes the packet's fields in a set, or prolongs the time that they are in it.
    pub fn note(self, fields: &[Field], set: &str, milliseconds: u64) -> Self {
        self.key(fields)
            .then(expr::update(set, KEY, None, milliseconds))
    }

    /// Puts the address and port that the client asked for in the place of the source; for packets of
    /// TCP or UDP of this family.
    pub fn source_as_asked(self, family: Family) -> Self {
        let (offset, length, checksum) = match family {
            Family::V4 => (12, 4, Checksum::TransportAnd(10)),
            Family::V6 => (8, 16, Checksum::Transport),
        };
        self.then(Field::OriginalPort.load(SCRATCH))
            .then(expr::rewrite(
                Header::Transport,
                0,
                2,
                SCRATCH,
                Checksum::Transport,
            ))
            .then(Field::OriginalDestination(family).load(SCRATCH))
            .then(expr::rewrite(
                Header::Network,
                offset,
                length,
                SCRATCH,
                checksum,
            ))
    }

    /// Sets the packet's mark to the one found.
    pub fn set_found_mark(self) -> Self {
        self.then(expr::set_mark(KEY))
    }

    /// Sets the packet's mark.
    pub fn set_mark(self, mark: u32) -> Self {
        self.then(expr::value(&mark.to_ne_bytes(), SCRATCH))
            .mark_from_scratch()
    }

    /// Sets or clears a bit of the packet's mark.
    pub fn set_mark_bit(self, bit: u32, set: bool) -> Self {
        let xor = if set { bit } else { 0 };
        let (mask, xor) = ((!bit).to_ne_bytes(), xor.to_ne_bytes());
        self.mark_to_scratch()
            .then(expr::bitwise(SCRATCH, &mask, &xor))
            .mark_from_scratch()
    }

    /// For so many packets a second.
    pub fn limit(self, per_second: u32) -> Self {
        self.then(expr::limit(per_second))
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
