//! The nftables table `inet spillway`, the first half of the data plane: it tells packets for
//! services from others, marks them for IPVS, and decides what address the real server sees.
//!
//! ```text
//! input  90:  new connection ─► classify ─► marked ─► IPVS (98, 99) ─┬─► input_after 110
//! output -120: new connection ─► classify ─► marked ─► IPVS (-99, -98) ─┼─► output_after -90
//!              mark of ours ─► sent_on ◄── to a real server elsewhere ──┘
//! postrouting 100: masquerade what sent_on said
//! ```
//!
//! - `classify` looks up address, protocol and port, or protocol and port alone for node ports, and
//!   sets the mark that the maps have for them. IPVS finds the virtual server by the mark. So a
//!   service goes live and dark with its map element, in one atomic step, and all addresses of a
//!   service port share one virtual server.
//! - `marked` carries out the marks that are verdicts: [`MarkRange::reject`] and
//!   [`MarkRange::drop`].
//! - `sent_on` puts back the mark that the packet had before and decides about masquerading;
//!   `input_after` and `output_after` do the former for packets that stay on the node. So a mark of
//!   ours is on a packet between two hooks only, and a neighbour's mark (a CNI's, say) survives: it
//!   waits in the map `borrowed`, under the connection's number. Of a busy flow of UDP, the mark of
//!   its first packet is put back on all of them, since the kernel keeps the value of an entry that
//!   it prolongs.
//! - Established connections pass by all this: they cost two comparisons a packet on the way in and
//!   three on the way out.
//!
//! Every change is one transaction: the kernel takes all of it or nothing. Programs are expected to
//! add what a map element points to before the element, and to remove it after.

mod batch;
mod chains;
mod dump;
mod element;
mod expression;
mod rule;
mod schema;

use std::fmt;
use std::io;

use ipnet::IpNet;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_netfilter::nftables::{
    DataAttribute, ListAttribute, NfTablesMessage, SetElementAttribute, SetElementList,
    SetElementMessage,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

use self::batch::{Batch, Refused};
pub use self::element::Element;
use self::element::Set;
use self::schema::{Request, TABLE};
use crate::kernel::mark::MarkRange;
use crate::kernel::socket::Socket;

/// The most elements in one message. The list of them is one attribute, so it must stay below
/// 64 KiB; the longest element, an IPv6 service, takes 48 bytes.
const ELEMENTS_PER_MESSAGE: usize = 1_000;

/// What the rules of the table depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The marks that are ours.
    pub marks: MarkRange,
    /// The bit of the mark, 0 to 31, that says in postrouting that the packet is to be masqueraded.
    /// Kubernetes' default is 14.
    pub masquerade_bit: u8,
    /// Whether to masquerade all connections to services.
    pub masquerade_all: bool,
    /// The networks of the cluster's pods: clients that are not in them are masqueraded. Of a
    /// family without any, clients from outside are not told from pods and keep their addresses.
    pub pod_cidrs: Vec<IpNet>,
}

impl Base {
    /// The masquerade bit as a mark.
    fn masquerade_mark(&self) -> u32 {
        1_u32.checked_shl(self.masquerade_bit.into()).unwrap_or(0)
    }
}

/// A change of the table's elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What goes; it must be there. Marks do not count.
    pub remove: Vec<Element>,
    /// What comes, after that. An element that is there already with the same mark is no error.
    pub add: Vec<Element>,
}

/// Why the table is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The masquerade bit cannot be told from a mark.
    #[error(
        "masquerade bit {0} is not one of the 32 bits of a mark or is part of the prefix of our marks"
    )]
    MasqueradeBit(u8),
    /// There is no nftables, or no right to use it.
    #[error(
        "nftables does not answer (it needs the kernel module nf_tables and the capability NET_ADMIN): {0}"
    )]
    Unavailable(#[source] io::Error),
    /// The kernel refused a part of the table.
    #[error(
        "the kernel refused {subject} of table inet {TABLE}: {source}{}",
        Needs(modules)
    )]
    Refused {
        /// Which part.
        subject: String,
        /// The kernel modules that it needs besides `nf_tables`.
        modules: Vec<&'static str>,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refused to add or remove an element, so nothing was changed.
    #[error("the kernel refused to {action} the {element} in table inet {TABLE}: {source}")]
    Element {
        /// What was to be done.
        action: Action,
        /// With what.
        element: Element,
        /// The kernel's error: `ENOENT` if the element to remove is not there, `EEXIST` if the one
        /// to add is there with another mark.
        source: io::Error,
    },
    /// A set holds something that is not ours.
    #[error("set {0} of table inet {TABLE} holds an element that is not Spillway's")]
    Foreign(&'static str),
    /// A set could not be read.
    #[error("set {set} of table inet {TABLE} cannot be read: {source}")]
    Read {
        /// Its name.
        set: &'static str,
        /// The kernel's error: `ENOENT` if somebody deleted the table.
        source: io::Error,
    },
    /// The exchange with the kernel failed.
    #[error("nftables transaction failed: {0}")]
    Transaction(#[source] io::Error),
}

/// The end of a message that names missing modules.
struct Needs<'a>(&'a [&'static str]);

impl fmt::Display for Needs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            modules => write!(f, " (needs kernel module {})", modules.join(", ")),
        }
    }
}

/// What a transaction does with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// adds it
    Add,
    /// removes it
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Remove => "remove",
        })
    }
}

/// The table, as the process that owns it sees it.
#[derive(Debug)]
pub struct Table {
    socket: Socket,
    marks: MarkRange,
}

impl Table {
    /// Makes the table in this network namespace, or takes over the one that is there: in one
    /// transaction all its chains are replaced, while the elements stay.
    ///
    /// Sets that hold marks outside of `base.marks`, or anything else that cannot be ours, are
    /// emptied: such elements are from before a change of the range.
    pub fn open(base: &Base) -> Result<Self, Error> {
        let bit = base.masquerade_mark();
        if bit == 0 || bit & base.marks.mask() != 0 {
            return Err(Error::MasqueradeBit(base.masquerade_bit));
        }
        let socket = Socket::open(NETLINK_NETFILTER).map_err(Error::Unavailable)?;
        let marks = base.marks;
        let mut table = Self { socket, marks };
        let old = dump::chains(&mut table.socket).map_err(Error::Unavailable)?;

        let mut requests = vec![schema::table()];
        for set in Set::ALL {
            match table.read(set) {
                Err(Error::Foreign(_)) => requests.push(schema::flush(set)),
                Err(Error::Read { source, .. }) if is(&source, Errno::ENOENT) => {}
                read => drop(read?),
            }
        }
        requests.extend(old.iter().map(|name| schema::flush_chain(name)));
        requests.extend(old.iter().map(|name| schema::delete_chain(name)));
        requests.extend(schema::sets());
        let chains = chains::chains(base);
        requests.extend(chains.iter().map(schema::chain));
        requests.extend(chains.into_iter().flat_map(schema::rules));
        run(&mut table.socket, requests)?;
        Ok(table)
    }

    /// Removes the table from this network namespace, if there is one.
    pub fn delete() -> Result<(), Error> {
        let mut socket = Socket::open(NETLINK_NETFILTER).map_err(Error::Unavailable)?;
        match run(&mut socket, vec![schema::delete_table()]) {
            Err(Error::Refused { source, .. }) if is(&source, Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// All elements, in no order.
    pub fn elements(&mut self) -> Result<Vec<Element>, Error> {
        let mut elements = Vec::new();
        for set in Set::ALL {
            elements.append(&mut self.read(set)?);
        }
        Ok(elements)
    }

    fn read(&mut self, set: Set) -> Result<Vec<Element>, Error> {
        let name = set.name();
        dump::entries(&mut self.socket, set)
            .map_err(|source| Error::Read { set: name, source })?
            .into_iter()
            .map(|(key, value)| {
                Element::decode(set, &key, value.as_deref(), self.marks).ok_or(Error::Foreign(name))
            })
            .collect()
    }

    /// Removes and adds elements, all or none.
    pub fn commit(&mut self, transaction: &Transaction) -> Result<(), Error> {
        match self.attempt(transaction, ELEMENTS_PER_MESSAGE) {
            // The kernel names the message that it refused. With one element in each, that is the
            // element.
            Err(Error::Element { .. }) => self.attempt(transaction, 1),
            result => result,
        }
    }

    /// One transaction, with so many elements in one message.
    fn attempt(&mut self, transaction: &Transaction, per_message: usize) -> Result<(), Error> {
        let mut batch = Batch::begin(&mut self.socket);
        let mut firsts = Vec::new();
        for (action, elements) in [
            (Action::Remove, &transaction.remove),
            (Action::Add, &transaction.add),
        ] {
            for set in Set::ALL {
                let elements: Vec<_> = elements.iter().filter(|it| it.set() == set).collect();
                for chunk in elements.chunks(per_message) {
                    firsts.push((action, *chunk[0]));
                    let flags = match action {
                        Action::Add => NLM_F_CREATE,
                        Action::Remove => 0,
                    };
                    batch.push(&mut self.socket, flags, message(action, set, chunk));
                }
            }
        }
        batch
            .commit(&mut self.socket)
            .map_err(|refused| match refused {
                Refused::Request(index, source) => {
                    let (action, element) = firsts[index];
                    Error::Element {
                        action,
                        element,
                        source,
                    }
                }
                Refused::Whole(source) => Error::Transaction(source),
            })
    }
}

/// The message that adds elements to a set or removes them.
fn message(action: Action, set: Set, elements: &[&Element]) -> NfTablesMessage {
    let elements = elements.iter().map(|element| {
        let mut attributes = vec![SetElementAttribute::Key(DataAttribute::Value(
            element.key(),
        ))];
        if let (Action::Add, Some(mark)) = (action, element.mark()) {
            let mark = mark.value().to_ne_bytes().to_vec();
            attributes.push(SetElementAttribute::Data(DataAttribute::Value(mark)));
        }
        ListAttribute::Element(attributes)
    });
    let message = SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(set.name().to_owned()),
            SetElementList::Elements(elements.collect()),
        ],
    };
    match action {
        Action::Add => NfTablesMessage::NewSetElement(message),
        Action::Remove => NfTablesMessage::DeleteSetElement(message),
    }
}

/// Carries out requests as one transaction.
fn run(socket: &mut Socket, requests: Vec<Request>) -> Result<(), Error> {
    let mut batch = Batch::begin(socket);
    let mut subjects = Vec::with_capacity(requests.len());
    for request in requests {
        batch.push(socket, request.flags, request.message);
        subjects.push((request.subject, request.modules));
    }
    batch.commit(socket).map_err(|refused| match refused {
        Refused::Request(index, source) => {
            let (subject, modules) = subjects.swap_remove(index);
            Error::Refused {
                subject,
                modules,
                source,
            }
        }
        Refused::Whole(source) => Error::Transaction(source),
    })
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}
