//! Pins: how a client with session affinity comes back to the real server that it had. Each real
//! server of a virtual server with affinity has one: a virtual server of its own, with it alone,
//! which connections are led to by its mark.
//!
//! Which clients have which pins, the kernel notes and forgets by itself. Here is only which pins
//! there are, and which of them are alive. The pin of an endpoint that goes just is not alive any
//! more: it finishes its connections as it is, since nobody is led there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};

use tracing::warn;

use super::adopt::Servers;
use super::diff;
use super::known::{KnownPort, KnownServer};
use super::marks::Marks;
use super::platform::{Platform, Trouble};
use super::refs::Refs;
use super::{Syncer, adopt};
use crate::capacity::Held;
use crate::kernel::ipvs::{Command, DestinationEntry, ServiceKey};
use crate::kernel::mark::{Mark, MarkRange};
use crate::kernel::nft::{Affinity, Element};
use crate::model::{Protocol, Scheduler, SetId};
use crate::plan::{Limits, PortPlan, RealServer, Style, Unserved, VirtualServer};

/// The address and port of a real server.
pub type Address = (IpAddr, NonZeroU16);
/// The pins of a service port.
pub type Pins = BTreeMap<Address, Pin>;

/// What the kernel holds of a pin, as far as is known.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Its mark.
    pub mark: Mark,
    /// Its virtual server, if there is one yet.
    pub server: Option<KnownServer>,
    /// Whether clients may come back by it.
    pub alive: bool,
}

/// The pins that a previous run left, by the marks of the virtual servers that they belong to.
pub type Left = BTreeMap<Mark, Vec<(Address, Mark)>>;

/// Those that the table names.
pub fn left(members: &Refs<Element>) -> Left {
    let mut left = Left::new();
    for member in members.present() {
        if let Element::Affinity(Affinity::Pin {
            server,
            ip,
            port,
            pin,
        }) = *member
        {
            left.entry(server).or_default().push(((ip, port), pin));
        }
    }
    left
}

/// Takes over pins that a previous run left.
pub fn adopt(named: Vec<(Address, Mark)>, left: &mut Servers) -> Pins {
    let named = named.into_iter();
    named
        .filter_map(|(address, mark)| {
            let server = left.remove(&mark)?.pop();
            let alive = false;
            Some((
                address,
                Pin {
                    mark,
                    server,
                    alive,
                },
            ))
        })
        .collect()
}

/// Gives a mark to each pin that is wanted and has none yet. Without a free mark, clients of that
/// endpoint do not come back.
pub fn claim(id: &SetId, pins: &mut Pins, wanted: &PortPlan, marks: &mut Marks) {
    for (_, real) in pinned(wanted) {
        if pins.contains_key(&(real.ip, real.port)) {
            continue;
        }
        let Some(mark) = marks.allocate() else {
            warn!(port = %id, "all marks of the range are in use: clients are not remembered");
            return;
        };
        let pin = Pin {
            mark,
            server: None,
            alive: false,
        };
        pins.insert((real.ip, real.port), pin);
    }
}

/// Makes sure that what is known of them is true.
pub fn read_back(
    pins: &mut Pins,
    platform: &mut impl Platform,
    range: MarkRange,
) -> Result<(), Trouble> {
    for pin in pins.values_mut() {
        pin.server = adopt::servers_of(platform, range, pin.mark)?.pop();
    }
    Ok(())
}

/// Appends the commands that make the kernel hold the pins that are wanted, and returns those that it
/// then holds.
pub fn next(
    known: &Pins,
    protocol: Protocol,
    wanted: &PortPlan,
    commands: &mut Vec<Command>,
) -> Pins {
    let mut next = Pins::new();
    if known.is_empty() {
        return next;
    }
    for (server, real) in pinned(wanted) {
        let address = (real.ip, real.port);
        if let Some(pin) = known.get(&address) {
            let only = only(server, real);
            let before = pin.server.as_ref();
            let there = diff::server(pin.mark, protocol, before, &only, commands);
            let pin = Pin {
                mark: pin.mark,
                server: Some(there),
                alive: true,
            };
            next.insert(address, pin);
        }
    }
    // Flows of UDP and SCTP move on from a real server that goes, not from one that stays without
    // affinity.
    let reals = wanted.servers.iter().flat_map(|server| &server.reals);
    let stay: BTreeSet<Address> = reals.map(|real| (real.ip, real.port)).collect();
    for (address, pin) in known.iter().filter(|(_, pin)| pin.server.is_some()) {
        if protocol == Protocol::Tcp || stay.contains(address) {
            next.entry(*address).or_insert_with(|| Pin {
                alive: false,
                ..pin.clone()
            });
        }
    }
    next
}

/// What they need in the table. `seconds` is how long affinity lasts, if the service port has any.
pub fn members(
    server: Mark,
    seconds: Option<NonZeroU32>,
    pins: &Pins,
) -> impl Iterator<Item = Element> {
    let lasting = seconds.map(|seconds| Affinity::Lasting { server, seconds });
    let pins = pins.iter().flat_map(move |(address, pin)| {
        let alive = Affinity::Alive {
            server,
            pin: pin.mark,
        };
        [
            pin.server.is_some().then_some(named(server, *address, pin)),
            pin.alive.then_some(alive),
        ]
    });
    lasting
        .into_iter()
        .chain(pins.flatten())
        .map(Element::Affinity)
}

/// How long affinity lasts for the clients of a service port, if it has any.
pub fn seconds(plan: &PortPlan) -> Option<NonZeroU32> {
    plan.servers.iter().find_map(|server| server.affinity)
}

/// What the kernel counts for a real server.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// At its virtual server.
    pub entry: DestinationEntry,
    /// At its pin.
    pub pinned: Held,
    /// Connections by its pin since that is there.
    pub pinned_so_far: u64,
}

/// What the kernel counts for the real servers of a virtual server, whose pins have these names.
pub fn count(
    server: &ServiceKey,
    pins: &BTreeMap<Address, ServiceKey>,
    platform: &mut impl Platform,
) -> Result<Vec<Counted>, Trouble> {
    let entries = platform.destinations(server)?.into_iter();
    entries
        .map(|entry| {
            let (mut pinned, mut pinned_so_far) = (Held::default(), 0);
            let port = NonZeroU16::new(entry.destination.port);
            let pin = port.and_then(|port| pins.get(&(entry.destination.ip, port)));
            if let Some(pin) = pin {
                for there in platform.destinations(pin)? {
                    pinned.active += there.active;
                    pinned.inactive += there.inactive;
                    pinned_so_far += there.stats.connections;
                }
            }
            Ok(Counted {
                entry,
                pinned,
                pinned_so_far,
            })
        })
        .collect()
}

impl Pin {
    /// The name of its virtual server, if there is one.
    pub fn key(&self) -> Option<ServiceKey> {
        self.server.as_ref().map(KnownServer::key)
    }

    /// Whether it has a connection.
    pub fn is_busy(&self, platform: &mut impl Platform) -> Result<bool, Trouble> {
        let Some(key) = self.key() else {
            return Ok(false);
        };
        let counted = platform.destinations(&key)?;
        Ok(counted.iter().any(|entry| !entry.is_idle()))
    }
}

impl<P: Platform> Syncer<P> {
    /// The pins that stay of a set that is gone: those with TCP connections.
    pub(super) fn leaving_pins(&mut self, id: &SetId) -> Result<Pins, Trouble> {
        let mut leaving = Pins::new();
        let known = self.ports.get(id);
        let known = known.filter(|_| id.port.protocol == Protocol::Tcp);
        for (address, pin) in known.into_iter().flat_map(|known| &known.pins) {
            if pin.is_busy(&mut self.platform)? {
                let pin = Pin {
                    alive: false,
                    ..pin.clone()
                };
                leaving.insert(*address, pin);
            }
        }
        Ok(leaving)
    }

    /// Gives up pins that have finished: as soon as the table does not name them any more, they are
    /// deleted.
    pub(super) fn unpin(&mut self, id: &SetId, finished: &[Address]) {
        let Some(known) = self.ports.get_mut(id) else {
            return;
        };
        let KnownPort {
            mark,
            pins,
            members,
            ..
        } = known;
        for address in finished {
            let Some(pin) = pins.remove(address) else {
                continue;
            };
            let element = Element::Affinity(named(*mark, *address, &pin));
            members.retain(|member| *member != element);
            self.shared.members.release(element);
            self.doomed.extend(pin.key());
            self.retired.push(pin.mark);
        }
    }
}

fn named(server: Mark, (ip, port): Address, pin: &Pin) -> Affinity {
    Affinity::Pin {
        server,
        ip,
        port,
        pin: pin.mark,
    }
}

/// The real servers that are to have pins.
fn pinned(wanted: &PortPlan) -> impl Iterator<Item = (&VirtualServer, &RealServer)> {
    let servers = wanted.servers.iter();
    let with_affinity = servers.filter(|server| server.affinity.is_some());
    with_affinity.flat_map(|server| server.reals.iter().map(move |real| (server, real)))
}

/// A virtual server of one real server.
fn only(server: &VirtualServer, real: &RealServer) -> VirtualServer {
    VirtualServer {
        family: server.family,
        scheduler: Scheduler::RoundRobin,
        style: Style::Share,
        shed: false,
        drain_back: false,
        affinity: None,
        reals: vec![RealServer {
            weight: 1,
            limits: Limits::default(),
            ..real.clone()
        }],
        unserved: Unserved::Refused,
    }
}
