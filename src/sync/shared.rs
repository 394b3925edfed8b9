//! What service ports share in the kernel: the addresses on the link and the table's maps and sets.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;

use tracing::warn;

use super::Sent;
use super::elements::{element, route};
use super::platform::{Platform, Trouble};
use super::refs::Refs;
use super::refusals::Refusals;
use super::routes::{Claim, Routes};
use crate::kernel::link::Refused;
use crate::kernel::mark::Mark;
use crate::kernel::nft::{self, Action, Base, Element, Transaction};
use crate::model::Protocol;
use crate::plan::Frontend;

/// Shared state, as it shall be and as it is.
#[derive(Debug, Default)]
pub struct Shared {
    /// The mark maps.
    pub routes: Routes,
    /// The members of the table's sets.
    pub members: Refs<Element>,
    /// Virtual addresses on the link.
    pub addresses: Refs<IpAddr>,
    /// Those of them that clients from outside know, by how many service ports.
    external: BTreeMap<IpAddr, usize>,
    /// Virtual addresses that the kernel has refused.
    pub refused: Refusals<IpAddr>,
    /// External addresses that another link of this node has: they are left there, and what else
    /// listens at them stays reachable.
    elsewhere: BTreeSet<IpAddr>,
    /// Elements that the kernel has refused.
    pub left_out: Refusals<Element>,
    /// What the table's rules shall be made from, while they are not.
    pub rules: Option<Base>,
    /// What is there and not needed stays, since it may be claimed yet.
    pub keep_unclaimed: bool,
}

impl Shared {
    /// What a previous run left, all of it unclaimed.
    pub fn new(platform: &mut impl Platform) -> Result<Self, Trouble> {
        let mut shared = Self {
            keep_unclaimed: true,
            ..Self::default()
        };
        shared.read_table(platform)?;
        shared.read_addresses(platform)?;
        Ok(shared)
    }

    /// Makes the kernel hold what is needed: an address before the elements that lead there. What
    /// leads to an address that cannot be had waits; all else does not.
    pub fn flush(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        self.rewrite(platform, sent)?;
        let bound = self.bind(platform, sent);
        self.commit(platform, sent)?;
        bound?;
        self.unbind(platform, sent)
    }

    /// Exchanges the table's rules, if others are wanted. If there is no table to exchange them in,
    /// it is made again from them, and read back.
    fn rewrite(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let Some(base) = &self.rules else {
            return Ok(());
        };
        if let Err(trouble) = platform.rewrite(base) {
            warn!(error = %trouble, "the rules cannot be exchanged, making the table again");
            sent.shared_failed += 1;
            self.read_table(platform)?;
        }
        self.rules = None;
        sent.transactions += 1;
        Ok(())
    }

    /// A service port needs a member of the table's sets.
    pub fn retain(&mut self, member: Element) {
        if let Element::External { ip, .. } = member {
            *self.external.entry(ip).or_default() += 1;
        }
        self.members.retain(member);
    }

    /// It needs it no more.
    pub fn release(&mut self, member: Element) {
        if let Element::External { ip, .. } = member
            && let Entry::Occupied(mut needed) = self.external.entry(ip)
        {
            *needed.get_mut() -= 1;
            if *needed.get() == 0 {
                needed.remove();
            }
        }
        self.members.release(member);
    }

    /// An address may be tried again, if it was refused or left to another link.
    pub fn try_again(&mut self, ip: IpAddr) {
        self.refused.forget(&ip);
        self.elsewhere.remove(&ip);
    }

    /// Adds the addresses that are missing. If that does not work at all, somebody else has
    /// deleted the link: it is made again, read back, and what is missing then is added.
    fn bind(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let Err(trouble) = self.try_bind(platform, sent) else {
            return Ok(());
        };
        warn!(error = %trouble, "the link is not as it was left, reading it back");
        sent.shared_failed += 1;
        self.read_addresses(platform)?;
        self.try_bind(platform, sent)
    }

    fn try_bind(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let mut wanted = self.missing();
        wanted.retain(|ip| !self.refused.has(ip));
        let external = |ip: &IpAddr| self.external.contains_key(ip);
        if wanted.iter().any(external) {
            self.look_elsewhere(platform)?;
            wanted.retain(|ip| !self.elsewhere.contains(ip));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let refused = platform.bind(&wanted)?;
        tell(&refused);
        let refused: BTreeSet<IpAddr> = refused.iter().map(|it| it.ip).collect();
        wanted.retain(|ip| !refused.contains(ip));
        self.addresses.added(&wanted);
        sent.addresses += wanted.len() as u64;
        sent.shared_failed += u64::from(!refused.is_empty());
        for ip in refused {
            self.refused.add(ip);
        }
        Ok(())
    }

    /// Looks which external addresses other links have now. Whether they are others than before.
    pub fn look_elsewhere(&mut self, platform: &mut impl Platform) -> Result<bool, Trouble> {
        if self.external.is_empty() && self.elsewhere.is_empty() {
            return Ok(false);
        }
        let others = platform.other_addresses()?.into_iter();
        let elsewhere = others.filter(|ip| self.external.contains_key(ip)).collect();
        let before = std::mem::replace(&mut self.elsewhere, elsewhere);
        Ok(self.elsewhere != before)
    }

    /// The addresses that this node is to have, but has not.
    fn missing(&mut self) -> Vec<IpAddr> {
        let mut missing = self.addresses.pending().add;
        missing.retain(|ip| !self.elsewhere.contains(ip));
        missing
    }

    fn unbind(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let mut unwanted = self.addresses.pending().remove;
        let left = self.elsewhere.iter().copied();
        unwanted.extend(left.filter(|ip| self.addresses.is_present(ip)));
        if unwanted.is_empty() || self.keep_unclaimed {
            return Ok(());
        }
        if let Err(trouble) = platform.unbind(&unwanted) {
            self.read_addresses(platform)?;
            return Err(trouble);
        }
        self.addresses.removed(&unwanted);
        sent.addresses += unwanted.len() as u64;
        Ok(())
    }

    /// Commits the pending changes of the maps. If they do not fit what is there, somebody else
    /// has changed our table: it is made whole, read back, and the difference is committed. An element
    /// that is refused even so keeps no other from where it belongs.
    pub fn commit(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let Err(trouble) = self.try_commit(platform, sent) else {
            return Ok(());
        };
        warn!(error = %trouble, "the table is not as it was left, reading it back");
        sent.shared_failed += 1;
        self.read_table(platform)?;
        for _ in 0..LEFT_OUT {
            let Err(trouble) = self.try_commit(platform, sent) else {
                return Ok(());
            };
            if !refused(&trouble).is_some_and(|element| self.left_out.add(element)) {
                return Err(trouble);
            }
            warn!(error = %trouble, "left out, and tried again with its Service");
        }
        self.try_commit(platform, sent)
    }

    fn try_commit(&mut self, platform: &mut impl Platform, sent: &mut Sent) -> Result<(), Trouble> {
        let mut routes = self.routes.pending(self.keep_unclaimed);
        let mut members = self.members.pending();
        if self.keep_unclaimed {
            // But a map cannot hold two values for one key, nor a set networks that overlap.
            let changed: BTreeSet<Slot> = members.add.iter().filter_map(slot).collect();
            members
                .remove
                .retain(|element| slot(element).is_some_and(|one| changed.contains(&one)));
        }
        // Nothing leads to an address that this node does not have.
        let missing: BTreeSet<IpAddr> = self.missing().into_iter().collect();
        routes.add.retain(|((_, frontend), _)| match frontend {
            Frontend::Address(ip, _) | Frontend::Own(_, ip, _) | Frontend::Outside(ip, _) => {
                !missing.contains(ip)
            }
            Frontend::NodePort(..) | Frontend::OutsideNodePort(..) => true,
        });
        members.add.retain(|member| match member {
            Element::Vip(ip) => !missing.contains(ip) && !self.elsewhere.contains(ip),
            _ => true,
        });
        routes
            .add
            .retain(|(claim, mark)| !self.left_out.has(&element(*claim, *mark)));
        members.add.retain(|member| !self.left_out.has(member));
        let left = self.elsewhere.iter().copied().map(Element::Vip);
        let left = left.filter(|vip| self.members.is_present(vip));
        members.remove.extend(left);
        members.remove.sort_unstable();
        members.remove.dedup();
        let transaction = Transaction {
            remove: elements(&routes.remove, &members.remove),
            add: elements(&routes.add, &members.add),
        };
        if transaction.add.is_empty() && transaction.remove.is_empty() {
            return Ok(());
        }
        platform.commit(&transaction)?;
        sent.transactions += 1;
        self.routes.settle(&routes);
        self.members.added(&members.add);
        self.members.removed(&members.remove);
        Ok(())
    }

    /// Makes sure that the table is there, and takes in what it holds.
    pub fn read_table(&mut self, platform: &mut impl Platform) -> Result<(), Trouble> {
        self.found(&platform.table()?);
        Ok(())
    }

    /// Makes sure that the link is there, and takes in the addresses that it has.
    pub fn read_addresses(&mut self, platform: &mut impl Platform) -> Result<(), Trouble> {
        self.addresses.found(platform.addresses()?);
        Ok(())
    }

    /// Takes in what the table holds.
    fn found(&mut self, elements: &[Element]) {
        self.routes.found(elements.iter().filter_map(route));
        let members = elements.iter().filter(|element| match element {
            // They go by themselves.
            Element::Called { .. } => false,
            _ => route(element).is_none(),
        });
        self.members.found(members.copied());
    }
}

/// How many elements are left out of one transaction at most.
const LEFT_OUT: usize = 64;

/// The element that the kernel refused to take in.
fn refused(trouble: &Trouble) -> Option<Element> {
    match trouble.downcast_ref::<nft::Error>() {
        Some(nft::Error::Element {
            action: Action::Add,
            element,
            ..
        }) => Some(*element),
        _ => None,
    }
}

/// What only one generation of elements can be there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// How long a virtual server's clients come back.
    Lasting(Mark),
    /// Who may use an address, protocol and port.
    Allowed(IpAddr, Protocol, NonZeroU16),
}

fn slot(element: &Element) -> Option<Slot> {
    match *element {
        Element::Allowed {
            ip, protocol, port, ..
        } => Some(Slot::Allowed(ip, protocol, port)),
        _ => element.lasting().map(|(server, _)| Slot::Lasting(server)),
    }
}

/// Logs what the kernel refused, by name as long as that is readable.
fn tell(refused: &[Refused]) {
    const NAMED: usize = 8;
    for address in refused.iter().take(NAMED) {
        warn!(ip = %address.ip, error = %address.cause, "virtual address refused, its frontends wait");
    }
    if refused.len() > NAMED {
        warn!(
            count = refused.len() - NAMED,
            "more virtual addresses refused"
        );
    }
}

fn elements(routes: &[(Claim, Mark)], members: &[Element]) -> Vec<Element> {
    let routes = routes.iter().map(|(claim, mark)| element(*claim, *mark));
    routes.chain(members.iter().copied()).collect()
}
