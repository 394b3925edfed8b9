//! The clients: they come, are sent to a pod, stay for a while and go.

use super::super::engine::{Micros, micros, seconds};
use super::super::kernel::Slot;
use super::super::world::PodId;
use super::{Event, Fleet, index};

/// `TIME_WAIT` in IPVS.
const TIME_WAIT: Micros = 120_000_000;
/// `SYN_RECV` in IPVS: how long a connection counts that nobody answers.
const SYN_RECV: Micros = 60_000_000;
/// A client's patience with a connection that nobody answers, in seconds.
const PATIENCE: f64 = 3.0;
/// A refused client's pause before it tries again, in seconds.
const PAUSE: f64 = 1.0;

/// An open connection.
#[derive(Clone, Copy)]
pub struct Connection {
    pub node: u32,
    number: u16,
    slot: Slot,
    pub pod: PodId,
    ends: Micros,
    /// Differs between two connections in the same place.
    life: u32,
    pub open: bool,
}

impl Fleet {
    /// A client wants a connection. Demand rises in proportion to time.
    pub fn arrive(&mut self, node: u32, number: u16) {
        if !self.nodes[node as usize].alive {
            return;
        }
        self.plan_arrival(node, number);
        if self.rng.f64() * self.scenario.ramp <= seconds(self.queue.now()) {
            let last = self.lifetime();
            self.open(node, number, last);
        }
    }

    fn lifetime(&mut self) -> Micros {
        let long = self.rng.f64() < self.scenario.longs;
        let mean = if long {
            self.scenario.long
        } else {
            self.scenario.short
        };
        self.about(mean)
    }

    pub fn plan_arrival(&mut self, node: u32, number: u16) {
        let rate = self.nodes[node as usize].seats[usize::from(number)].rate;
        if rate > 0.0 {
            let delay = self.about(1.0 / rate);
            self.queue.after(delay, Event::Arrive { node, number });
        }
    }

    pub fn open(&mut self, node: u32, number: u16, last: Micros) {
        let at = &mut self.nodes[node as usize];
        if !at.alive {
            return;
        }
        let seat = &mut at.seats[usize::from(number)];
        let Some(slot) = seat.kernel.connect() else {
            self.measure.refused(usize::from(number));
            let delay = self.about(PAUSE);
            self.queue.after(delay, Event::Again { node, number, last });
            return;
        };
        let pod = seat.kernel.dest(slot).key;
        if !self.pods[pod as usize].alive {
            seat.kernel.pass(slot, 3, 0);
            self.measure.lost(usize::from(number));
            self.queue
                .after(micros(PATIENCE), Event::Again { node, number, last });
            self.queue
                .after(SYN_RECV, Event::GiveUp { node, number, slot });
            return;
        }
        seat.kernel.pass(slot, 5, 4);
        self.measure
            .served(usize::from(number), seat.level(slot), self.queue.now());
        self.pods[pod as usize].active += 1;
        self.measure.load(pod, &self.pods, self.queue.now());
        let ends = self.queue.now() + last;
        let connection = self.keep(Connection {
            node,
            number,
            slot,
            pod,
            ends,
            life: 0,
            open: true,
        });
        let life = self.connections[connection as usize].life;
        self.queue.after(last, Event::Close { connection, life });
    }

    fn keep(&mut self, mut connection: Connection) -> u32 {
        if let Some(place) = self.free.pop() {
            let there = &mut self.connections[place as usize];
            connection.life = there.life.wrapping_add(1);
            *there = connection;
            place
        } else {
            self.connections.push(connection);
            index(self.connections.len() - 1)
        }
    }

    pub fn close(&mut self, place: u32, life: u32) {
        let connection = self.connections[place as usize];
        if connection.open && connection.life == life {
            self.drop_connection(place);
            self.end(connection.node, connection.number, connection.slot);
        }
    }

    /// The pod has one connection less.
    pub fn drop_connection(&mut self, place: u32) {
        let connection = &mut self.connections[place as usize];
        connection.open = false;
        let pod = connection.pod;
        self.free.push(place);
        self.pods[pod as usize].active -= 1;
        self.measure.load(pod, &self.pods, self.queue.now());
    }

    /// The node's kernel sees a connection's end.
    pub fn end(&mut self, node: u32, number: u16, slot: Slot) {
        let seat = &mut self.nodes[node as usize].seats[usize::from(number)];
        seat.kernel.finish(slot);
        self.queue
            .linger(TIME_WAIT, Event::Expire { node, number, slot });
    }

    pub fn break_off(&mut self, place: u32, notice: f64) {
        let connection = self.connections[place as usize];
        self.drop_connection(place);
        let Connection {
            node,
            number,
            slot,
            ends,
            ..
        } = connection;
        let delay = self.about(notice);
        let last = ends - self.queue.now();
        self.measure.broken(usize::from(number));
        self.queue.after(
            delay,
            Event::Notice {
                node,
                number,
                slot,
                last,
            },
        );
    }
}
