//! While IPVS exchanges the scheduler of a virtual server, it has none: it waits for all who use
//! the old one, some milliseconds, and refuses new connections (`ip_vs_edit_service`). So its
//! frontends are led to silence meanwhile. A client whose first packet falls into that time sends
//! it again a second later, as it does with any packet that is lost.

use tracing::warn;

use super::Syncer;
use super::job::Job;
use super::known::KnownPort;
use super::platform::Platform;
use super::routes::Claim;
use crate::kernel::mark::Mark;
use crate::model::Protocol;

/// A frontend, and the mark of the virtual server that it leads to otherwise.
pub type Paused = (Claim, Mark);

impl<P: Platform> Syncer<P> {
    /// Leads the frontends of those virtual servers to silence whose scheduler is about to be
    /// exchanged.
    pub(super) fn pause(&mut self, jobs: &[Job]) -> Vec<Paused> {
        let mut paused = Vec::new();
        for job in jobs {
            let Some(known) = self.ports.get(&job.id) else {
                continue;
            };
            for claim in job.paused(known) {
                let (routes, mark) = (&mut self.shared.routes, known.mark);
                if routes.present(claim) == Some(mark)
                    && routes.lead(claim, mark, self.range.dropping(mark))
                {
                    paused.push((claim, mark));
                }
            }
        }
        if !paused.is_empty()
            && let Err(trouble) = self.shared.commit(&mut self.platform, &mut self.sent)
        {
            warn!(error = %trouble, "clients may be refused while schedulers are exchanged");
        }
        paused
    }

    /// Leads them back. The next transaction does it.
    pub(super) fn resume(&mut self, paused: Vec<Paused>) {
        for (claim, mark) in paused {
            self.shared.routes.lead(claim, mark, mark);
        }
    }
}

impl Job {
    /// The frontends that lead to a virtual server whose scheduler is to be another. Not of UDP:
    /// there it is the packets of all flows that would be lost, not the first one of new flows.
    fn paused<'a>(&'a self, known: &'a KnownPort) -> impl Iterator<Item = Claim> + 'a {
        let protocol = self.id.port.protocol;
        let exchanged = self.next.iter().filter(move |new| {
            let old = known.server(new.family());
            protocol != Protocol::Udp
                && old.is_some_and(|old| old.service.scheduler != new.service.scheduler)
        });
        exchanged.flat_map(move |server| {
            // A set that was just adopted has claimed none yet.
            let frontends = self.wanted.frontends.iter();
            frontends
                .filter(|frontend| frontend.family() == server.family())
                .map(move |frontend| (protocol, *frontend))
        })
    }
}
