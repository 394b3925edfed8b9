//! The kernel's rule expressions: the ones that `netlink-packet-netfilter` types, in short, and
//! the others, put together from their attributes (`linux/netfilter/nf_tables.h`).

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute,
    Lookup, Meta, MetaKey, Operator, Payload, Register, Verdict, VerdictAttribute,
};

/// One step of a rule.
pub type Expression = ListAttribute<ExpressionAttribute>;

/// `NFT_REG32_00`: the first of the sixteen data registers of four bytes.
const FIRST_REGISTER: u32 = 8;
/// `NF_DROP` and `NF_ACCEPT`.
const NF_DROP: u32 = 0;

/// The conntrack facts that rules ask for (`enum nft_ct_keys`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum ConntrackKey {
    /// `NFT_CT_STATE`, a set of bits
    State = 0,
    /// `NFT_CT_DIRECTION`, 0 for the original one
    Direction = 1,
    /// `NFT_CT_STATUS`, a set of bits
    Status = 2,
    /// `NFT_CT_PROTO_SRC`, of one direction
    SourcePort = 11,
    /// `NFT_CT_PROTO_DST`, of one direction
    DestinationPort = 12,
    /// `NFT_CT_SRC_IP`, of one direction
    SourceV4 = 19,
    /// `NFT_CT_DST_IP`, of one direction
    DestinationV4 = 20,
    /// `NFT_CT_SRC_IP6`, of one direction
    SourceV6 = 21,
    /// `NFT_CT_DST_IP6`, of one direction
    DestinationV6 = 22,
    /// `NFT_CT_ID`, the same from the first packet of a connection to its last
    Id = 23,
}

/// Whose packets an address or port of a connection is taken from (`enum ip_conntrack_dir`).
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Direction {
    /// The client's, as they arrive.
    Original = 0,
    /// The real server's, as they arrive.
    Reply = 1,
}

/// Where a rule's evaluation goes next.
#[derive(Clone, Copy, Debug)]
pub enum Next {
    /// The packet is dropped.
    Drop,
    /// Back to where this chain was jumped to.
    Return,
    /// To another chain, and back after it.
    Jump(&'static str),
    /// To another chain for good.
    Goto(&'static str),
}

/// The data register with this number, 0 to 15.
fn register(number: u32) -> Register {
    Register::Other(FIRST_REGISTER + number)
}

/// Loads a fact about the packet.
pub fn meta(key: MetaKey, to: u32) -> Expression {
    Expressions::Meta(vec![
        Meta::Key(key),
        Meta::DestinationRegister(register(to)),
    ])
    .into()
}

/// Sets the packet's mark.
pub fn set_mark(from: u32) -> Expression {
    Expressions::Meta(vec![
        Meta::Key(MetaKey::Mark),
        Meta::SourceRegister(register(from)),
    ])
    .into()
}

/// A part of the packet (`enum nft_payload_bases`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Header {
    /// `NFT_PAYLOAD_NETWORK_HEADER`
    Network = 1,
    /// `NFT_PAYLOAD_TRANSPORT_HEADER`
    Transport = 2,
}

/// Loads `length` bytes of the packet from `offset` after the start of a header.
pub fn payload(header: Header, offset: u32, length: u32, to: u32) -> Expression {
    Expressions::Payload(vec![
        Payload::DestinationRegister(register(to)),
        Payload::Base(header as u32),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
    .into()
}

/// Where the checksums are that a change of the packet makes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Checksum {
    /// In the transport header, of TCP or UDP: the kernel finds it, and leaves one alone that there is
    /// none of.
    Transport,
    /// There, and at this offset in the header that is changed.
    TransportAnd(u32),
}

/// Puts `length` bytes from a register into the packet, at `offset` after the start of a header.
pub fn rewrite(
    header: Header,
    offset: u32,
    length: u32,
    from: u32,
    checksum: Checksum,
) -> Expression {
    const NFTA_PAYLOAD_BASE: u16 = 2;
    const NFTA_PAYLOAD_OFFSET: u16 = 3;
    const NFTA_PAYLOAD_LEN: u16 = 4;
    const NFTA_PAYLOAD_SREG: u16 = 5;
    const NFTA_PAYLOAD_CSUM_TYPE: u16 = 6;
    const NFTA_PAYLOAD_CSUM_OFFSET: u16 = 7;
    const NFTA_PAYLOAD_CSUM_FLAGS: u16 = 8;
    const NFT_PAYLOAD_CSUM_NONE: u32 = 0;
    const NFT_PAYLOAD_CSUM_INET: u32 = 1;
    const NFT_PAYLOAD_L4CSUM_PSEUDOHDR: u32 = 1;
    let (kind, at) = match checksum {
        Checksum::Transport => (NFT_PAYLOAD_CSUM_NONE, 0),
        Checksum::TransportAnd(at) => (NFT_PAYLOAD_CSUM_INET, at),
    };
    other(
        "payload",
        vec![
            number(NFTA_PAYLOAD_SREG, register(from).into()),
            number(NFTA_PAYLOAD_BASE, header as u32),
            number(NFTA_PAYLOAD_OFFSET, offset),
            number(NFTA_PAYLOAD_LEN, length),
            number(NFTA_PAYLOAD_CSUM_TYPE, kind),
            number(NFTA_PAYLOAD_CSUM_OFFSET, at),
            number(NFTA_PAYLOAD_CSUM_FLAGS, NFT_PAYLOAD_L4CSUM_PSEUDOHDR),
        ],
    )
}

/// Goes on only if a register compares so with a value.
pub fn compare(number: u32, operator: Operator, value: &[u8]) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(register(number)),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value.to_vec())),
    ])
    .into()
}

/// Computes `(register & mask) ^ xor` in place.
pub fn bitwise(number: u32, mask: &[u8], xor: &[u8]) -> Expression {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(register(number)),
        Bitwise::DestinationRegister(register(number)),
        Bitwise::Length(u32::try_from(mask.len()).unwrap_or(u32::MAX)),
        Bitwise::Mask(DataAttribute::Value(mask.to_vec())),
        Bitwise::Xor(DataAttribute::Value(xor.to_vec())),
    ])
    .into()
}

/// Loads a value.
pub fn value(value: &[u8], to: u32) -> Expression {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(register(to)),
        Immediate::Data(DataAttribute::Value(value.to_vec())),
    ])
    .into()
}

/// Goes on only if the key in the registers from 0 is in a set, or is not.
pub fn is_in(set: &str, expected: bool) -> Expression {
    key_is_in(0, set, expected)
}

/// The same of the key in the registers from `key`.
pub fn key_is_in(key: u32, set: &str, expected: bool) -> Expression {
    /// `NFT_LOOKUP_F_INV`
    const INVERTED: u32 = 1;
    Expressions::Lookup(vec![
        Lookup::Set(set.to_owned()),
        Lookup::SourceRegister(register(key)),
        Lookup::Flags(if expected { 0 } else { INVERTED }),
    ])
    .into()
}

/// Replaces the key in the registers from 0 by what a map has for it; goes on only if it has.
pub fn map(map: &str) -> Expression {
    Expressions::Lookup(vec![
        Lookup::Set(map.to_owned()),
        Lookup::SourceRegister(register(0)),
        Lookup::DestinationRegister(register(0)),
    ])
    .into()
}

/// Sends the packet elsewhere.
pub fn verdict(next: Next) -> Expression {
    let (code, chain) = match next {
        Next::Drop => (Verdict::Other(NF_DROP), None),
        Next::Return => (Verdict::Return, None),
        Next::Jump(chain) => (Verdict::Jump, Some(chain)),
        Next::Goto(chain) => (Verdict::Goto, Some(chain)),
    };
    let mut attributes = vec![VerdictAttribute::Code(code)];
    attributes.extend(chain.map(|chain| VerdictAttribute::Chain(chain.to_owned())));
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(attributes)),
    ])
    .into()
}

/// Loads a fact about the packet's connection.
pub fn conntrack(key: ConntrackKey, to: u32) -> Expression {
    other("ct", fact(key, to).into())
}

/// Loads an address or port of the packet's connection.
pub fn conntrack_of(direction: Direction, key: ConntrackKey, to: u32) -> Expression {
    const NFTA_CT_DIRECTION: u16 = 3;
    let mut attributes = Vec::from(fact(key, to));
    attributes.push(DefaultNla::new(NFTA_CT_DIRECTION, vec![direction as u8]));
    other("ct", attributes)
}

fn fact(key: ConntrackKey, to: u32) -> [DefaultNla; 2] {
    const NFTA_CT_DREG: u16 = 1;
    const NFTA_CT_KEY: u16 = 2;
    [
        number(NFTA_CT_DREG, register(to).into()),
        number(NFTA_CT_KEY, key as u32),
    ]
}

/// An address of the packet.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Address {
    /// `NFTA_FIB_F_SADDR`
    Source = 1,
    /// `NFTA_FIB_F_DADDR`
    Destination = 2,
}

/// Loads the type of an address (`RTN_*` of `linux/rtnetlink.h`).
pub fn address_type(address: Address, to: u32) -> Expression {
    const NFTA_FIB_DREG: u16 = 1;
    const NFTA_FIB_RESULT: u16 = 2;
    const NFTA_FIB_FLAGS: u16 = 3;
    const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
    other(
        "fib",
        vec![
            number(NFTA_FIB_DREG, register(to).into()),
            number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE),
            number(NFTA_FIB_FLAGS, address as u32),
        ],
    )
}

/// Maps the key in the registers from `key` to the value in another for some time, or puts it into a
/// set, or prolongs that time.
pub fn update(map: &str, key: u32, value: Option<u32>, milliseconds: u64) -> Expression {
    const NFTA_DYNSET_TIMEOUT: u16 = 6;
    const NFT_DYNSET_OP_UPDATE: u32 = 1;
    let mut attributes = change(NFT_DYNSET_OP_UPDATE, map, key, value);
    attributes.push(long_number(NFTA_DYNSET_TIMEOUT, milliseconds));
    other("dynset", attributes)
}

/// Takes the key in the registers from `key` out of a map, whatever that has for it.
pub fn delete(map: &str, key: u32, value: u32) -> Expression {
    const NFT_DYNSET_OP_DELETE: u32 = 2;
    other(
        "dynset",
        change(NFT_DYNSET_OP_DELETE, map, key, Some(value)),
    )
}

fn change(operation: u32, map: &str, key: u32, value: Option<u32>) -> Vec<DefaultNla> {
    const NFTA_DYNSET_SET_NAME: u16 = 1;
    const NFTA_DYNSET_OP: u16 = 3;
    const NFTA_DYNSET_SREG_KEY: u16 = 4;
    const NFTA_DYNSET_SREG_DATA: u16 = 5;
    let mut attributes = vec![
        DefaultNla::new(NFTA_DYNSET_SET_NAME, [map.as_bytes(), &[0]].concat()),
        number(NFTA_DYNSET_OP, operation),
        number(NFTA_DYNSET_SREG_KEY, register(key).into()),
    ];
    let value = value.map(|value| number(NFTA_DYNSET_SREG_DATA, register(value).into()));
    attributes.extend(value);
    attributes
}

/// Goes on for so many packets a second only.
pub fn limit(per_second: u32) -> Expression {
    const NFTA_LIMIT_RATE: u16 = 1;
    const NFTA_LIMIT_UNIT: u16 = 2;
    const NFTA_LIMIT_BURST: u16 = 3;
    const NFTA_LIMIT_TYPE: u16 = 4;
    const NFT_LIMIT_PKTS: u32 = 0;
    other(
        "limit",
        vec![
            long_number(NFTA_LIMIT_RATE, per_second.into()),
            long_number(NFTA_LIMIT_UNIT, 1),
            number(NFTA_LIMIT_BURST, per_second),
            number(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS),
        ],
    )
}

/// Answers with a TCP reset.
pub fn reset() -> Expression {
    const NFT_REJECT_TCP_RST: u32 = 1;
    other("reject", vec![number(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST)])
}

/// Answers with the ICMP or `ICMPv6` message "port unreachable".
pub fn unreachable() -> Expression {
    const NFTA_REJECT_ICMP_CODE: u16 = 2;
    const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
    const NFT_REJECT_ICMPX_PORT_UNREACH: u8 = 1;
    other(
        "reject",
        vec![
            number(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH),
            DefaultNla::new(NFTA_REJECT_ICMP_CODE, vec![NFT_REJECT_ICMPX_PORT_UNREACH]),
        ],
    )
}

const NFTA_REJECT_TYPE: u16 = 1;

/// Gives the connection the source address of the outgoing link and a random source port.
pub fn masquerade() -> Expression {
    const NFTA_MASQ_FLAGS: u16 = 1;
    const NF_NAT_RANGE_PROTO_RANDOM_FULLY: u32 = 1 << 4;
    other(
        "masq",
        vec![number(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY)],
    )
}

/// The kernel module that an expression lives in, if it is not part of `nf_tables` itself.
pub fn module(expression: &Expression) -> Option<&'static str> {
    let ListAttribute::Element(attributes) = expression else {
        return None;
    };
    attributes.iter().find_map(|attribute| match attribute {
        ExpressionAttribute::Name(name) => match name.as_str() {
            "ct" => Some("nft_ct"),
            "fib" => Some("nft_fib_inet"),
            "limit" => Some("nft_limit"),
            "masq" => Some("nft_masq"),
            "reject" => Some("nft_reject_inet"),
            _ => None,
        },
        _ => None,
    })
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

fn long_number(kind: u16, value: u64) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

fn other(name: &str, attributes: Vec<DefaultNla>) -> Expression {
    Expressions::Other {
        expression_type: name.to_owned(),
        attributes,
    }
    .into()
}
