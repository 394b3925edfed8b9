//! The table itself: made, taken over, read, changed and removed.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    DataAttribute, ListAttribute, NfTablesMessage, SetElementAttribute, SetElementList,
    SetElementMessage,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

use super::batch::{Batch, Refused};
use super::pinned::Timeouts;
use super::schema::{self, Request, TABLE};
use super::set::Set;
use super::{Action, Base, Element, Error, Transaction, chains, dump};
use crate::kernel::mark::MarkRange;
use crate::kernel::netfilter::is;
use crate::kernel::socket::Socket;
use crate::model::Family;

/// The most elements in one message. The list of them is one attribute, so it must stay below
/// 64 KiB; the longest element, what IPv6 clients are allowed, takes 104 bytes.
const ELEMENTS_PER_MESSAGE: usize = 600;

/// A transaction as the messages that it is sent as.
#[derive(Debug)]
pub struct Prepared {
    batch: Batch,
    /// The first element of each message, and what is to become of it.
    firsts: Vec<(Action, Element)>,
    /// What the messages after those are about.
    rules: Vec<String>,
    /// The time-outs of session affinity afterwards, if they change.
    timeouts: Option<Timeouts>,
}

/// The table, as the process that owns it sees it.
#[derive(Debug)]
pub struct Table {
    socket: Socket,
    marks: MarkRange,
    /// Those of session affinity that there are rules for.
    timeouts: Timeouts,
}

impl Table {
    /// Makes the table in this network namespace, or takes over the one that is there: in one
    /// transaction all its chains are replaced, while the elements stay.
    ///
    /// Sets that hold marks outside of `base.marks`, or anything else that cannot be ours, are
    /// emptied: such elements are from before a change of the range.
    pub fn open(base: &Base) -> Result<Self, Error> {
        check(base)?;
        let socket = Socket::open(NETLINK_NETFILTER).map_err(Error::Unavailable)?;
        let marks = base.marks;
        let mut table = Self {
            socket,
            marks,
            timeouts: Timeouts::default(),
        };
        let mut requests = vec![schema::table()];
        for set in Set::ALL {
            match table.read(set) {
                Err(Error::Foreign(_)) => requests.push(schema::flush(set)),
                Err(Error::Read { cause, .. }) if is(&cause, Errno::ENOENT) => {}
                read => table.timeouts.found(&read?),
            }
        }
        requests.extend(schema::sets());
        table.exchange_chains(base, requests)?;
        Ok(table)
    }

    /// Whether it still is there with its chains.
    pub fn has_rules(&mut self) -> Result<bool, Error> {
        let chains = dump::chains(&mut self.socket).map_err(Error::Unavailable)?;
        Ok(!chains.is_empty())
    }

    /// Replaces all chains in one transaction, as far as they depend on what has changed in `base`,
    /// which must have the same marks. The elements stay.
    pub fn rewrite(&mut self, base: &Base) -> Result<(), Error> {
        check(base)?;
        self.exchange_chains(base, Vec::new())
    }

    fn exchange_chains(&mut self, base: &Base, mut requests: Vec<Request>) -> Result<(), Error> {
        let old = dump::chains(&mut self.socket).map_err(Error::Unavailable)?;
        requests.extend(old.iter().map(|name| schema::flush_chain(name)));
        requests.extend(old.iter().map(|name| schema::delete_chain(name)));
        let chains = chains::chains(base, &self.timeouts);
        requests.extend(chains.iter().map(schema::chain));
        requests.extend(chains.into_iter().flat_map(schema::rules));
        run(&mut self.socket, requests)
    }

    /// Removes the table from this network namespace, if there is one.
    pub fn delete() -> Result<(), Error> {
        let mut socket = Socket::open(NETLINK_NETFILTER).map_err(Error::Unavailable)?;
        match run(&mut socket, vec![schema::delete_table()]) {
            Err(Error::Refused { cause, .. }) if is(&cause, Errno::ENOENT) => Ok(()),
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
            .map_err(|cause| Error::Read { set: name, cause })?
            .into_iter()
            .map(|entry| Element::decode(set, &entry, self.marks).ok_or(Error::Foreign(name)))
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

    /// Makes these the real servers that connections come back from, for [`Element::CALLED`] from now
    /// on, and no others.
    pub fn call_back(&mut self, called: &[Element]) -> Result<(), Error> {
        let mut requests = Vec::new();
        for family in Family::ALL {
            let set = Set::Called(family);
            requests.push(schema::flush(set));
            let elements: Vec<_> = called.iter().filter(|it| it.set() == set).collect();
            for chunk in elements.chunks(ELEMENTS_PER_MESSAGE) {
                let message = message(Action::Add, set, chunk);
                requests.push(schema::add(set, message));
            }
        }
        run(&mut self.socket, requests)
    }

    /// One transaction, with so many elements in one message.
    fn attempt(&mut self, transaction: &Transaction, per_message: usize) -> Result<(), Error> {
        let prepared = self.encode(transaction, per_message);
        self.send(prepared)
    }

    /// The messages of a transaction, for [`Self::send`]: the one after the other is what
    /// [`Self::commit`] does.
    pub fn prepare(&mut self, transaction: &Transaction) -> Prepared {
        self.encode(transaction, ELEMENTS_PER_MESSAGE)
    }

    fn encode(&mut self, transaction: &Transaction, per_message: usize) -> Prepared {
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
        let timeouts = self.timeouts.after(transaction);
        let changes = timeouts
            .iter()
            .flat_map(|timeouts| timeouts.requests(&self.timeouts));
        let mut rules = Vec::new();
        for request in changes {
            batch.push(&mut self.socket, request.flags, request.message);
            rules.push(request.subject);
        }
        Prepared {
            batch,
            firsts,
            rules,
            timeouts,
        }
    }

    /// Carries out a prepared transaction.
    pub fn send(&mut self, prepared: Prepared) -> Result<(), Error> {
        let Prepared {
            batch,
            firsts,
            mut rules,
            timeouts,
        } = prepared;
        batch
            .commit(&mut self.socket)
            .map_err(|refused| match refused {
                Refused::Request(index, cause) => match firsts.get(index) {
                    Some(&(action, element)) => Error::Element {
                        action,
                        element,
                        cause,
                    },
                    None => Error::Refused {
                        subject: rules.swap_remove(index - firsts.len()),
                        modules: Vec::new(),
                        cause,
                    },
                },
                Refused::Whole(cause) => Error::Transaction(cause),
            })?;
        if let Some(timeouts) = timeouts {
            self.timeouts = timeouts;
        }
        Ok(())
    }
}

fn check(base: &Base) -> Result<(), Error> {
    let bit = base.masquerade_mark();
    if bit == 0 || bit & base.marks.mask() != 0 {
        return Err(Error::MasqueradeBit(base.masquerade_bit));
    }
    Ok(())
}

/// The message that adds elements to a set or removes them.
fn message(action: Action, set: Set, elements: &[&Element]) -> NfTablesMessage {
    let elements = elements.iter().map(|element| {
        let mut attributes = vec![SetElementAttribute::Key(DataAttribute::Value(
            element.key(),
        ))];
        if let Some(end) = element.key_end() {
            /// `NFTA_DATA_VALUE`
            const VALUE: u16 = 1;
            let end = vec![DefaultNla::new(VALUE, end)];
            attributes.push(SetElementAttribute::KeyEnd(end));
        }
        if let (Action::Add, Some(value)) = (action, element.value()) {
            let value = value.to_ne_bytes().to_vec();
            attributes.push(SetElementAttribute::Data(DataAttribute::Value(value)));
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
        Refused::Request(index, cause) => {
            let (subject, modules) = subjects.swap_remove(index);
            Error::Refused {
                subject,
                modules,
                cause,
            }
        }
        Refused::Whole(cause) => Error::Transaction(cause),
    })
}
