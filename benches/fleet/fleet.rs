//! The whole fleet, event by event.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spillway::capacity::Pace;

use super::engine::{Micros, Queue, micros, seconds};
use super::exchange::{View, budgets};
use super::kernel::Slot;
use super::measure::Measure;
use super::node::Node;
use super::scenario::Scenario;
use super::world::{Backend, Place, Pod, PodId};

/// `TIME_WAIT` in IPVS.
const TIME_WAIT: Micros = 120_000_000;
/// `SYN_RECV` in IPVS: how long a connection counts that nobody answers.
const SYN_RECV: Micros = 60_000_000;
/// A client's patience with a connection that nobody answers, in seconds.
const PATIENCE: f64 = 3.0;
/// A refused client's pause before it tries again, in seconds.
const PAUSE: f64 = 1.0;
/// How long a pod finishes its connections after it left the API, in seconds.
const GRACE: f64 = 10.0;
const SAMPLE: Micros = 500_000;
/// Nodes whose levels are watched for changes of state.
const WATCHED: usize = 100;
/// Nodes that differ in the reports that they lost.
const VIEWS: usize = 16;

/// What happens. `number` is that of a service.
#[derive(Clone, Copy)]
enum Event {
    /// A client wants a connection.
    Arrive {
        node: u32,
        number: u16,
    },
    /// A client tries again; its connection shall last for so long.
    Again {
        node: u32,
        number: u16,
        last: Micros,
    },
    /// A connection's end, if it is still the same.
    Close {
        connection: u32,
        life: u32,
    },
    /// The client of a connection that broke notices.
    Notice {
        node: u32,
        number: u16,
        slot: Slot,
        last: Micros,
    },
    /// The kernel forgets a connection.
    Expire {
        node: u32,
        number: u16,
        slot: Slot,
    },
    /// The kernel forgets a connection that nobody answered.
    GiveUp {
        node: u32,
        number: u16,
        slot: Slot,
    },
    Tick {
        node: u32,
        number: u16,
    },
    /// A node's watch tells of changed endpoints.
    Learn {
        node: u32,
        number: u16,
    },
    Report,
    Share {
        view: usize,
    },
    Sample,
    Replace {
        number: u16,
    },
    Kill {
        pod: PodId,
    },
    Restart,
    ZoneDies,
    /// The API no longer lists the dead zone's endpoints and nodes.
    ZoneNoticed,
}

/// An open connection.
#[derive(Clone, Copy)]
struct Connection {
    node: u32,
    number: u16,
    slot: Slot,
    pod: PodId,
    ends: Micros,
    /// Differs between two connections in the same place.
    life: u32,
    open: bool,
}

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
                Node::new(place, rhythm, &backends)
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
        let views = (0..VIEWS.min(nodes.len()))
            .map(|_| View::new(scenario.services, nodes.len()))
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
            measure,
            scenario,
            events: 0,
        }
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        self.begin();
        let (wall, mut shown) = (Instant::now(), 0);
        while let Some(event) = self.queue.next() {
            self.events += 1;
            self.happen(event);
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
    }

    fn begin(&mut self) {
        self.count_peers();
        let services = self.numbers();
        for node in 0..self.nodes.len() {
            for number in services.clone() {
                if !self.nodes[node].seats[usize::from(number)].is_used() {
                    continue;
                }
                let backend = &self.backends[usize::from(number)];
                self.nodes[node].program(usize::from(number), backend, self.epoch);
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
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { node, number } => {
                if self.nodes[node as usize].alive {
                    self.plan_arrival(node, number);
                    // Demand rises in proportion to time.
                    if self.rng.f64() * self.scenario.ramp <= seconds(self.queue.now()) {
                        let last = self.lifetime();
                        self.open(node, number, last);
                    }
                }
            }
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
            Event::Learn { node, number } => {
                let now = self.instant();
                let backend = &self.backends[usize::from(number)];
                let node = &mut self.nodes[node as usize];
                if node.alive {
                    node.program(usize::from(number), backend, now);
                }
            }
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
            Event::Restart => self.restart(),
            Event::ZoneDies => self.zone_dies(),
            Event::ZoneNoticed => self.zone_noticed(),
        }
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

    fn lifetime(&mut self) -> Micros {
        let long = self.rng.f64() < self.scenario.longs;
        let mean = if long {
            self.scenario.long
        } else {
            self.scenario.short
        };
        self.about(mean)
    }

    fn plan_arrival(&mut self, node: u32, number: u16) {
        let rate = self.nodes[node as usize].seats[usize::from(number)].rate;
        if rate > 0.0 {
            let delay = self.about(1.0 / rate);
            self.queue.after(delay, Event::Arrive { node, number });
        }
    }

    fn count_peers(&mut self) {
        let alive = self.nodes.iter().filter(|node| node.alive).count();
        if let Some(peers) = NonZeroU32::new(index(alive)) {
            for node in &mut self.nodes {
                node.peers(peers);
            }
        }
    }

    fn open(&mut self, node: u32, number: u16, last: Micros) {
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

    fn close(&mut self, place: u32, life: u32) {
        let connection = self.connections[place as usize];
        if connection.open && connection.life == life {
            self.drop_connection(place);
            self.end(connection.node, connection.number, connection.slot);
        }
    }

    /// The pod has one connection less.
    fn drop_connection(&mut self, place: u32) {
        let connection = &mut self.connections[place as usize];
        connection.open = false;
        let pod = connection.pod;
        self.free.push(place);
        self.pods[pod as usize].active -= 1;
        self.measure.load(pod, &self.pods, self.queue.now());
    }

    /// The node's kernel sees a connection's end.
    fn end(&mut self, node: u32, number: u16, slot: Slot) {
        let seat = &mut self.nodes[node as usize].seats[usize::from(number)];
        seat.kernel.finish(slot);
        self.queue
            .linger(TIME_WAIT, Event::Expire { node, number, slot });
    }

    fn tick(&mut self, node: u32, number: u16) {
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

    fn report(&mut self) {
        let demands: Vec<Vec<Option<f64>>> = (0..self.backends.len())
            .map(|number| {
                let nodes = self.nodes.iter();
                nodes
                    .map(|node| Some(node.demand(number)).filter(|_| node.alive))
                    // Who wants nothing says nothing.
                    .map(|demand| demand.filter(|demand| *demand > 0.0))
                    .collect()
            })
            .collect();
        let now = self.queue.now();
        for view in &mut self.views {
            view.receive(&demands, now, self.scenario.loss, &mut self.rng);
        }
        for view in 0..self.views.len() {
            // Each agent computes when it comes to it.
            let delay = micros(self.scenario.report_delay * (0.5 + self.rng.f64()));
            self.queue.after(delay, Event::Share { view });
        }
        self.queue
            .after(micros(self.scenario.report_every), Event::Report);
    }

    fn share(&mut self, view: usize) {
        let (now, instant) = (self.queue.now(), self.instant());
        for (number, backend) in self.backends.iter().enumerate() {
            for cluster in &self.clusters {
                let pods = backend.vessels(&self.pods, cluster);
                let (mut reports, places) =
                    self.views[view].table(number, &self.nodes, cluster, now);
                let step = self.views.len();
                for (node, place) in (view..self.nodes.len())
                    .step_by(step)
                    .zip(places.iter().skip(view).step_by(step))
                {
                    let node = &mut self.nodes[node];
                    if node.alive && node.seats[number].is_used() && node.place.cluster == *cluster
                    {
                        let budgets = budgets(node, number, &mut reports, *place, &pods);
                        node.share(number, &budgets, instant);
                    }
                }
            }
        }
    }

    /// All nodes learn of a Service's endpoints, each a little later.
    fn publish(&mut self, number: u16) {
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

    /// A new pod takes the place of the oldest, on another node of the same zone.
    fn replace(&mut self, number: u16) {
        self.queue.after(
            micros(self.scenario.deploy_every),
            Event::Replace { number },
        );
        let backend = &mut self.backends[usize::from(number)];
        let old = backend.listed.remove(0);
        let zone = self.pods[old as usize].place.zone.clone();
        let places: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].alive && self.nodes[*node].place.zone == zone)
            .collect();
        if let Some(node) = self.rng.choice(places) {
            let pod = Pod {
                place: self.nodes[node].place.clone(),
                active: 0,
                ..self.pods[old as usize].clone()
            };
            backend.listed.push(index(self.pods.len()));
            self.pods.push(pod);
            self.measure.add_pod(usize::from(number));
        }
        self.publish(number);
        self.queue.after(micros(GRACE), Event::Kill { pod: old });
    }

    /// A pod ends with all of its connections; their clients notice after so many seconds.
    fn kill(&mut self, pod: PodId, notice: f64) {
        self.pods[pod as usize].alive = false;
        for place in 0..self.connections.len() {
            let connection = self.connections[place];
            if connection.open && connection.pod == pod {
                self.break_off(index(place), notice);
            }
        }
    }

    fn break_off(&mut self, place: u32, notice: f64) {
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

    fn restart(&mut self) {
        let delay = self.about(60.0 / self.scenario.restarts);
        self.queue.after(delay, Event::Restart);
        let node = self.rng.usize(0..self.nodes.len());
        let now = self.instant();
        if self.nodes[node].alive {
            self.nodes[node].restart(&self.backends, now);
        }
    }

    fn zone_dies(&mut self) {
        let zone = self.nodes[0].place.zone.clone();
        for node in &mut self.nodes {
            node.alive &= node.place.zone != zone;
        }
        for pod in &mut self.pods {
            pod.alive &= pod.place.zone != zone;
        }
        for place in 0..self.connections.len() {
            let connection = self.connections[place];
            if !connection.open {
                continue;
            }
            if !self.nodes[connection.node as usize].alive {
                self.drop_connection(index(place));
            } else if !self.pods[connection.pod as usize].alive {
                self.break_off(index(place), 2.0);
            }
        }
        self.queue
            .after(micros(self.scenario.detect), Event::ZoneNoticed);
    }

    fn zone_noticed(&mut self) {
        self.count_peers();
        for number in self.numbers() {
            let pods = &self.pods;
            self.backends[usize::from(number)]
                .listed
                .retain(|pod| pods[*pod as usize].alive);
            self.publish(number);
        }
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than that")
}

/// Pods on random nodes. Every third accepts half as many connections as the others.
fn place_pods(scenario: &Scenario, nodes: &[Node], rng: &mut fastrand::Rng) -> Vec<Pod> {
    let all = scenario.services * scenario.pods;
    (0..all)
        .map(|number| {
            let half = number / scenario.services % 3 == 2;
            let capacity = scenario.capacity / (1 + u32::from(half));
            Pod {
                service: number % scenario.services,
                place: nodes[rng.usize(0..nodes.len())].place.clone(),
                capacity: NonZeroU32::new(capacity).unwrap_or(NonZeroU32::MIN),
                active: 0,
                alive: true,
            }
        })
        .collect()
}

/// Gives each node that is a client of a service its part of all demand: Zipf, in random order.
fn spread_demand(scenario: &Scenario, nodes: &mut [Node], pods: &[Pod], rng: &mut fastrand::Rng) {
    for number in 0..scenario.services {
        let mine = pods.iter().filter(|pod| pod.service == number);
        let capacity: f64 = mine.map(|pod| f64::from(pod.capacity.get())).sum();
        let clients = f64::from(index(nodes.len())) * scenario.clients_of_each;
        let mut parts: Vec<f64> = (1..=nodes.len())
            .map(|rank| f64::from(index(rank)))
            .map(|rank| {
                if rank <= clients.max(1.0) {
                    rank.powf(-scenario.zipf)
                } else {
                    0.0
                }
            })
            .collect();
        rng.shuffle(&mut parts);
        let sum: f64 = parts.iter().sum();
        let rate = capacity * scenario.load / scenario.lifetime();
        for (node, part) in nodes.iter_mut().zip(parts) {
            node.seats[number].rate = rate * part / sum;
        }
    }
}
