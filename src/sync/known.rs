//! What the kernel holds for one service port, as far as is known.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::pins::{Address, Pins};
use crate::kernel::ipvs::{Forwarding, Service, ServiceKey};
use crate::kernel::mark::Mark;
use crate::kernel::nft::Element;
use crate::model::Family;
use crate::plan::{Frontend, Limits};

/// The kernel's state for one service port.
#[derive(Clone, Debug)]
pub struct KnownPort {
    /// The mark of its virtual servers.
    pub mark: Mark,
    /// The frontends that lead to them, sorted.
    pub frontends: Vec<Frontend>,
    /// The virtual addresses that it had, while nothing leads to it any more and it only finishes the
    /// connections that it has.
    pub held: Vec<IpAddr>,
    /// What it needs in the table's sets.
    pub members: Vec<Element>,
    /// The virtual servers that there are.
    pub servers: Vec<KnownServer>,
    /// The pins of its real servers, where it has session affinity or had it until lately.
    pub pins: Pins,
    /// A command failed, so that `servers` and `pins` may be wrong until they are read back.
    pub unsure: bool,
}

/// A virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServer {
    /// Its key, scheduler, flags and persistence, all of which somebody may have changed.
    pub service: Service,
    /// Its real servers, in no certain order.
    pub reals: Vec<KnownReal>,
}

/// A real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownReal {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
    /// Its weight; 0 where it only finishes the connections that it has.
    pub weight: u32,
    /// Its thresholds.
    pub limits: Limits,
    /// How packets get there.
    pub forwarding: Forwarding,
}

impl KnownReal {
    /// What tells real servers of one virtual server apart.
    pub fn key(&self) -> Address {
        (self.ip, self.port)
    }

    /// Whether it takes no new connections.
    pub fn is_draining(&self) -> bool {
        self.weight == 0
    }
}

impl KnownPort {
    /// The virtual server of a family.
    pub fn server(&self, family: Family) -> Option<&KnownServer> {
        self.servers.iter().find(|server| server.family() == family)
    }

    /// Whether nothing leads to it and no connection is left.
    pub fn is_over(&self) -> bool {
        self.frontends.is_empty()
            && self.pins.is_empty()
            && self.servers.iter().all(|server| server.reals.is_empty())
    }

    /// The real servers that only finish the connections that they have, by themselves or by their
    /// pins.
    pub fn draining(&self) -> impl Iterator<Item = Address> {
        let reals = self.servers.iter().flat_map(|server| &server.reals);
        let reals = reals.filter(|real| real.is_draining());
        let pins = self.pins.iter().filter(|(_, pin)| !pin.alive);
        reals
            .map(KnownReal::key)
            .chain(pins.map(|(address, _)| *address))
    }

    /// Takes its virtual servers out of those to be deleted; false if there were none.
    pub fn servers_doomed_in(&self, doomed: &mut Vec<ServiceKey>) -> bool {
        let before = doomed.len();
        doomed.retain(
            |key| !matches!(key, ServiceKey::Mark { mark, .. } if *mark == self.mark.value()),
        );
        doomed.len() < before
    }
}

impl KnownServer {
    /// Whether any of its real servers takes no new connections.
    pub fn is_draining(&self) -> bool {
        self.reals.iter().any(KnownReal::is_draining)
    }

    /// Its name in the kernel.
    pub fn key(&self) -> ServiceKey {
        self.service.key
    }

    /// The family of its clients.
    pub fn family(&self) -> Family {
        self.service.key.family()
    }
}
