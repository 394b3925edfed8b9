//! The steps of a change, for each service port that it concerns: virtual servers are made, then
//! frontends are led to them, then it is noted what follows from that.

use std::collections::BTreeSet;
use std::time::Instant;

use tracing::warn;

use super::known::{KnownPort, KnownServer};
use super::pins::{self, Pins};
use super::platform::{Platform, Trouble};
use super::routes::{Claimed, Right};
use super::{Syncer, adopt, diff, elements, leave};
use crate::kernel::ipvs::{Cause, Command, Destination, Failure, ServiceKey};
use crate::kernel::mark::{Mark, MarkRange};
use crate::model::{ServiceId, SetId};
use crate::plan::{Frontend, PortPlan, ServicePlan, Unserved};

/// One service port in the course of a change.
pub struct Job {
    /// Its name.
    pub id: SetId,
    pub(super) wanted: PortPlan,
    /// What its virtual servers are when all commands have succeeded.
    pub(super) next: Vec<KnownServer>,
    /// The same of its pins.
    pins: Pins,
    /// Something went wrong: it is left as it is, to be tried again.
    pub failed: bool,
    /// The kernel refused real servers: it goes live without them, and they are tried again.
    pub incomplete: bool,
}

impl<P: Platform> Syncer<P> {
    /// The service ports of a Service that are wanted or known, with what is wanted of each.
    pub(super) fn jobs(&self, service: &ServiceId, plan: ServicePlan) -> Vec<Job> {
        let gone: Vec<Job> = self
            .ports_of(service)
            .filter(|id| !plan.contains_key(id))
            .map(|id| Job::over(id.clone()))
            .collect();
        let wanted = plan.into_iter();
        let wanted = wanted.map(|(id, wanted)| Job {
            wanted,
            ..Job::over(id)
        });
        gone.into_iter().chain(wanted).collect()
    }

    fn ports_of(&self, service: &ServiceId) -> impl Iterator<Item = &SetId> {
        let first = SetId::first_of(service.clone());
        let service = service.clone();
        self.ports
            .range(first..)
            .map(|(id, _)| id)
            .take_while(move |id| id.port.service == service)
    }

    /// Makes the virtual servers.
    pub(super) fn build(&mut self, jobs: &mut [Job]) {
        let mut commands = Vec::new();
        let mut owners = Vec::with_capacity(jobs.len());
        for job in jobs.iter_mut() {
            if let Err(trouble) = self.prepare(&job.id, &job.wanted) {
                warn!(port = %job.id, error = %trouble, "cannot be programmed now");
                job.failed = true;
            } else if job.wanted.frontends.is_empty() {
                let leaving = self.leaving(&job.id, &mut commands);
                match leaving.and_then(|servers| Ok((servers, self.leaving_pins(&job.id)?))) {
                    Ok(leaving) => (job.next, job.pins) = leaving,
                    Err(trouble) => {
                        warn!(port = %job.id, error = %trouble, "cannot see whether it has connections");
                        job.failed = true;
                    }
                }
            } else if let Some(known) = self.ports.get(&job.id) {
                job.next = job
                    .wanted
                    .servers
                    .iter()
                    .map(|wanted| {
                        let server = known.server(wanted.family);
                        diff::server(
                            known.mark,
                            job.id.port.protocol,
                            server,
                            wanted,
                            &mut commands,
                        )
                    })
                    .collect();
                let protocol = job.id.port.protocol;
                job.pins = pins::next(&known.pins, protocol, &job.wanted, &mut commands);
            }
            owners.push(commands.len());
        }
        // Each job owns the commands up to its entry; the first entry beyond the index is its.
        let owner = |index| owners.partition_point(|end| *end <= index);
        let paused = self.pause(jobs);
        let failures = self.submit(&commands, |index| Some(&jobs.get(owner(index))?.id));
        self.resume(paused);
        for Failure { index, cause } in failures {
            let Some(job) = jobs.get_mut(owner(index)) else {
                continue;
            };
            match (commands.get(index), cause) {
                (Some(Command::NewDestination(key, real)), Cause::Refused(_)) => {
                    job.leave_out(key, real);
                }
                _ => job.failed = true,
            }
            if let Some(known) = self.ports.get_mut(&job.id) {
                known.unsure = true;
            }
        }
    }

    /// Gives a service port its mark, and makes sure that what is known of it is true.
    fn prepare(&mut self, id: &SetId, wanted: &PortPlan) -> Result<(), Trouble> {
        match self.ports.get_mut(id) {
            Some(known) => {
                // One that was to be deleted may be wanted again: it is read back like the others.
                let doomed = known.servers_doomed_in(&mut self.doomed);
                if known.unsure || doomed {
                    known.unsure = true;
                    known.servers = adopt::servers_of(&mut self.platform, self.range, known.mark)?;
                    pins::read_back(&mut known.pins, &mut self.platform, self.range)?;
                    known.unsure = false;
                }
            }
            None if wanted.frontends.is_empty() => {}
            None => {
                let known = self
                    .adopt(id, wanted)
                    .ok_or("all marks of the range are in use")?;
                self.ports.insert(id.clone(), known);
            }
        }
        if let Some(known) = self.ports.get_mut(id) {
            pins::claim(id, &mut known.pins, wanted, &mut self.marks);
        }
        Ok(())
    }

    /// A new service port: under the mark that one of its frontends has in the kernel, even if only
    /// to refuse (there may be connections yet that drain), or under a free one.
    fn adopt(&mut self, id: &SetId, wanted: &PortPlan) -> Option<KnownPort> {
        let found = self.left_by(id, &wanted.signs());
        let found = found.and_then(|mark| Some((mark, self.left.remove(&mark)?)));
        let (mark, servers) = match found {
            Some((mark, servers)) => (mark, servers),
            None => (self.marks.allocate()?, Vec::new()),
        };
        let pins = self.left_pins.remove(&mark).unwrap_or_default();
        Some(KnownPort {
            mark,
            frontends: Vec::new(),
            held: Vec::new(),
            members: Vec::new(),
            servers,
            pins: pins::adopt(pins, &mut self.left),
            unsure: false,
        })
    }

    /// The mark under which a previous run left the virtual servers of a service port, if nobody has
    /// claimed them yet.
    pub(super) fn left_by(&self, id: &SetId, signs: &[Frontend]) -> Option<Mark> {
        signs.iter().find_map(|frontend| {
            let present = self.shared.routes.present((id.port.protocol, *frontend))?;
            let mark = self.range.server(present)?;
            self.left.contains_key(&mark).then_some(mark)
        })
    }

    /// Leads the frontends to the virtual servers, and returns the Services that cannot have all
    /// of theirs.
    pub(super) fn switch(&mut self, jobs: &[Job]) -> BTreeSet<ServiceId> {
        for job in jobs {
            let Some(known) = self.ports.get(&job.id) else {
                continue;
            };
            for frontend in &known.frontends {
                if job.wanted.frontends.binary_search(frontend).is_err() {
                    self.shared
                        .routes
                        .release((job.id.port.protocol, *frontend), known.mark);
                }
            }
        }
        let mut contested = BTreeSet::new();
        for job in jobs {
            let Some(known) = self.ports.get(&job.id) else {
                continue;
            };
            for frontend in &job.wanted.frontends {
                let claim = (job.id.port.protocol, *frontend);
                let right = if job.wanted.is_allocated(*frontend) {
                    Right::Allocated
                } else {
                    Right::Stated
                };
                let mark = job.mark_of(*frontend, known.mark, self.range);
                let element = elements::element(claim, mark);
                self.shared.left_out.forget(&element);
                // Whose it was before a restart may be still to come.
                let waits = self.left_by(&job.id, &[*frontend]).is_some();
                let claimed = if waits && right == Right::Stated {
                    Claimed::Contested
                } else {
                    self.shared.routes.claim(claim, known.mark, right, mark)
                };
                match claimed {
                    Claimed::Held => {}
                    Claimed::Contested => {
                        warn!(port = %job.id, %frontend, "belongs to another service port");
                        contested.insert(job.id.port.service.clone());
                    }
                    Claimed::Taken(from) => {
                        let other = self.ports.iter().find(|(_, other)| other.mark == from);
                        if let Some((other, _)) = other {
                            warn!(port = %other, %frontend, "is the address of {}", job.id);
                            contested.insert(other.port.service.clone());
                        }
                    }
                }
            }
        }
        contested
    }

    /// Notes what the kernel now holds for a service port, and what follows from it.
    pub(super) fn settle(&mut self, job: Job, now: Instant) {
        let Some(known) = self.ports.get_mut(&job.id) else {
            return;
        };

        for ip in elements::addresses(&job.wanted.frontends) {
            self.shared.try_again(ip);
            self.shared.addresses.retain(ip);
        }
        for ip in elements::addresses(&known.frontends) {
            self.shared.try_again(ip);
            self.shared.addresses.release(ip);
        }
        let stays = !(job.next.is_empty() && job.pins.is_empty());
        let leaves = job.wanted.frontends.is_empty() && stays;
        let held = if leaves {
            leave::held(&known.frontends, &known.held)
        } else {
            Vec::new()
        };
        for ip in &held {
            self.shared.addresses.retain(*ip);
        }
        for ip in &known.held {
            self.shared.addresses.release(*ip);
        }
        let protocol = job.id.port.protocol;
        let mark = known.mark;
        let owned = |frontend| self.shared.routes.is_owned((protocol, frontend), mark);
        let mut members = elements::members(protocol, &job.wanted, owned);
        members.extend(leave::members(&held));
        let lasting = pins::seconds(&job.wanted);
        members.extend(pins::members(known.mark, lasting, &job.pins));
        for member in &members {
            self.shared.left_out.forget(member);
            self.shared.retain(*member);
        }
        for member in &known.members {
            self.shared.release(*member);
        }

        self.flows
            .changed(&job.id, known, &job.wanted.frontends, &job.next);
        let gone = known
            .servers
            .iter()
            .filter(|old| !job.next.iter().any(|new| new.key() == old.key()));
        self.doomed.extend(gone.map(KnownServer::key));
        for (address, pin) in &known.pins {
            if !job.pins.contains_key(address) {
                self.doomed.extend(pin.key());
                self.retired.push(pin.mark);
            }
        }

        known.frontends = job.wanted.frontends;
        known.held = held;
        known.members = members;
        known.servers = job.next;
        known.pins = job.pins;
        let over = known.is_over();
        self.drain.watch(&job.id, known, now);
        if over {
            self.retired.push(known.mark);
            self.ports.remove(&job.id);
        }
    }
}

impl Job {
    /// Nothing is wanted any more, and nothing stays.
    pub fn over(id: SetId) -> Self {
        Self {
            id,
            wanted: PortPlan::default(),
            next: Vec::new(),
            pins: Pins::new(),
            failed: false,
            incomplete: false,
        }
    }

    /// The kernel has refused to take in a real server.
    fn leave_out(&mut self, key: &ServiceKey, refused: &Destination) {
        self.incomplete = true;
        let server = self.next.iter_mut().find(|server| server.key() == *key);
        if let Some(server) = server {
            server
                .reals
                .retain(|real| real.ip != refused.ip || real.port.get() != refused.port);
        }
        let mut pins = self.pins.values_mut();
        if let Some(pin) = pins.find(|pin| pin.key() == Some(*key)) {
            pin.alive = false;
        }
    }

    /// Where a frontend leads: to the virtual servers, or where no endpoint is behind them to a
    /// verdict.
    fn mark_of(&self, frontend: Frontend, mark: Mark, range: MarkRange) -> Mark {
        let family = frontend.family();
        let there = self.next.iter().find(|server| server.family() == family);
        if there.is_some_and(|server| server.reals.iter().any(|it| !it.is_draining())) {
            return mark;
        }
        let mut wanted = self.wanted.servers.iter();
        let unserved = wanted.find(|server| server.family == family);
        match unserved.map_or(Unserved::Refused, |server| server.unserved) {
            Unserved::Refused => range.refusing(mark),
            Unserved::Dropped => range.dropping(mark),
        }
    }
}
