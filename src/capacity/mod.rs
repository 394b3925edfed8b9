//! The slow path that keeps the kernel's fast path true: which thresholds and weights the real
//! servers of a virtual server with a capacity shall have now.
//!
//! The kernel sends every new connection to the nearest endpoint below its threshold, without
//! asking anybody. But its thresholds count connections that are long over, it herds ties, and it
//! forgets that an endpoint was full only when one of its connections expires. So the agent reads
//! the counts at every tick and moves thresholds and weights after them. Should the agent die, the
//! kernel goes on with the last ones.
//!
//! Pure: no clock, no I/O, no netlink. Time is an argument.

mod callback;
mod controller;
mod count;
mod endpoint;
mod fallback;
mod gate;
mod last;
mod learned;
mod lift;
mod nudge;
mod number;
mod pace;
mod rank;
mod recent;
mod report;
mod saturation;
mod server;
mod standing;
mod sum;
mod threshold;
mod waterfill;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

pub use controller::Controller;
pub use count::{Adjustment, Budgets, Count, Demand, Held};
pub use pace::Pace;
pub use standing::{
    EndpointState, RankState, Standing, StandingEndpoint, StandingLevel, StandingRank,
};
pub use waterfill::{Coarse, Hosts, Place, Pod, Report, Summary, water_fill};

use crate::model::{Family, ServiceId, SetId};

/// A virtual server, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The endpoint set.
    pub id: SetId,
    /// The family of its clients and endpoints.
    pub family: Family,
}

impl Key {
    /// Those of a Service's virtual servers that are in a map.
    pub fn of_service<'a, V>(
        map: &'a BTreeMap<Self, V>,
        service: &ServiceId,
    ) -> impl Iterator<Item = &'a Self> {
        let first = Self {
            id: SetId::first_of(service.clone()),
            family: Family::V4,
        };
        map.range(first..)
            .map(|(key, _)| key)
            .take_while(move |key| key.id.port.service == *service)
    }
}

/// An endpoint of a virtual server, by address and port.
pub type Address = (IpAddr, NonZeroU16);

#[cfg(test)]
mod tests;
