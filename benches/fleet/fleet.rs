//! The whole fleet, event by event.

mod agents;
mod changes;
mod clients;
mod event;
mod layout;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use spillway::capacity::Pace;

use super::engine::{Micros, Queue, micros, seconds};
use super::exchange::{Said, View};
use super::measure::Measure;
use super::node::Node;
use super::scenario::Scenario;
use super::world::{Backend, Place, Pod};
use clients::Connection;
use event::Event;
use layout::{place_pods, spread_demand};

const SAMPLE: Micros = 500_000;
/// Nodes whose levels are watched for changes of state.
const WATCHED: usize = 100;
/// Nodes that differ in the reports that they lost.
const VIEWS: usize = 16;

/// The fleet.
pub struct Fleet {
    scenario: Scenario,
    rng: fastrand::Rng,
    epoch: Instant,
    queue: Queue<Event>,
    clusters: Vec<Arc<str>>,
    backends: Vec<Backend>,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    connections: Vec<Connection>,
    free: Vec<u32>,
    views: Vec<View>,
    /// What each node said last, by service.
    sent: Vec<Vec<Option<(Said, Micros)>>>,
    pub measure: Measure,
    pub events: u64,
}

impl Fleet {
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let clusters: Vec<Arc<str>> = (0..scenario.clusters)
            .map(|number| Arc::from(format!("cluster-{number}")))
            .collect();
        let mut backends: Vec<Backend> = (0..scenario.services).map(Backend::new).collect();
        let rhythm = Pace {
            tick: Duration::from_secs_f64(scenario.tick),
            ..Pace::default()
        };
        let mut nodes: Vec<Node> = (0..scenario.nodes)
            .map(|number| {
                let cluster = clusters[number % clusters.len()].clone();
                let zone = number / clusters.len() % scenario.zones;
                let place = Place {
                    node: Arc::from(format!("node-{number}")),
                    zone: Arc::from(format!("{cluster}-zone-{zone}")),
                    cluster,
                };
                Node::new(place, rhythm, scenario.edits, &backends)
            })
            .collect();
        let pods = place_pods(&scenario, &nodes, &mut rng);
        for (id, pod) in (0..).zip(&pods) {
            backends[pod.service].listed.push(id);
        }
        for backend in &mut backends {
            backend.publish(&pods, &clusters);
        }
        spread_demand(&scenario, &mut nodes, &pods, &mut rng);
        let sent = vec![vec![None; nodes.len()]; backends.len()];
        let views = (0..VIEWS.min(nodes.len()))
            .map(|_| View::new(scenario.services, scenario.clusters, nodes.len()))
            .collect();
        let used = |number: usize| move |node: &&Node| node.seats[number].is_used();
        let watched = (0..scenario.services)
            .map(|number| nodes.iter().take(WATCHED).filter(used(number)).count())
            .collect();
        let measure = Measure::new(&scenario, &pods, watched);
        Self {
            queue: Queue::new(micros(scenario.end)),
            rng,
            epoch: Instant::now(),
            clusters,
            backends,
            pods,
            nodes,
            connections: Vec::new(),
            free: Vec::new(),
            views,
            sent,
            measure,
            scenario,
            events: 0,
        }
    }

    /// Runs to the end. Fails if a plan asks the kernel for what its model has not.
    pub fn run(&mut self) -> Result<()> {
        self.begin()?;
        let (wall, mut shown) = (Instant::now(), 0);
        while let Some(event) = self.queue.next() {
            self.events += 1;
            self.happen(event)?;
            let now = self.queue.now();
            if now >= shown + 10_000_000 {
                shown = now;
                eprintln!(
                    "{:4.0} s of model time, {} events, {:.1} s",
                    seconds(now),
                    self.events,
                    wall.elapsed().as_secs_f64()
                );
            }
        }
        self.measure.finish(micros(self.scenario.end));
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.count_peers();
        let services = self.numbers();
        for node in 0..self.nodes.len() {
            for number in services.clone() {
                if !self.nodes[node].seats[usize::from(number)].is_used() {
                    continue;
                }
                let backend = &self.backends[usize::from(number)];
                self.nodes[node].program(usize::from(number), backend, self.epoch)?;
                let node = index(node);
                self.queue
                    .after(self.rng.u64(0..500_000), Event::Tick { node, number });
                self.plan_arrival(node, number);
            }
        }
        self.queue.after(0, Event::Sample);
        self.queue
            .after(micros(self.scenario.report_every), Event::Report);
        if self.scenario.deploy_every > 0.0 {
            for number in services {
                let begin = self.scenario.ramp + self.rng.f64() * self.scenario.deploy_every;
                self.queue.after(micros(begin), Event::Replace { number });
            }
        }
        if self.scenario.restarts > 0.0 {
            self.queue.after(micros(self.scenario.ramp), Event::Restart);
        }
        if self.scenario.dead_zone_at > 0.0 {
            self.queue
                .after(micros(self.scenario.dead_zone_at), Event::ZoneDies);
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Arrive { node, number } => self.arrive(node, number),
            Event::Again { node, number, last } => self.open(node, number, last),
            Event::Close { connection, life } => self.close(connection, life),
            Event::Notice {
                node,
                number,
                slot,
                last,
            } => {
                self.end(node, number, slot);
                self.open(node, number, last);
            }
            Event::Expire { node, number, slot } => {
                self.nodes[node as usize].seats[usize::from(number)]
                    .kernel
                    .expire(slot);
            }
            Event::GiveUp { node, number, slot } => {
                let kernel = &mut self.nodes[node as usize].seats[usize::from(number)].kernel;
                kernel.finish(slot);
                kernel.expire(slot);
            }
            Event::Tick { node, number } => self.tick(node, number),
            Event::Learn { node, number } => self.learn(node, number)?,
            Event::Report => self.report(),
            Event::Share { view } => self.share(view),
            Event::Sample => {
                self.queue.after(SAMPLE, Event::Sample);
                // Far too many words for more nodes.
                if self.nodes.len() <= WATCHED {
                    self.look_at_parts();
                }
                self.measure
                    .sample(self.queue.now(), &self.pods, &self.backends);
            }
            Event::Replace { number } => self.replace(number),
            Event::Kill { pod } => self.kill(pod, 0.1),
            Event::Restart => self.restart()?,
            Event::ZoneDies => self.zone_dies(),
            Event::ZoneNoticed => self.zone_noticed(),
        }
        Ok(())
    }

    fn look_at_parts(&mut self) {
        for number in 0..self.backends.len() {
            let alive = self.nodes.iter().filter(|node| node.alive);
            let parts: Vec<_> = alive.flat_map(|node| node.parts(number)).collect();
            self.measure
                .parts(number, &parts, &self.pods, self.queue.now());
        }
    }

    fn numbers(&self) -> std::ops::Range<u16> {
        0..u16::try_from(self.backends.len()).expect("few services")
    }

    /// Now, as the code under test wants it.
    fn instant(&self) -> Instant {
        self.epoch + Duration::from_micros(self.queue.now())
    }

    /// A random time with this mean.
    fn about(&mut self, mean: f64) -> Micros {
        micros(-mean * (1.0 - self.rng.f64()).ln())
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than that")
}
