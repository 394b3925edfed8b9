//! From the virtual server that is there to the one that is wanted, with the fewest commands.
//!
//! What another program has changed (a persistence flag, the way of forwarding) is put right as well.
//!
//! Real servers are edited in place: a removed one lingers in the kernel's trash list, which every
//! later addition walks, and its connections would be cut. One that is no longer wanted gets
//! weight 0 first and finishes its TCP connections; datagram protocols have no connection to
//! finish, and their flows must move on at once.

use std::collections::HashMap;

use super::known::{KnownReal, KnownServer};
use crate::kernel::ipvs::{
    Command, Destination, Forwarding, Name, Service, ServiceFlags, ServiceKey,
};
use crate::kernel::mark::Mark;
use crate::model::{Protocol, Scheduler};
use crate::plan::{RealServer, VirtualServer};

/// Appends the commands that make the kernel hold `wanted`, and returns what it then holds.
pub fn server(
    mark: Mark,
    protocol: Protocol,
    known: Option<&KnownServer>,
    wanted: &VirtualServer,
    commands: &mut Vec<Command>,
) -> KnownServer {
    let key = ServiceKey::Mark {
        family: wanted.family,
        mark: mark.value(),
    };
    let service = service(key, wanted);
    match known {
        None => commands.push(Command::NewService(service)),
        Some(known) if known.service != service => commands.push(Command::SetService(service)),
        Some(_) => {}
    }

    let mut there: HashMap<_, KnownReal> = known
        .into_iter()
        .flat_map(|known| &known.reals)
        .map(|real| (real.key(), *real))
        .collect();
    let mut reals = Vec::with_capacity(wanted.reals.len());
    for real in &wanted.reals {
        let target = target(real);
        match there.remove(&target.key()) {
            None => commands.push(Command::NewDestination(key, destination(&target))),
            Some(old) if old != target => {
                commands.push(Command::SetDestination(key, destination(&target)));
            }
            Some(_) => {}
        }
        reals.push(target);
    }

    let mut unwanted: Vec<KnownReal> = there.into_values().collect();
    unwanted.sort_unstable_by_key(KnownReal::key);
    for real in unwanted {
        match protocol {
            Protocol::Udp | Protocol::Sctp => {
                commands.push(Command::DelDestination(key, real.ip, real.port.get()));
            }
            Protocol::Tcp => {
                reals.push(drained(key, real, commands));
            }
        }
    }

    KnownServer { service, reals }
}

/// Appends the command after which a real server only finishes the connections that it has.
pub fn drained(key: ServiceKey, real: KnownReal, commands: &mut Vec<Command>) -> KnownReal {
    let drained = KnownReal { weight: 0, ..real };
    if !real.is_draining() {
        commands.push(Command::SetDestination(key, destination(&drained)));
    }
    drained
}

fn target(real: &RealServer) -> KnownReal {
    KnownReal {
        ip: real.ip,
        port: real.port,
        weight: real.weight,
        limits: real.limits,
        forwarding: Forwarding::Masquerade,
    }
}

fn service(key: ServiceKey, wanted: &VirtualServer) -> Service {
    let flags = match wanted.scheduler {
        // A client whose real server takes no new connections gets another instead of none.
        Scheduler::MaglevHash | Scheduler::SourceHash => ServiceFlags::SCHEDULER_1,
        _ => ServiceFlags::empty(),
    };
    Service {
        flags,
        ..Service::new(key, Name::from(wanted.scheduler))
    }
}

/// What the kernel is told of a real server.
pub fn destination(real: &KnownReal) -> Destination {
    Destination {
        forwarding: real.forwarding,
        upper_threshold: real.limits.upper,
        lower_threshold: real.limits.lower,
        ..Destination::new(real.ip, real.port.get(), real.weight)
    }
}
