//! The rules of the control loop, each with a test that is named after it.

mod budgets;
mod callback;
mod counted;
mod endless;
mod kernel;
mod newcomers;
mod property;
mod returned;
mod rules;
mod sets;
mod shares;
mod water;

use std::num::{NonZeroU16, NonZeroU32};
use std::time::{Duration, Instant};

use super::*;
use crate::model::example::{id, ip, port};
use crate::model::{Capacity, Level, Protocol, Scheduler, ServicePortId, SetId};
use crate::plan::{Limits, RealServer, Style, Unserved, VirtualServer};
use kernel::World;

const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(2);
const SECOND: Duration = Duration::from_secs(1);
/// The weights that the plan gives to two ranks.
const LADDER: [u32; 3] = [1 << 30, 1 << 15, 1 << 6];

fn key(protocol: Protocol) -> Key {
    Key {
        id: SetId::all(ServicePortId {
            service: id("web"),
            port: "http".into(),
            protocol,
        }),
        family: Family::V4,
    }
}

fn connections(most: u32) -> Capacity {
    Capacity::Connections(NonZeroU32::new(most).expect("a capacity"))
}

/// The address of an endpoint of a rank.
fn address(rank: u8, number: usize) -> Address {
    (
        ip(&format!("10.{rank}.{}.{}", number / 250, number % 250)),
        port(8080),
    )
}

fn real(rank: u8, number: usize, capacity: Capacity) -> RealServer {
    let (ip, port): (_, NonZeroU16) = address(rank, number);
    RealServer {
        ip,
        port,
        level: Level::USUAL[usize::from(rank).min(3)],
        local: false,
        cluster: None,
        rank,
        capacity,
        masquerade: false,
        weight: LADDER[usize::from(rank).min(2)],
        limits: Limits::default(),
    }
}

/// A ladder with so many endpoints on each rank.
fn ladder(protocol: Protocol, ranks: &[usize], capacity: Capacity) -> VirtualServer {
    let reals = ranks
        .iter()
        .zip(0_u8..)
        .flat_map(|(count, rank)| (0..*count).map(move |number| real(rank, number, capacity)));
    VirtualServer {
        family: Family::V4,
        scheduler: match protocol {
            Protocol::Udp => Scheduler::WeightedLeastConnection,
            Protocol::Tcp | Protocol::Sctp => Scheduler::ShortestExpectedDelay,
        },
        style: Style::Ladder,
        shed: false,
        drain_back: false,
        affinity: None,
        reals: reals.collect(),
        unserved: Unserved::Refused,
    }
}

fn tcp(ranks: &[usize], capacity: u32) -> World {
    let plan = ladder(Protocol::Tcp, ranks, connections(capacity));
    World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan)
}

impl World {
    /// How many connections each endpoint of a rank has got.
    fn got(&self, rank: u8) -> Vec<u64> {
        let reals = self.plan.reals.iter().filter(|real| real.rank == rank);
        reals
            .map(|real| self.count((real.ip, real.port)).connections)
            .collect()
    }

    fn count(&self, address: Address) -> Count {
        let found = self
            .dests
            .iter()
            .find(|dest| dest.count.address() == address);
        found.expect("a real server").count
    }

    fn all(&self, rank: u8) -> u64 {
        self.got(rank).iter().sum()
    }

    fn limits(&self, address: Address) -> Limits {
        let found = self
            .dests
            .iter()
            .find(|dest| dest.count.address() == address);
        found.expect("a real server").limits
    }

    fn weight(&self, address: Address) -> u32 {
        let found = self
            .dests
            .iter()
            .find(|dest| dest.count.address() == address);
        found.expect("a real server").weight
    }

    fn standing(&self) -> Standing {
        self.controller.standing(&self.key).expect("a standing")
    }

    fn open(&mut self, count: usize, holds: Duration, gap: Duration) {
        for _ in 0..count {
            self.connect(holds);
            self.pass(gap);
        }
    }
}
