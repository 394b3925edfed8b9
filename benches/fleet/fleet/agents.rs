//! The agents: they tick, hear of changed endpoints, and tell each other what they want.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use anyhow::Result;

use super::super::engine::{Micros, micros};
use super::super::exchange::{Said, budgets};
use super::super::node::Node;
use super::{Event, Fleet, WATCHED, index};

impl Fleet {
    pub fn count_peers(&mut self) {
        let alive = self.nodes.iter().filter(|node| node.alive).count();
        if let Some(peers) = NonZeroU32::new(index(alive)) {
            for node in &mut self.nodes {
                node.peers(peers);
            }
        }
    }

    pub fn tick(&mut self, node: u32, number: u16) {
        let now = self.instant();
        let at = &mut self.nodes[node as usize];
        if !at.alive {
            return;
        }
        let delay = at.tick(usize::from(number), now);
        if (node as usize) < WATCHED {
            let changes = at.changes(usize::from(number));
            self.measure
                .changed(usize::from(number), changes, self.queue.now());
        }
        self.queue.after(delay, Event::Tick { node, number });
    }

    pub fn report(&mut self) {
        let reports: Vec<Vec<Option<Said>>> = (0..self.backends.len())
            .map(|number| {
                let mut rooms: BTreeMap<&str, u32> = BTreeMap::new();
                for pod in &self.backends[number].listed {
                    let pod = &self.pods[*pod as usize];
                    *rooms.entry(&*pod.place.node).or_default() += pod.capacity.get();
                }
                let said = |node: &Node| {
                    let said = Said {
                        demand: node.demand(number),
                        capacity: rooms.get(&*node.place.node).copied().unwrap_or(0),
                    };
                    // Who wants nothing and has no pods says nothing.
                    (node.alive && (said.demand > 0.0 || said.capacity > 0)).then_some(said)
                };
                self.nodes.iter().map(said).collect()
            })
            .collect();
        let now = self.queue.now();
        let reports = self.due(reports, now);
        for view in &mut self.views {
            view.receive(&reports, now, self.scenario.loss, &mut self.rng);
        }
        for view in 0..self.views.len() {
            // Each agent computes when it comes to it.
            let delay = micros(self.scenario.report_delay * (0.5 + self.rng.f64()));
            self.queue.after(delay, Event::Share { view });
        }
        self.queue
            .after(micros(self.scenario.report_every), Event::Report);
    }

    /// Those of these reports that are sent: what has not moved was said lately.
    fn due(&mut self, reports: Vec<Vec<Option<Said>>>, now: Micros) -> Vec<Vec<Option<Said>>> {
        let mut due = reports;
        for (said, sent) in due.iter_mut().flatten().zip(self.sent.iter_mut().flatten()) {
            *said = said.filter(|said| said.is_due(*sent, now));
            if let Some(said) = *said {
                *sent = Some((said, now));
            }
        }
        due
    }

    pub fn share(&mut self, view: usize) {
        let (now, instant) = (self.queue.now(), self.instant());
        for (number, backend) in self.backends.iter().enumerate() {
            for (place, cluster) in self.clusters.iter().enumerate() {
                let pods = backend.vessels(&self.pods, cluster);
                let (views, nodes) = (&mut self.views, &mut self.nodes);
                let step = views.len();
                let summary = views[view].summary(number, nodes, (place, cluster), now);
                let told = nodes.iter_mut().skip(view).step_by(step);
                for node in told.filter(|node| node.alive && node.place.cluster == *cluster) {
                    if node.seats[number].is_used() {
                        let budgets = budgets(node, number, summary, &pods);
                        node.share(number, &budgets, instant);
                    }
                }
            }
        }
    }

    /// All nodes learn of a Service's endpoints, each a little later.
    pub fn publish(&mut self, number: u16) {
        self.backends[usize::from(number)].publish(&self.pods, &self.clusters);
        for node in 0..self.nodes.len() {
            if !self.nodes[node].seats[usize::from(number)].is_used() {
                continue;
            }
            let delay = self.rng.u64(50_000..500_000);
            let node = index(node);
            self.queue.after(delay, Event::Learn { node, number });
        }
    }

    /// A node's watch tells it of changed endpoints.
    pub fn learn(&mut self, node: u32, number: u16) -> Result<()> {
        let now = self.instant();
        let backend = &self.backends[usize::from(number)];
        let node = &mut self.nodes[node as usize];
        if node.alive {
            node.program(usize::from(number), backend, now)?;
        }
        Ok(())
    }

    pub fn restart(&mut self) -> Result<()> {
        let delay = self.about(60.0 / self.scenario.restarts);
        self.queue.after(delay, Event::Restart);
        let node = self.rng.usize(0..self.nodes.len());
        let now = self.instant();
        if self.nodes[node].alive {
            self.nodes[node].restart(&self.backends, now)?;
        }
        Ok(())
    }
}
