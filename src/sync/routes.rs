//! Which frontend leads to which mark, and which service port it belongs to.

use std::collections::{HashMap, HashSet};

use crate::kernel::mark::Mark;
use crate::model::Protocol;
use crate::plan::Frontend;

/// A key of the mark maps.
pub type Claim = (Protocol, Frontend);

/// The mark maps as they shall be, and as they are. A frontend belongs to the first service port
/// that claims it, unless another has a better right; a service port is known by the mark of its
/// virtual servers.
#[derive(Debug, Default)]
pub struct Routes {
    entries: HashMap<Claim, Entry>,
    unsettled: HashSet<Claim>,
}

/// By what right a service port claims a frontend, the better ones last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Somebody wrote the address into its Service, where it may be anybody's.
    Stated,
    /// The API server gave it to this Service and to no other.
    Allocated,
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The frontend is the service port's, as it may have been before.
    Held,
    /// It is now, and was that of another.
    Taken(Mark),
    /// It belongs to another service port.
    Contested,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    owner: Option<(Mark, Right)>,
    wanted: Option<Mark>,
    present: Option<Mark>,
}

/// What has to change in the maps: old elements out, new ones in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RouteChanges {
    /// Elements to remove, with the marks that they have.
    pub remove: Vec<(Claim, Mark)>,
    /// Elements to add.
    pub add: Vec<(Claim, Mark)>,
}

impl Entry {
    fn is_of(&self, owner: Mark) -> bool {
        self.owner.is_some_and(|(one, _)| one == owner)
    }
}

impl Routes {
    /// Says what the maps hold now, in place of what was believed.
    pub fn found(&mut self, elements: impl IntoIterator<Item = (Claim, Mark)>) {
        for (claim, entry) in &mut self.entries {
            entry.present = None;
            self.unsettled.insert(*claim);
        }
        for (claim, mark) in elements {
            self.entries.entry(claim).or_default().present = Some(mark);
            self.unsettled.insert(claim);
        }
    }

    /// The mark that a frontend has in the kernel's map.
    pub fn present(&self, claim: Claim) -> Option<Mark> {
        self.entries.get(&claim)?.present
    }

    /// All marks that the kernel's maps hold.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        self.entries.values().filter_map(|entry| entry.present)
    }

    /// Leads a frontend to `mark`, if it is `owner`'s or nobody's, or if `owner` has a better right
    /// to it than whose it is.
    pub fn claim(&mut self, claim: Claim, owner: Mark, right: Right, mark: Mark) -> Claimed {
        let entry = self.entries.entry(claim).or_default();
        let other = entry.owner.filter(|(other, _)| *other != owner);
        if other.is_some_and(|(_, theirs)| theirs >= right) {
            return Claimed::Contested;
        }
        entry.owner = Some((owner, right));
        self.lead(claim, owner, mark);
        other.map_or(Claimed::Held, |(other, _)| Claimed::Taken(other))
    }

    /// Leads a frontend of `owner`, or of nobody yet, to `mark`; false if it belongs to another.
    pub fn lead(&mut self, claim: Claim, owner: Mark, mark: Mark) -> bool {
        let entry = self.entries.entry(claim).or_default();
        if entry.owner.is_some_and(|(other, _)| other != owner) {
            return false;
        }
        if entry.wanted != Some(mark) {
            entry.wanted = Some(mark);
            self.unsettled.insert(claim);
        }
        true
    }

    /// Whether a frontend belongs to `owner`.
    pub fn is_owned(&self, claim: Claim, owner: Mark) -> bool {
        let entry = self.entries.get(&claim);
        entry.is_some_and(|entry| entry.is_of(owner))
    }

    /// Gives up a frontend, if it belongs to `owner`.
    pub fn release(&mut self, claim: Claim, owner: Mark) {
        if let Some(entry) = self.entries.get_mut(&claim)
            && entry.is_of(owner)
        {
            entry.owner = None;
            entry.wanted = None;
            self.unsettled.insert(claim);
        }
    }

    /// What has to change, sorted. With `keep_unclaimed` elements that nobody has claimed stay.
    pub fn pending(&mut self, keep_unclaimed: bool) -> RouteChanges {
        let mut changes = RouteChanges::default();
        let entries = &mut self.entries;
        self.unsettled.retain(|claim| {
            let Some(entry) = entries.get(claim) else {
                return false;
            };
            if entry.wanted == entry.present {
                if entry.present.is_none() {
                    entries.remove(claim);
                }
                return false;
            }
            if let Some(old) = entry.present
                && (entry.wanted.is_some() || !keep_unclaimed)
            {
                changes.remove.push((*claim, old));
            }
            if let Some(new) = entry.wanted {
                changes.add.push((*claim, new));
            }
            true
        });
        changes.remove.sort_unstable();
        changes.add.sort_unstable();
        changes
    }

    /// The kernel has made these changes.
    pub fn settle(&mut self, changes: &RouteChanges) {
        for (claim, _) in &changes.remove {
            self.entries.entry(*claim).or_default().present = None;
        }
        for (claim, mark) in &changes.add {
            self.entries.entry(*claim).or_default().present = Some(*mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU16;

    use super::*;
    use crate::kernel::mark::MarkRange;

    fn mark(n: u32) -> Mark {
        MarkRange::default()
            .mark(0x0100_0000 + n)
            .expect("in the range")
    }

    fn web() -> Claim {
        let ip = IpAddr::from([10, 96, 0, 1]);
        (
            Protocol::Tcp,
            Frontend::Address(ip, NonZeroU16::new(80).expect("a port")),
        )
    }

    #[test]
    fn a_frontend_belongs_to_the_first_that_claims_it() {
        for right in [Right::Stated, Right::Allocated] {
            let mut routes = Routes::default();
            let mut claim = |n| routes.claim(web(), mark(n), right, mark(n));
            assert_eq!(claim(2), Claimed::Held);
            assert_eq!(claim(3), Claimed::Contested);
            routes.release(web(), mark(3));
            assert_eq!(routes.pending(false).add, vec![(web(), mark(2))]);
            routes.release(web(), mark(2));
            let claimed = routes.claim(web(), mark(3), right, mark(3));
            assert_eq!(claimed, Claimed::Held);
        }
    }

    #[test]
    fn who_was_given_a_frontend_has_it_whoever_else_wrote_it_down() {
        let mut routes = Routes::default();
        routes.claim(web(), mark(2), Right::Stated, mark(2));
        let claimed = routes.claim(web(), mark(3), Right::Allocated, mark(3));
        assert_eq!(claimed, Claimed::Taken(mark(2)));
        assert_eq!(routes.pending(false).add, vec![(web(), mark(3))]);
        let again = routes.claim(web(), mark(2), Right::Stated, mark(2));
        assert_eq!(again, Claimed::Contested);
        assert!(routes.is_owned(web(), mark(3)) && !routes.is_owned(web(), mark(2)));
        // What it had and has lost is not its to give up.
        routes.release(web(), mark(2));
        assert_eq!(routes.pending(false).add, vec![(web(), mark(3))]);
    }

    #[test]
    fn a_frontend_that_changes_its_mark_is_replaced_in_one_change() {
        let mut routes = Routes::default();
        routes.claim(web(), mark(2), Right::Stated, mark(2));
        let first = routes.pending(false);
        routes.settle(&first);
        let reject = MarkRange::default().refusing(mark(2));
        routes.claim(web(), mark(2), Right::Stated, reject);
        assert_eq!(
            routes.pending(false),
            RouteChanges {
                remove: vec![(web(), mark(2))],
                add: vec![(web(), reject)]
            }
        );
    }

    #[test]
    fn what_is_there_and_wanted_needs_no_change() {
        let mut routes = Routes::default();
        routes.found([(web(), mark(2))]);
        assert_eq!(
            routes.pending(true),
            RouteChanges::default(),
            "may still be claimed"
        );
        routes.claim(web(), mark(2), Right::Stated, mark(2));
        assert_eq!(routes.pending(false), RouteChanges::default());
    }

    #[test]
    fn what_nobody_claims_goes_in_the_end() {
        let mut routes = Routes::default();
        routes.found([(web(), mark(2))]);
        assert_eq!(routes.pending(false).remove, vec![(web(), mark(2))]);
    }

    #[test]
    fn a_change_that_was_not_made_stays_pending() {
        let mut routes = Routes::default();
        routes.claim(web(), mark(2), Right::Stated, mark(2));
        assert_eq!(routes.pending(false), routes.pending(false));
    }
}
