//! One node: the real plan and the real control loop above the model of its kernel.

use std::num::NonZeroU32;
use std::time::Instant;

use anyhow::Result;
use spillway::capacity::{Adjustment, Budgets, Controller, Count, Held, Key, Pace, RankState};
use spillway::model::{EndpointSlice, Family, Level, Protocol, ServicePortId, SetId};
use spillway::plan::{Here, Limits, VirtualServer, plan};

use super::kernel::{Edits, Server, Slot, Way};
use super::world::{Backend, Place, PodId, address, pod_at};

/// A node with its agent.
pub struct Node {
    pub place: Place,
    pub alive: bool,
    here: Here,
    pace: Pace,
    agent: Controller,
    peers: NonZeroU32,
    /// What it has of each service.
    pub seats: Vec<Seat>,
}

/// A service as one node has it.
pub struct Seat {
    key: Key,
    pub kernel: Server,
    /// Where each pod is, by pod.
    slots: Vec<(PodId, Slot)>,
    /// How near each slot's pod is.
    levels: Vec<Level>,
    /// New connections per second that clients on this node want.
    pub rate: f64,
    states: Vec<RankState>,
}

impl Seat {
    fn new(backend: &Backend, edits: Edits) -> Self {
        let id = &backend.service.id;
        Self {
            key: Key {
                id: SetId::all(ServicePortId {
                    service: id.clone(),
                    port: backend.service.ports[0].name.clone(),
                    protocol: Protocol::Tcp,
                }),
                family: Family::V4,
            },
            kernel: Server::new(Way::ShortestExpectedDelay, edits),
            slots: Vec::new(),
            levels: Vec::new(),
            rate: 0.0,
            states: Vec::new(),
        }
    }

    /// Whether any client on the node wants it.
    pub fn is_used(&self) -> bool {
        self.rate > 0.0
    }

    pub fn level(&self, slot: Slot) -> Level {
        self.levels[slot as usize]
    }

    fn slot(&self, pod: PodId) -> Option<Slot> {
        let place = self
            .slots
            .binary_search_by_key(&pod, |(pod, _)| *pod)
            .ok()?;
        Some(self.slots[place].1)
    }

    fn counts(&self) -> Vec<Count> {
        let listed = self.kernel.listed();
        listed
            .map(|(_, dest)| {
                let (ip, port) = address(dest.key);
                Count {
                    ip,
                    port,
                    active: dest.active,
                    inactive: dest.inactive,
                    connections: dest.connections,
                    in_packets: dest.in_packets,
                    out_packets: dest.out_packets,
                    returned: Held::default(),
                    returns: 0,
                }
            })
            .collect()
    }

    /// What `sync` does for TCP: edits in place, adds what is new, and lets what is no longer
    /// wanted finish its connections at weight 0.
    fn sync(&mut self, wanted: &VirtualServer) -> Result<()> {
        self.kernel.set_way(wanted.scheduler.try_into()?);
        let mut known = std::mem::take(&mut self.slots);
        let mut slots = Vec::with_capacity(wanted.reals.len());
        for real in &wanted.reals {
            let Some(pod) = pod_at(real.ip) else { continue };
            let place = known.binary_search_by_key(&pod, |(pod, _)| *pod);
            let slot = if let Ok(place) = place {
                let slot = known[place].1;
                self.edit(slot, real.weight, real.limits);
                slot
            } else {
                self.kernel.add(pod, real.weight, real.limits)
            };
            if self.levels.len() <= slot as usize {
                self.levels.resize(slot as usize + 1, Level::Remote);
            }
            self.levels[slot as usize] = real.level;
            slots.push((pod, slot));
        }
        slots.sort_unstable();
        known.retain(|(pod, _)| slots.binary_search_by_key(pod, |(pod, _)| *pod).is_err());
        for (pod, slot) in known {
            let dest = *self.kernel.dest(slot);
            if dest.active == 0 && dest.inactive == 0 {
                self.kernel.delete(slot);
            } else {
                self.edit(slot, 0, dest.limits);
                slots.push((pod, slot));
            }
        }
        slots.sort_unstable();
        self.slots = slots;
        Ok(())
    }

    fn edit(&mut self, slot: Slot, weight: u32, limits: Limits) {
        let dest = self.kernel.dest(slot);
        if (dest.weight, dest.limits) != (weight, limits) {
            self.kernel.edit(slot, weight, limits);
        }
    }

    fn adjust(&mut self, adjustment: &Adjustment) {
        let slot = pod_at(adjustment.ip).and_then(|pod| self.slot(pod));
        // Like the agent, it leaves alone what is at weight 0: that is on its way out.
        if let Some(slot) = slot.filter(|slot| self.kernel.dest(*slot).weight > 0) {
            self.edit(slot, adjustment.weight, adjustment.limits);
        }
    }
}

impl Node {
    pub fn new(place: Place, rhythm: Pace, edits: Edits, backends: &[Backend]) -> Self {
        let here = Here {
            node: place.node.clone(),
            zone: Some(place.zone.clone()),
            cluster: place.cluster.clone(),
            ..Here::default()
        };
        Self {
            place,
            alive: true,
            agent: Controller::new(rhythm).on(&here.node),
            here,
            pace: rhythm,
            peers: NonZeroU32::MIN,
            seats: backends
                .iter()
                .map(|backend| Seat::new(backend, edits))
                .collect(),
        }
    }

    pub fn peers(&mut self, peers: NonZeroU32) {
        self.peers = peers;
        self.agent.peers(peers);
    }

    /// Plans a service anew and brings the kernel there. A service that no client on this node
    /// wants is left out: nothing would ever happen there.
    pub fn program(&mut self, number: usize, backend: &Backend, now: Instant) -> Result<()> {
        let seat = &mut self.seats[number];
        if !seat.is_used() {
            return Ok(());
        }
        let slices: Vec<&EndpointSlice> = backend.slices.iter().collect();
        let mut plan = plan(&backend.service, &slices, &self.here);
        let server = plan
            .remove(&seat.key.id)
            .and_then(|port| port.servers.into_iter().next());
        let Some(mut server) = server else {
            return Ok(());
        };
        let counts = seat.counts();
        self.agent.arrange(&seat.key, &mut server, &counts, now);
        seat.sync(&server)
    }

    /// The agent is killed and starts again; the kernel goes on.
    pub fn restart(&mut self, backends: &[Backend], now: Instant) -> Result<()> {
        self.agent = Controller::new(self.pace).on(&self.here.node);
        self.agent.peers(self.peers);
        for (number, backend) in backends.iter().enumerate() {
            self.program(number, backend, now)?;
        }
        Ok(())
    }

    /// One turn of the control loop; in how many microseconds the next is due.
    pub fn tick(&mut self, number: usize, now: Instant) -> u64 {
        let seat = &mut self.seats[number];
        let counts = seat.counts();
        for adjustment in self.agent.tick(&seat.key, &counts, now) {
            seat.adjust(&adjustment);
        }
        let delay = self.agent.delay(&seat.key).unwrap_or(self.pace.tick);
        u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)
    }

    /// How many levels of a service have changed their state since this was last asked.
    pub fn changes(&mut self, number: usize) -> u64 {
        let seat = &mut self.seats[number];
        let Some(standing) = self.agent.standing(&seat.key) else {
            return 0;
        };
        let states: Vec<RankState> = standing.ranks.iter().map(|rank| rank.state).collect();
        let pairs = states.iter().zip(&seat.states);
        let changes = pairs.filter(|(new, old)| new != old).count();
        seat.states = states;
        changes as u64
    }

    /// What the node takes for its part of each pod, and what it lets in: the pod, its budget, and
    /// the active connections at which the kernel passes it over (0: never).
    pub fn parts(&self, number: usize) -> Vec<(PodId, u32, u32)> {
        let seat = &self.seats[number];
        let standing = self.agent.standing(&seat.key).unwrap_or_default();
        let endpoints = standing.ranks.iter().flat_map(|rank| &rank.endpoints);
        endpoints
            .filter_map(|endpoint| {
                let pod = pod_at(endpoint.ip)?;
                let dest = seat.kernel.dest(seat.slot(pod)?);
                let upper = dest.limits.upper.saturating_sub(dest.inactive);
                Some((pod, endpoint.budget?, upper))
            })
            .collect()
    }

    /// What the node's clients want of a service.
    pub fn demand(&self, number: usize) -> f64 {
        let demand = self.agent.demand(&self.seats[number].key);
        demand.map_or(0.0, |demand| demand.connections)
    }

    pub fn share(&mut self, number: usize, budgets: &Budgets, now: Instant) {
        self.agent.share(&self.seats[number].key, budgets, now, now);
    }
}
