//! Which connections come back: those that went far for want of room, and are still there long after
//! a nearer rank has room again.
//!
//! A new connection goes to the nearest endpoint with room by itself. One that lasts for hours, as
//! those of HTTP/2 and of connection pools do, stays where it is, unless it is ended.

use super::Address;
use super::endpoint::{Endpoint, Moment};
use super::server::Server;
use super::sum::Sum;
use super::threshold::Unit;
use crate::plan::Style;

impl Server {
    /// The endpoints whose connections are to come back now.
    ///
    /// Only of farther ranks to which no connection went for [`super::Pace::call_back`], so that all
    /// they have are older than that, and only while a nearer rank is at no more than
    /// [`super::Pace::leave`] of its budget: what comes back must not make it spill again.
    pub fn called_back(&self, at: Moment<'_>) -> Vec<Address> {
        let flows = self.unit == Unit::Flows;
        if !self.drain_back || flows || self.style != Style::Ladder {
            return Vec::new();
        }
        let has_room = |place| {
            let sum = Sum::of(self.members(place), at);
            sum.budget
                .is_none_or(|budget| sum.load < budget * at.pace.leave)
        };
        let Some(nearest) = (0..self.ranks.len()).find(|place| has_room(*place)) else {
            return Vec::new();
        };
        let old = |endpoint: &&Endpoint| {
            let quiet = at.now.saturating_duration_since(endpoint.recent.quiet());
            endpoint.load(at.unit) > 0 && quiet >= at.pace.call_back
        };
        (nearest + 1..self.ranks.len())
            .flat_map(|place| self.members(place).filter(old))
            .map(|endpoint| endpoint.address)
            .collect()
    }
}
