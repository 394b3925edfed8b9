//! The quick way for what the capacity loop wants: counts out, weights and thresholds in, without a
//! new plan.

use std::collections::BTreeSet;
use std::time::Instant;

use super::known::{KnownReal, KnownServer};
use super::pins::Counted;
use super::platform::{Platform, Trouble};
use super::{Retry, Syncer, diff, pins};
use crate::capacity::Adjustment;
use crate::kernel::ipvs::{Command, ServiceKey};
use crate::kernel::mark::Mark;
use crate::model::{Family, SetId};
use crate::plan::Frontend;

impl<P: Platform> Syncer<P> {
    /// The mark of a service port's virtual servers, if it has any.
    pub fn mark(&self, id: &SetId) -> Option<Mark> {
        self.ports.get(id).map(|known| known.mark)
    }

    /// What the kernel counts for the real servers of a virtual server, and at their pins; nothing if
    /// there is none.
    pub fn counts(&mut self, id: &SetId, family: Family) -> Result<Vec<Counted>, Trouble> {
        let Some(known) = self.ports.get(id) else {
            return Ok(Vec::new());
        };
        let Some(server) = known.server(family) else {
            return Ok(Vec::new());
        };
        let pins = known.pins.iter();
        let pins = pins.filter_map(|(address, pin)| Some((*address, pin.key()?)));
        pins::count(&server.key(), &pins.collect(), &mut self.platform)
    }

    /// The same for a service port that may not have been programmed since the start, so that a
    /// previous run's virtual server is found by the signs of its plan.
    pub fn counts_before(
        &mut self,
        id: &SetId,
        signs: &[Frontend],
        family: Family,
    ) -> Result<Vec<Counted>, Trouble> {
        if self.ports.contains_key(id) {
            return self.counts(id, family);
        }
        let mark = self.left_by(id, signs);
        let server = mark.and_then(|mark| Some((mark, self.left_at(mark, family)?)));
        let Some((mark, server)) = server else {
            return Ok(Vec::new());
        };
        let pins = self.left_pins.get(&mark).into_iter().flatten();
        let pins =
            pins.filter_map(|(address, mark)| Some((*address, self.left_at(*mark, family)?)));
        pins::count(&server, &pins.collect(), &mut self.platform)
    }

    /// The virtual server of a mark that a previous run left, if nobody has claimed it yet.
    fn left_at(&self, mark: Mark, family: Family) -> Option<ServiceKey> {
        let servers = self.left.get(&mark)?.iter();
        servers
            .map(KnownServer::key)
            .find(|key| key.family() == family)
    }

    /// Gives real servers other weights and thresholds. Those that are not there, are on their way
    /// out, or have them already are left as they are.
    pub fn tune(&mut self, changes: &[(SetId, Family, Vec<Adjustment>)], now: Instant) {
        let mut commands = Vec::new();
        let mut owners = Vec::new();
        for (id, family, tuned) in changes {
            let Some(known) = self.ports.get_mut(id) else {
                continue;
            };
            let servers = known.servers.iter_mut();
            for server in servers.filter(|server| server.family() == *family) {
                let key = server.key();
                for wanted in tuned {
                    let real = server
                        .reals
                        .iter_mut()
                        .find(|real| real.key() == (wanted.ip, wanted.port) && !real.is_draining());
                    let Some(real) = real else { continue };
                    let next = KnownReal {
                        weight: wanted.weight,
                        limits: wanted.limits,
                        ..*real
                    };
                    if next != *real {
                        *real = next;
                        commands.push(Command::SetDestination(key, diff::destination(&next)));
                        owners.push(id);
                    }
                }
            }
        }
        let failed: BTreeSet<&SetId> = self
            .submit(&commands, |index| owners.get(index).copied())
            .into_iter()
            .filter_map(|failure| owners.get(failure.index).copied())
            .collect();
        for id in failed {
            if let Some(known) = self.ports.get_mut(id) {
                known.unsure = true;
            }
            self.backoff
                .failed(Retry::Service(id.port.service.clone()), now);
        }
    }
}
