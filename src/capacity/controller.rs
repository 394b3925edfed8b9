//! All virtual servers that have a capacity.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::server::Server;
use super::{Address, Adjustment, Budgets, Count, Demand, Key, Pace, Standing};
use crate::model::{EndpointSet, Family, SetId};
use crate::plan::VirtualServer;

/// The control loops of all virtual servers that have a capacity.
#[derive(Debug)]
pub struct Controller {
    pace: Pace,
    peers: NonZeroU32,
    /// What tells this node from others where parts of connections are rounded.
    seed: u64,
    servers: BTreeMap<Key, Server>,
}

impl Controller {
    /// No virtual server yet, and no other agent.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            peers: NonZeroU32::MIN,
            seed: 0,
            servers: BTreeMap::new(),
        }
    }

    /// The same on the node of this name.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        self.seed = hasher.finish();
        self
    }

    /// How many agents, with this one, send connections to the same endpoints. Without budgets,
    /// each takes an equal share of an endpoint's capacity.
    pub fn peers(&mut self, agents: NonZeroU32) {
        self.peers = agents;
    }

    /// A new or changed plan for a virtual server: remembers it and writes the weights and limits
    /// that the kernel shall hold now into it. The plan's weights are the base.
    ///
    /// `adopted` is what the kernel counts at real servers that it has already; empty if it has
    /// none or nobody knows. A virtual server without capacity is forgotten and left as it is.
    pub fn arrange(
        &mut self,
        key: &Key,
        server: &mut VirtualServer,
        adopted: &[Count],
        now: Instant,
    ) {
        if !server.has_capacity() {
            self.forget(key);
            return;
        }
        let peers = self.peers_of(key);
        let state = self
            .servers
            .entry(key.clone())
            .or_insert_with(|| Server::new(key.id.port.protocol));
        let at = state.moment(&self.pace, peers, now);
        state.arrange(server, adopted, at);
    }

    /// The virtual server is gone.
    pub fn forget(&mut self, key: &Key) {
        self.servers.remove(key);
    }

    /// Whether it is a virtual server with a capacity.
    pub fn knows(&self, key: &Key) -> bool {
        self.servers.contains_key(key)
    }

    /// The virtual servers whose counts a tick wants.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.servers.keys()
    }

    /// Those of them that share their endpoints with `key`, itself among them: the sets of one family
    /// of a service port.
    pub fn sets_of(&self, key: &Key) -> impl Iterator<Item = &Key> {
        // All of a service port follow each other, the set of all endpoints first.
        let first = Key {
            id: SetId::all(key.id.port.clone()),
            family: Family::V4,
        };
        let port = self.servers.range(first..).map(|(one, _)| one);
        port.take_while(|one| one.id.port == key.id.port)
            .filter(|one| one.family == key.family)
    }

    /// How long after its last tick a virtual server wants the next: [`Pace::tick`], or
    /// [`Pace::fast_tick`] where short connections use up the thresholds faster. None for one
    /// without capacity. To tick all at the same pace, take the shortest.
    pub fn delay(&self, key: &Key) -> Option<Duration> {
        self.servers.get(key).map(|server| server.delay(&self.pace))
    }

    /// What the kernel shall change, now that it counts this. Only what moved enough. To be sent
    /// in this order, all of it: a real server that stands here twice must first get the lower
    /// limits, since the kernel forgets that it was full only when its upper limit rises.
    pub fn tick(&mut self, key: &Key, counts: &[Count], now: Instant) -> Vec<Adjustment> {
        let elsewhere = self.elsewhere(key);
        let peers = self.peers_of(key);
        let Some(server) = self.servers.get_mut(key) else {
            return Vec::new();
        };
        server.beside(&elsewhere);
        let at = server.moment(&self.pace, peers, now);
        server.tick(counts, at)
    }

    /// The endpoints whose connections are to come back to nearer ones, with the virtual servers that
    /// they belong to.
    pub fn called_back(&self, now: Instant) -> impl Iterator<Item = (&Key, Address)> {
        self.servers.iter().flat_map(move |(key, server)| {
            let at = server.moment(&self.pace, self.peers_of(key), now);
            let called = server.called_back(at).into_iter();
            called.map(move |address| (key, address))
        })
    }

    /// How many agents send connections to the endpoints of a virtual server. Where nobody gets to
    /// all endpoints of a service port, only those of a node, no other agent does.
    fn peers_of(&self, key: &Key) -> f64 {
        let has_all = |one: &Key| one.id.set == EndpointSet::All;
        if has_all(key) || self.sets_of(key).any(has_all) {
            f64::from(self.peers.get())
        } else {
            1.0
        }
    }

    /// What the other sets of the service port have of their endpoints.
    fn elsewhere(&self, key: &Key) -> BTreeMap<Address, u32> {
        let others = self.sets_of(key).filter(|one| *one != key);
        let mut elsewhere = BTreeMap::new();
        for server in others.filter_map(|one| self.servers.get(one)) {
            for (address, load) in server.loads() {
                *elsewhere.entry(address).or_default() += load;
            }
        }
        elsewhere
    }

    /// What this node wants of one family of a service port, over all of its sets, for the others to
    /// know. None for one without capacity.
    pub fn demand(&self, key: &Key) -> Option<Demand> {
        let servers = self.sets_of(key).filter_map(|one| self.servers.get(one));
        servers
            .map(|server| server.demand)
            .reduce(|all, one| Demand {
                connections: all.connections + one.connections,
                per_second: all.per_second + one.per_second,
            })
    }

    /// Takes this node's part of each endpoint's capacity, which the sets of a service port share, by
    /// reports that came at `heard`. It shows at the next tick. What came too long ago says nothing
    /// any more: by then a part is what the node makes of it by itself.
    pub fn share(&mut self, key: &Key, budgets: &Budgets, heard: Instant, now: Instant) {
        if now.saturating_duration_since(heard) >= self.pace.budgets_last {
            return;
        }
        let sets: Vec<Key> = self.sets_of(key).cloned().collect();
        for set in sets {
            if let Some(server) = self.servers.get_mut(&set) {
                server.share(budgets, self.seed, heard, now);
            }
        }
    }

    /// How a virtual server stands. None for one without capacity.
    pub fn standing(&self, key: &Key) -> Option<Standing> {
        self.servers
            .get(key)
            .map(|server| server.standing(&self.pace, self.peers_of(key)))
    }
}
