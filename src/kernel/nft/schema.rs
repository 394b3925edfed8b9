//! The requests that make and unmake the table, its sets and maps, and its chains.

use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook as HookAttribute, HookNumber, NfTablesMessage,
    RuleAttribute, RuleMessage, SetAttribute, SetDescription, SetElementList, SetElementMessage,
    SetFlags, SetMessage, TableAttribute, TableMessage,
};

use super::chains::{BORROWED, BORROWED_SIZE, Chain, Hook};
use super::element::Element;
use super::pinned::{self, ASKED, ASKED_SIZE, PINNED_SIZE};
use super::pods::{INSIDE, INSIDE_SIZE};
use super::rule::Rule;
use super::set::Set;
use super::twins::{TWINS_SIZE, twins};
use crate::model::Family;

/// The table's name.
pub const TABLE: &str = "spillway";

/// A request, and what to say of it if the kernel refuses it.
#[derive(Debug)]
pub struct Request {
    /// The request.
    pub message: NfTablesMessage,
    /// Its flags besides `NLM_F_REQUEST`.
    pub flags: u16,
    /// What it is about.
    pub subject: String,
    /// The kernel modules that it needs besides `nf_tables`.
    pub modules: Vec<&'static str>,
}

impl Request {
    fn new(message: NfTablesMessage, flags: u16, subject: impl Into<String>) -> Self {
        Self {
            message,
            flags,
            subject: subject.into(),
            modules: Vec::new(),
        }
    }

    fn needing(mut self, modules: Vec<&'static str>) -> Self {
        self.modules = modules;
        self
    }
}

/// Makes the table, if there is none.
pub fn table() -> Request {
    let message = NfTablesMessage::NewTable(table_message());
    Request::new(message, NLM_F_CREATE, "the table itself")
}

/// Removes the table with all that is in it.
pub fn delete_table() -> Request {
    let message = NfTablesMessage::DeleteTable(table_message());
    Request::new(message, 0, "the removal of the table")
}

fn table_message() -> TableMessage {
    TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.to_owned())],
    }
}

/// Empties a set.
pub fn flush(set: Set) -> Request {
    let message = NfTablesMessage::DeleteSetElement(SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(set.name().to_owned()),
        ],
    });
    Request::new(message, 0, format!("the emptying of {}", set.name()))
}

/// Adds elements to a set.
pub fn add(set: Set, elements: NfTablesMessage) -> Request {
    let subject = format!("elements of {}", set.name());
    Request::new(elements, NLM_F_CREATE, subject)
}

/// Removes all rules of a chain, so that no other chain is in use by it.
pub fn flush_chain(name: &str) -> Request {
    let message = NfTablesMessage::DeleteRule(RuleMessage {
        attributes: vec![
            RuleAttribute::Table(TABLE.to_owned()),
            RuleAttribute::Chain(name.to_owned()),
        ],
    });
    Request::new(message, 0, format!("the emptying of chain {name}"))
}

/// Removes a chain.
pub fn delete_chain(name: &str) -> Request {
    let message = NfTablesMessage::DeleteChain(ChainMessage {
        attributes: vec![
            ChainAttribute::Table(TABLE.to_owned()),
            ChainAttribute::Name(name.to_owned()),
        ],
    });
    Request::new(message, 0, format!("the removal of chain {name}"))
}

/// Makes all sets and maps that do not exist.
pub fn sets() -> Vec<Request> {
    let ours = Set::ALL.into_iter().enumerate().map(|(id, set)| {
        let mut attributes = match set {
            Set::Services(family)
            | Set::Outside(family)
            | Set::External(family)
            | Set::Probed(family)
            | Set::Guarded(family)
            | Set::Hosts(family)
            | Set::Called(family) => key(&[Type::address(family), Type::PROTOCOL, Type::PORT]),
            Set::Allowed(family) => {
                let address = Type::address(family);
                intervals(&[address, Type::PROTOCOL, Type::PORT, address])
            }
            Set::Own(family) => {
                let address = Type::address(family);
                key(&[address, address, Type::PROTOCOL, Type::PORT])
            }
            Set::NodePorts(_) | Set::OutsideNodePorts(_) => key(&[Type::PROTOCOL, Type::PORT]),
            Set::Vips(family) => key(&[Type::address(family)]),
            Set::Hairpin(family) => key(&[Type::address(family); 2]),
            Set::Affinity => key(&[Type::MARK]),
            Set::Pins(family) => key(&[Type::MARK, Type::address(family), Type::PORT]),
            Set::Alive => key(&[Type::MARK; 2]),
        };
        let flags = match set {
            Set::Called(_) => {
                let milliseconds = Element::CALLED.as_millis();
                attributes.push(SetAttribute::Timeout(
                    milliseconds.try_into().unwrap_or(u64::MAX),
                ));
                SetFlags::Timeout
            }
            Set::Allowed(_) => SetFlags::Interval | SetFlags::Concat,
            _ if set.is_map() => {
                attributes.extend(marks_as_values(set == Set::Affinity));
                SetFlags::Map
            }
            _ => SetFlags::empty(),
        };
        attributes.push(SetAttribute::Flags(flags));
        new_set(id, set.name(), attributes)
    });
    // The number of a connection has no type of its own; as a mark it is printed in full.
    let noted = [(BORROWED, BORROWED_SIZE), (ASKED, ASKED_SIZE)]
        .map(|(name, size)| (name, dynamic(&[Type::MARK], size)));
    let pinned = Family::ALL.map(|family| {
        let client = [Type::address(family), Type::MARK];
        (pinned::pinned(family), dynamic(&client, PINNED_SIZE))
    });
    let inside = (INSIDE, dynamic_set(&[Type::MARK], INSIDE_SIZE));
    let twins = Family::ALL.map(|family| {
        let (address, protocol, port) = (Type::address(family), Type::PROTOCOL, Type::PORT);
        let both = [address, protocol, port, address, port];
        (twins(family), dynamic_set(&both, TWINS_SIZE))
    });
    let maps = noted.into_iter().chain(pinned);
    let filled_by_rules = maps.chain([inside]).chain(twins).zip(Set::ALL.len()..);
    let filled_by_rules =
        filled_by_rules.map(|((name, attributes), id)| new_set(id, name, attributes));
    ours.chain(filled_by_rules).collect()
}

/// A set that rules fill, with at most `size` elements.
fn dynamic_set(fields: &[Type], size: u32) -> Vec<SetAttribute> {
    let mut attributes = key(fields);
    attributes.push(SetAttribute::Flags(SetFlags::Timeout | SetFlags::Eval));
    attributes.push(SetAttribute::Description(vec![SetDescription::Size(size)]));
    attributes
}

/// A map to marks that rules fill, with at most `size` elements.
fn dynamic(fields: &[Type], size: u32) -> Vec<SetAttribute> {
    let mut attributes = key(fields);
    attributes.extend(marks_as_values(matches!(fields, [Type::MARK])));
    attributes.push(SetAttribute::Flags(
        SetFlags::Map | SetFlags::Timeout | SetFlags::Eval,
    ));
    attributes.push(SetAttribute::Description(vec![SetDescription::Size(size)]));
    attributes
}

/// A data type of the `nft` tool (its `datatype.h`), which needs it to print keys and values, and
/// its length in bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Type(u32, u32);

impl Type {
    const PROTOCOL: Self = Self(12, 1);
    const PORT: Self = Self(13, 2);
    const MARK: Self = Self(19, 4);

    fn address(family: Family) -> Self {
        match family {
            Family::V4 => Self(7, 4),
            Family::V6 => Self(8, 16),
        }
    }
}

/// A key of these fields; of more than one it is a concatenation, in which each is padded to a
/// multiple of four bytes.
fn key(fields: &[Type]) -> Vec<SetAttribute> {
    /// `TYPE_BITS` of the `nft` tool
    const TYPE_BITS: u32 = 6;
    let number = fields
        .iter()
        .fold(0, |all, field| all << TYPE_BITS | field.0);
    let length = fields.iter().map(|field| field.1.next_multiple_of(4)).sum();
    vec![SetAttribute::KeyType(number), SetAttribute::KeyLen(length)]
}

/// A key of these fields, each from a first to a last value. The kernel must be told where the one
/// ends and the next begins.
fn intervals(fields: &[Type]) -> Vec<SetAttribute> {
    /// `NFTA_LIST_ELEM`
    const FIELD: u16 = 1;
    /// `struct nlattr` with the attribute `NFTA_SET_FIELD_LEN`, a number
    const LENGTH: [u16; 2] = [8, 1];
    let field = |Type(_, length): &Type| {
        let header = LENGTH.map(u16::to_ne_bytes).concat();
        DefaultNla::new(FIELD, [header, length.to_be_bytes().to_vec()].concat())
    };
    let fields_of_the_key = fields.iter().map(field).collect();
    let mut attributes = key(fields);
    attributes.push(SetAttribute::Description(vec![SetDescription::Concat(
        fields_of_the_key,
    )]));
    attributes
}

/// The values of a map are marks; the keys may be marks alone, too.
fn marks_as_values(and_keys: bool) -> [SetAttribute; 3] {
    /// `NFTNL_UDATA_SET_KEYBYTEORDER` and `NFTNL_UDATA_SET_DATABYTEORDER` of libnftnl, and a length
    /// of 4.
    const ORDERS: [[u8; 2]; 2] = [[0, 4], [1, 4]];
    /// `BYTEORDER_HOST_ENDIAN` of the `nft` tool, which else would print them the wrong way round.
    const HOST: u32 = 1;
    let Type(number, length) = Type::MARK;
    let orders = &ORDERS[usize::from(!and_keys)..];
    let orders = orders
        .iter()
        .flat_map(|it| [&it[..], &HOST.to_ne_bytes()].concat());
    [
        SetAttribute::DataType(number),
        SetAttribute::DataLen(length),
        SetAttribute::UserData(orders.collect()),
    ]
}

fn new_set(id: usize, name: &str, mut attributes: Vec<SetAttribute>) -> Request {
    attributes.splice(
        0..0,
        [
            SetAttribute::Table(TABLE.to_owned()),
            SetAttribute::Name(name.to_owned()),
            SetAttribute::Id(u32::try_from(id).unwrap_or(u32::MAX)),
        ],
    );
    let message = NfTablesMessage::NewSet(SetMessage { attributes });
    Request::new(message, NLM_F_CREATE, format!("set {name}"))
}

/// Makes a chain without its rules.
pub fn chain(chain: &Chain) -> Request {
    /// `NF_ACCEPT`
    const ACCEPT: u32 = 1;
    let mut attributes = vec![
        ChainAttribute::Table(TABLE.to_owned()),
        ChainAttribute::Name(chain.name.to_owned()),
    ];
    let mut modules = Vec::new();
    if let Some(Hook {
        kind,
        point,
        priority,
    }) = chain.hook
    {
        attributes.extend([
            ChainAttribute::Hook(vec![
                HookAttribute::Number(HookNumber::Inet(point)),
                HookAttribute::Priority(priority.cast_unsigned()),
            ]),
            ChainAttribute::Type(kind.to_owned()),
            ChainAttribute::Policy(ACCEPT),
        ]);
        if kind == "nat" {
            modules.push("nft_chain_nat");
        }
    }
    let message = NfTablesMessage::NewChain(ChainMessage { attributes });
    Request::new(message, NLM_F_CREATE, format!("chain {}", chain.name)).needing(modules)
}

/// Adds the rules of a chain.
pub fn rules(chain: Chain) -> impl Iterator<Item = Request> {
    let name = chain.name;
    chain
        .rules
        .into_iter()
        .enumerate()
        .map(move |(index, rule)| {
            let modules = rule.modules();
            let Rule { expressions } = rule;
            let message = NfTablesMessage::NewRule(RuleMessage {
                attributes: vec![
                    RuleAttribute::Table(TABLE.to_owned()),
                    RuleAttribute::Chain(name.to_owned()),
                    RuleAttribute::Expressions(expressions),
                ],
            });
            let subject = format!("rule {} of chain {name}", index + 1);
            Request::new(message, NLM_F_CREATE | NLM_F_APPEND, subject).needing(modules)
        })
}
