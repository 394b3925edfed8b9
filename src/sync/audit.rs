//! What somebody else has removed from the kernel while the agent runs is put back: who loads a
//! firewall anew may flush all tables, `ipvsadm -C` takes all virtual servers.
//!
//! It costs three small questions, however many Services there are: whether the table has chains,
//! whether the link is there, and whether one of the virtual servers is, another one each time. Only
//! if something is missing is everything read back. Where Services have external addresses, those of
//! all links are listed, too: a failover may have moved one to this node or away from it.

use std::collections::BTreeSet;
use std::time::Instant;

use tracing::warn;

use super::known::KnownServer;
use super::platform::{Platform, Trouble};
use super::{Retry, Syncer};
use crate::kernel::ipvs::ServiceKey;
use crate::model::{ServiceId, SetId};

impl<P: Platform> Syncer<P> {
    /// Looks whether everything is there, puts back what all Services share, and returns the Services
    /// to plan and apply again.
    pub fn audit(&mut self, now: Instant) -> BTreeSet<ServiceId> {
        if let Err(trouble) = self.audit_shared(now) {
            warn!(error = %trouble, "cannot put back what is missing, trying again");
            self.backoff.failed(Retry::Shared, now);
        }
        self.audit_servers().unwrap_or_else(|trouble| {
            warn!(error = %trouble, "cannot see whether all virtual servers are there");
            BTreeSet::new()
        })
    }

    fn audit_shared(&mut self, now: Instant) -> Result<(), Trouble> {
        let has_table = self.platform.has_table()?;
        let has_link = self.platform.has_link()?;
        if !has_table {
            warn!("somebody has removed the table or its chains, making it again");
            self.shared.read_table(&mut self.platform)?;
        }
        if !has_link {
            warn!("somebody has removed the link, making it again");
            self.shared.read_addresses(&mut self.platform)?;
        }
        let moved = self.shared.look_elsewhere(&mut self.platform)?;
        if !has_table || !has_link || moved {
            let failed = self.flush(now);
            self.back_off(failed, now);
        }
        Ok(())
    }

    fn audit_servers(&mut self) -> Result<BTreeSet<ServiceId>, Trouble> {
        let Some((id, key)) = self.sample() else {
            return Ok(BTreeSet::new());
        };
        self.sampled = Some(id);
        if self.platform.service(&key)?.is_some() {
            return Ok(BTreeSet::new());
        }
        warn!(server = %key, "somebody has removed a virtual server, making again all that are missing");
        let there = self.platform.services()?.into_iter();
        let there: BTreeSet<ServiceKey> = there.map(|entry| entry.service.key).collect();
        let mut lost = BTreeSet::new();
        for (id, known) in &mut self.ports {
            let pins = known.pins.values().filter_map(|pin| pin.server.as_ref());
            let mut servers = known.servers.iter().chain(pins);
            if servers.any(|server| !there.contains(&server.key())) {
                known.unsure = true;
                lost.insert(id.port.service.clone());
            }
        }
        Ok(lost)
    }

    /// The virtual server to look at: of the service port after the last one.
    fn sample(&self) -> Option<(SetId, ServiceKey)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.sampled.as_ref().map_or(Unbounded, Excluded);
        let ports = self.ports.range((after, Unbounded));
        let mut with_servers = ports.chain(&self.ports).filter_map(|(id, known)| {
            let server = known.servers.first().map(KnownServer::key)?;
            Some((id.clone(), server))
        });
        with_servers.next()
    }
}
