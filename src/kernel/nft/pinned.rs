//! Session affinity, packet by packet: a client that comes back is sent to the real server that it
//! had, by the mark of that real server's pin.
//!
//! ```text
//! in:   marked ─► is client . mark in pinned_v4? ─► recall: pin alive? the pin's mark : forget it
//! out:  mark still the virtual server's ─► remember: pinned_v4 { client . mark : pin } for a while
//! ```
//!
//! Whatever a map has goes into the packet's mark before it is part of a key or a value itself. The
//! kernel could take it from a register; the `nft` tool aborts when it is to print that. So what the
//! mark was before is held, or noted under the connection.
//!
//! The kernel takes the time for which an element is kept from the rule that adds it, so there is a
//! rule for each time-out in use, and these few change with what is in use.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;

use super::chains::{Chain, inner};
use super::expression::Next;
use super::field::Field;
use super::rule::Rule;
use super::schema::{self, Request};
use super::set::Set;
use super::{Element, Transaction};
use crate::kernel::mark::Mark;
use crate::model::Family;

/// The most clients, one for each virtual server that it uses, that are remembered in a family. One
/// beyond that is served, but not remembered.
pub const PINNED_SIZE: u32 = 131_072;

/// The map from connections to the marks of the virtual servers that their clients asked for, for
/// as long as it takes to see whether the pin is alive.
pub const ASKED: &str = "asked";
/// The most connections in `asked`. A client beyond that is served as if it had never come.
pub const ASKED_SIZE: u32 = 65_536;
/// The kernel counts an element that has had its time until it clears up, once a second, so that a
/// shorter time would save nothing.
const ASKED_MILLISECONDS: u64 = 1_000;

/// Sends a client that comes back to its real server.
const RECALL: &str = "recall";
/// Lets what is remembered of a client last from now on.
const RENEW: &str = "renew";
/// Notes which real server a client has been given.
const REMEMBER: &str = "remember";

/// The map from clients and the marks of virtual servers to the marks of pins.
pub const fn pinned(family: Family) -> &'static str {
    match family {
        Family::V4 => "pinned_v4",
        Family::V6 => "pinned_v6",
    }
}

/// The chains; `timeouts` are those in use.
pub fn chains(timeouts: &Timeouts) -> [Chain; 3] {
    let [renew, remember] = timed(timeouts);
    [inner(RECALL, recall()), renew, remember]
}

/// The chains that depend on the time-outs in use.
fn timed(timeouts: &Timeouts) -> [Chain; 2] {
    let each = |rule: fn(NonZeroU32, Family) -> Rule| {
        let distinct = timeouts.distinct().into_iter();
        let both = distinct.flat_map(|seconds| Family::ALL.map(|family| rule(seconds, family)));
        both.collect()
    };
    [inner(RENEW, each(renew)), inner(REMEMBER, each(remember))]
}

/// The last rules of `marked`: the mark is a virtual server's. Services without affinity pay a
/// look-up that fails.
pub fn known_clients() -> [Rule; 2] {
    Family::ALL.map(|family| {
        Rule::new()
            .family(family)
            .when_mapped(&client(family), pinned(family))
            .goto(RECALL)
    })
}

/// The first rule of `sent_on` and `kept`: IPVS has chosen a real server for a new connection, and
/// its mark is still there.
pub fn new_clients() -> Rule {
    Rule::new()
        .unconfirmed()
        .when_mapped(&[Field::Mark], Set::Affinity.name())
        .next(Next::Jump(REMEMBER))
}

/// `recall`: the client has a pin.
fn recall() -> Vec<Rule> {
    // The packets of a flow of UDP that there is already do not prolong anything.
    let mut rules = vec![Rule::new().new_connection().next(Next::Jump(RENEW))];
    for family in Family::ALL {
        rules.push(
            Rule::new()
                .family(family)
                .note_mark(ASKED, ASKED_MILLISECONDS)
                .hold(&[Field::Mark])
                .find_mark(&client(family), pinned(family))
                .set_found_mark()
                .held_and_mark_in(Set::Alive.name())
                .next(Next::Return),
        );
        // The real server takes no new clients: this one is as if it had never come. The element has
        // to go, since the kernel does not put another value in the place of one that is there.
        rules.push(
            Rule::new()
                .family(family)
                .find_mark(&[Field::Connection], ASKED)
                .set_found_mark()
                .hold(&client(family))
                .forget(pinned(family)),
        );
    }
    rules
}

/// A rule of `renew`. The value that is there stays. Should the element have had its time just now,
/// it is made anew with a value that is not alive, and `recall` takes it away.
fn renew(seconds: NonZeroU32, family: Family) -> Rule {
    lasting(seconds, family)
        .hold(&client(family))
        .keep(pinned(family), seconds)
}

/// A rule of `remember`. The mark stays that of the pin: what comes next is `restore`.
fn remember(seconds: NonZeroU32, family: Family) -> Rule {
    let real = [Field::Mark, Field::Destination(family), Field::Port];
    lasting(seconds, family)
        .hold(&client(family))
        .find_mark(&real, Set::Pins(family).name())
        .set_found_mark()
        .keep(pinned(family), seconds)
}

/// For packets to a virtual server whose clients stay for so long.
fn lasting(seconds: NonZeroU32, family: Family) -> Rule {
    Rule::new()
        .family(family)
        .when_mapped_to(&[Field::Mark], Set::Affinity.name(), seconds.get())
}

/// The key of the maps of pinned clients.
fn client(family: Family) -> [Field; 2] {
    [Field::Source(family), Field::Mark]
}

/// For how long the clients of each virtual server stay with their real servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeouts(HashMap<Mark, NonZeroU32>);

impl Timeouts {
    /// Takes in what the table holds.
    pub fn found(&mut self, elements: &[Element]) {
        self.0.extend(elements.iter().filter_map(Element::lasting));
    }

    /// What they are after a transaction, if that touches them.
    pub fn after(&self, transaction: &Transaction) -> Option<Self> {
        let gone: Vec<_> = transaction
            .remove
            .iter()
            .filter_map(Element::lasting)
            .collect();
        let come: Vec<_> = transaction
            .add
            .iter()
            .filter_map(Element::lasting)
            .collect();
        if gone.is_empty() && come.is_empty() {
            return None;
        }
        let mut next = self.clone();
        for (server, _) in gone {
            next.0.remove(&server);
        }
        next.0.extend(come);
        Some(next)
    }

    /// What leads from the rules for `before` to those for these.
    pub fn requests(&self, before: &Self) -> Vec<Request> {
        if self.distinct() == before.distinct() {
            return Vec::new();
        }
        timed(self)
            .into_iter()
            .flat_map(|chain| {
                let flush = schema::flush_chain(chain.name);
                std::iter::once(flush).chain(schema::rules(chain))
            })
            .collect()
    }

    fn distinct(&self) -> BTreeSet<NonZeroU32> {
        self.0.values().copied().collect()
    }
}
