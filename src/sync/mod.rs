//! From the wanted kernel state to the kernel: works out the difference to what is known to be
//! there, and sends only that, in an order that never shows clients a half-made service.
//!
//! A service port goes live and dark in one atomic step, the nftables transaction that puts its
//! frontends into the mark maps or takes them out. Virtual servers, addresses and everything else
//! that it depends on are made before that step and removed after it.
//!
//! What fails is tried again with a growing delay, each service port for itself. Nothing here
//! knows Kubernetes.

mod adopt;
mod audit;
mod backoff;
mod callback;
mod diff;
mod drain;
mod elements;
mod flows;
mod job;
mod known;
mod leave;
mod linux;
mod marks;
mod pause;
mod pins;
mod platform;
mod refs;
mod refusals;
mod routes;
mod shared;
mod tune;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tracing::field::display;
use tracing::warn;

use crate::kernel::ipvs::{Cause, Command, Failure, ServiceKey};
use crate::kernel::mark::{Mark, MarkRange};
use crate::kernel::nft::Base;
use crate::model::{ServiceId, SetId};
use crate::plan::{Frontend, ServicePlan};
use adopt::Servers;
use backoff::Backoff;
use callback::Called;
use drain::Drain;
use flows::Flows;
pub use flows::Forgotten;
use job::Job;
use known::{KnownPort, KnownReal, KnownServer};
pub use linux::Linux;
use marks::Marks;
pub use pins::Counted;
pub use platform::{Platform, Trouble};
use routes::Claim;
use shared::Shared;

/// Programs one node's kernel.
#[derive(Debug)]
pub struct Syncer<P> {
    platform: P,
    range: MarkRange,
    marks: Marks,
    ports: BTreeMap<SetId, KnownPort>,
    shared: Shared,
    /// What a previous run left and no service port has claimed yet, by the marks in the maps and
    /// of virtual servers.
    left: Servers,
    /// The pins among them.
    left_pins: pins::Left,
    /// Virtual servers to delete as soon as no frontend leads to them.
    doomed: Vec<ServiceKey>,
    /// Marks to free as soon as their virtual servers are deleted.
    retired: Vec<Mark>,
    drain: Drain,
    flows: Flows,
    forgotten: Forgotten,
    backoff: Backoff<Retry>,
    called: Called,
    /// Which service port an audit looked at last.
    sampled: Option<SetId>,
    sent: Sent,
    /// Whether IPVS did not answer when it was last sent commands.
    unreachable: bool,
}

/// What is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Retry {
    /// A service port, or a frontend of it that belongs to another.
    Service(ServiceId),
    /// Addresses, maps, or deletions.
    Shared,
    /// Flows that go where they no longer should.
    Flows,
}

/// What has been sent to the kernel since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// IPVS commands.
    pub commands: u64,
    /// IPVS commands that failed.
    pub commands_failed: u64,
    /// Transactions of the table.
    pub transactions: u64,
    /// Virtual addresses added to the link or removed from it.
    pub addresses: u64,
    /// Attempts to bring addresses and the table up to date that failed.
    pub shared_failed: u64,
}

impl<P: Platform> Syncer<P> {
    /// Takes over a kernel with whatever a previous run left in it. Nothing of that is removed
    /// before [`Self::sweep`]. A removed endpoint may keep its TCP connections for as long as
    /// `drain`.
    pub fn new(mut platform: P, range: MarkRange, drain: Duration) -> Result<Self, Trouble> {
        let shared = Shared::new(&mut platform)?;
        let mut left = adopt::servers(&mut platform, range)?;
        // A mark may be known by its frontends alone: such a service port has no virtual server.
        for mark in shared.routes.marks().filter_map(|mark| range.server(mark)) {
            left.entry(mark).or_default();
        }
        // And a pin by the table.
        let left_pins = pins::left(&shared.members);
        for (_, mark) in left_pins.values().flatten() {
            left.entry(*mark).or_default();
        }
        let mut marks = Marks::new(range);
        for mark in left.keys() {
            marks.adopt(*mark);
        }
        Ok(Self {
            platform,
            range,
            marks,
            ports: BTreeMap::new(),
            shared,
            left,
            left_pins,
            doomed: Vec::new(),
            retired: Vec::new(),
            drain: Drain::new(drain),
            flows: Flows::default(),
            forgotten: Forgotten::default(),
            backoff: Backoff::default(),
            called: Called::default(),
            sampled: None,
            sent: Sent::default(),
            unreachable: false,
        })
    }

    /// Makes the kernel hold these plans, each in place of the Service's last one.
    pub fn apply(&mut self, plans: Vec<(ServiceId, ServicePlan)>, now: Instant) {
        let services: Vec<ServiceId> = plans.iter().map(|(service, _)| service.clone()).collect();
        let mut jobs: Vec<Job> = plans
            .into_iter()
            .flat_map(|(service, plan)| self.jobs(&service, plan))
            .collect();

        let mut failed = BTreeSet::new();
        self.build(&mut jobs);
        for job in jobs.iter().filter(|job| job.failed || job.incomplete) {
            failed.insert(job.id.port.service.clone());
        }
        jobs.retain(|job| !job.failed);
        failed.extend(self.switch(&jobs));
        for job in jobs {
            self.settle(job, now);
        }
        failed.extend(self.flush(now));

        for service in services {
            if !failed.contains(&service) {
                self.backoff.succeeded(&Retry::Service(service));
            }
        }
        self.back_off(failed, now);
    }

    fn back_off(&mut self, failed: BTreeSet<ServiceId>, now: Instant) {
        for service in failed {
            self.backoff.failed(Retry::Service(service), now);
        }
    }

    /// Makes the table's rules those that `base` asks for, which must have the marks of this syncer.
    pub fn rewrite(&mut self, base: Base, now: Instant) {
        self.shared.rules = Some(base);
        let failed = self.flush(now);
        self.back_off(failed, now);
    }

    /// Removes what a previous run left and no plan has claimed: to be called when every Service
    /// has been planned once.
    pub fn sweep(&mut self, now: Instant) {
        for (mark, servers) in self.left.drain() {
            self.doomed.extend(servers.iter().map(KnownServer::key));
            self.retired.push(mark);
        }
        self.left_pins.clear();
        self.shared.keep_unclaimed = false;
        let failed = self.flush(now);
        self.back_off(failed, now);
    }

    /// Does what is due at `now`: deletes drained real servers, tries again what failed. Returns
    /// the Services to plan and apply again.
    pub fn tick(&mut self, now: Instant) -> BTreeSet<ServiceId> {
        self.drain(now);
        let mut again = BTreeSet::new();
        for retry in self.backoff.take_due(now) {
            match retry {
                Retry::Service(service) => {
                    again.insert(service);
                }
                Retry::Shared => {
                    let failed = self.flush(now);
                    self.back_off(failed, now);
                }
                Retry::Flows => self.forget_flows(now),
            }
        }
        again
    }

    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.drain
            .deadline()
            .into_iter()
            .chain(self.backoff.deadline())
            .min()
    }

    /// What has been sent since the start.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// UDP flows that the kernel was made to forget since the start.
    pub fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// How many Services and shared things wait to be tried again.
    pub fn failing(&self) -> usize {
        self.backoff.len()
    }

    /// Whether what all Services share is not as it shall be, addresses and the table, or IPVS as a
    /// whole did not answer when it was last asked.
    pub fn shared_is_failing(&self) -> bool {
        self.backoff.has(&Retry::Shared) || self.unreachable
    }

    /// Brings addresses and maps up to date, then deletes what nothing leads to any more. Returns
    /// the Services whose virtual addresses were refused, or elements of the table.
    fn flush(&mut self, now: Instant) -> BTreeSet<ServiceId> {
        match self.shared.flush(&mut self.platform, &mut self.sent) {
            Ok(()) if self.delete_doomed() => self.backoff.succeeded(&Retry::Shared),
            Ok(()) => self.backoff.failed(Retry::Shared, now),
            Err(trouble) => {
                warn!(error = %trouble, "addresses and maps are not up to date, trying again");
                self.sent.shared_failed += 1;
                self.backoff.failed(Retry::Shared, now);
            }
        }
        self.forget_flows(now);
        let refused = self.shared.refused.take_news();
        let left_out = self.shared.left_out.take_news();
        if refused.is_empty() && left_out.is_empty() {
            return BTreeSet::new();
        }
        let led: BTreeSet<Claim> = left_out
            .iter()
            .filter_map(elements::route)
            .map(|(claim, _)| claim)
            .collect();
        let has_one = |(id, known): &(&SetId, &KnownPort)| {
            let claim = |frontend: &Frontend| (id.port.protocol, *frontend);
            elements::addresses(&known.frontends).any(|address| refused.contains(&address))
                || known.members.iter().any(|member| left_out.contains(member))
                || known
                    .frontends
                    .iter()
                    .any(|frontend| led.contains(&claim(frontend)))
        };
        let ports = self.ports.iter().filter(has_one);
        ports.map(|(id, _)| id.port.service.clone()).collect()
    }

    /// Makes the kernel forget the UDP flows that changes have left behind: once the table leads
    /// where it shall, or their next packets would make them again as they were, and not before
    /// the end of the first sync, so that one reading does for it all.
    fn forget_flows(&mut self, now: Instant) {
        if self.shared.keep_unclaimed || self.backoff.has(&Retry::Shared) {
            return;
        }
        let stale = self.flows.stale(&self.ports);
        if !stale.is_empty() {
            let start = Instant::now();
            match self.platform.forget(&stale) {
                Ok(flows) => self.forgotten.add(&flows, start.elapsed()),
                Err(trouble) => {
                    warn!(error = %trouble, "UDP flows may still go where they did, trying again");
                    self.backoff.failed(Retry::Flows, now);
                    return;
                }
            }
        }
        self.flows = Flows::default();
        self.backoff.succeeded(&Retry::Flows);
    }

    /// Deletes the virtual servers that nothing leads to; false if some are left.
    fn delete_doomed(&mut self) -> bool {
        let doomed = std::mem::take(&mut self.doomed);
        let commands: Vec<Command> = doomed.iter().copied().map(Command::DelService).collect();
        let failures = self.submit(&commands, |_| None);
        // What somebody else has deleted is what was wanted.
        let gone = Cause::Refused(Errno::ESRCH);
        let failed = failures.iter().filter(|failure| failure.cause != gone);
        let failed: BTreeSet<usize> = failed.map(|failure| failure.index).collect();
        let left = doomed
            .into_iter()
            .enumerate()
            .filter(|(index, _)| failed.contains(index));
        self.doomed = left.map(|(_, key)| key).collect();
        if self.doomed.is_empty() {
            self.retired
                .drain(..)
                .for_each(|mark| self.marks.free(mark));
        }
        self.doomed.is_empty()
    }

    /// Deletes the real servers that have finished their connections.
    fn drain(&mut self, now: Instant) {
        let mut over = Vec::new();
        let mut unpinned = false;
        for id in self.drain.due(now) {
            let Some(known) = self.ports.get(&id) else {
                continue;
            };
            let finished = self.drain.finished(&mut self.platform, &id, known, now);
            let pins = self
                .drain
                .finished_pins(&mut self.platform, &id, known, now);
            let unseen = |trouble: &Trouble| {
                warn!(port = %id, error = %trouble, "cannot see whether connections are finished");
            };
            let finished = finished.inspect_err(unseen).unwrap_or_default();
            let pins = pins.inspect_err(unseen).unwrap_or_default();
            unpinned |= !pins.is_empty();
            self.unpin(&id, &pins);
            let (commands, reals): (Vec<Command>, Vec<KnownReal>) = finished.into_iter().unzip();
            let failed = self.submit(&commands, |_| Some(&id));
            let Some(known) = self.ports.get_mut(&id) else {
                continue;
            };
            if failed.is_empty() {
                for server in &mut known.servers {
                    server.reals.retain(|real| !reals.contains(real));
                }
            } else {
                known.unsure = true;
                self.backoff
                    .failed(Retry::Service(id.port.service.clone()), now);
            }
            self.drain.watch(&id, known, now);
            if known.is_over() && !known.unsure {
                over.push(id);
            }
        }
        for id in over {
            self.settle(Job::over(id), now);
            unpinned = true;
        }
        if unpinned {
            let failed = self.flush(now);
            self.back_off(failed, now);
        }
    }

    /// Sends IPVS commands and returns those that failed, after logging them with the service port
    /// that they are for.
    fn submit<'a>(
        &mut self,
        commands: &[Command],
        port: impl Fn(usize) -> Option<&'a SetId>,
    ) -> Vec<Failure> {
        if commands.is_empty() {
            return Vec::new();
        }
        self.sent.commands += commands.len() as u64;
        let failures = match self.platform.submit(commands) {
            Ok(failures) => {
                self.unreachable = false;
                failures
            }
            Err(trouble) => {
                warn!(error = %trouble, "IPVS cannot be reached");
                self.unreachable = true;
                self.sent.commands_failed += commands.len() as u64;
                let cause = Cause::Unknown;
                return (0..commands.len())
                    .map(|index| Failure { index, cause })
                    .collect();
            }
        };
        self.sent.commands_failed += failures.len() as u64;
        for Failure { index, cause } in &failures {
            let port = port(*index).map(display);
            let command = commands.get(*index).map(display);
            warn!(port, command, %cause, "IPVS command failed");
        }
        failures
    }
}

#[cfg(test)]
pub(crate) mod tests;
