//! Which flows are to be forgotten. Pure.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Flow;
use crate::model::Family;

/// Where clients send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An address and port.
    Address(IpAddr, NonZeroU16),
    /// A port of any address.
    Port(Family, NonZeroU16),
}

impl Target {
    fn family(self) -> Family {
        match self {
            Self::Address(ip, _) => Family::of(ip),
            Self::Port(family, _) => family,
        }
    }

    fn port(self) -> NonZeroU16 {
        match self {
            Self::Address(_, port) | Self::Port(_, port) => port,
        }
    }
}

/// The flows to these targets, but for those that somebody answers who may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    targets: BTreeMap<Target, Arc<HashSet<SocketAddr>>>,
}

impl Stale {
    /// Flows to `target` are stale unless one of `answering` answers. In place of what was said of
    /// the same target before.
    pub fn insert(&mut self, target: Target, answering: Arc<HashSet<SocketAddr>>) {
        self.targets.insert(target, answering);
    }

    /// Whether no flow can be stale.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether a flow is to be forgotten.
    pub fn holds(&self, flow: &Flow) -> bool {
        let Some(port) = NonZeroU16::new(flow.destination.port()) else {
            return false;
        };
        let address = Target::Address(flow.destination.ip(), port);
        let any = Target::Port(flow.family(), port);
        // An address goes before a port of any address, as in the maps.
        let answering = self
            .targets
            .get(&address)
            .or_else(|| self.targets.get(&any));
        answering.is_some_and(|answering| !answering.contains(&flow.answers))
    }

    /// The families to look at.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        Family::ALL
            .into_iter()
            .filter(|family| self.of(*family).next().is_some())
    }

    /// The one port that all targets of a family have, if it is one.
    pub fn port(&self, family: Family) -> Option<NonZeroU16> {
        let first = self.of(family).next()?.port();
        self.of(family)
            .all(|target| target.port() == first)
            .then_some(first)
    }

    fn of(&self, family: Family) -> impl Iterator<Item = Target> {
        let targets = self.targets.keys().copied();
        targets.filter(move |target| target.family() == family)
    }
}
