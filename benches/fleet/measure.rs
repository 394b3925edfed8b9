//! What is seen of a run: loads of pods, levels that served, changes of state.

use std::collections::BTreeMap;

use spillway::model::Level;

use super::engine::{Micros, micros, seconds};
use super::scenario::{OVER, Scenario};
use super::world::{Backend, Pod, PodId};

/// What is seen of one pod.
#[derive(Clone, Copy, Default)]
struct PodRecord {
    /// The most of its capacity that it ever had.
    peak: f64,
    /// The same while all was steady.
    steady: f64,
    /// Since when it has been badly overloaded.
    over_since: Option<Micros>,
}

/// What is seen of one service.
#[derive(Clone, Default)]
pub struct ServiceRecord {
    pub pods: usize,
    pub capacity: f64,
    /// The most of its capacity that any pod had: ever, and while all was steady.
    pub peak: f64,
    pub steady: f64,
    /// The longest time that a pod was badly overloaded after a zone died, in seconds.
    pub over: f64,
    /// Connections by level while all was steady, and of the present sample.
    pub by_level: [u64; Level::ALL.len()],
    fresh: [u64; Level::ALL.len()],
    pub refused: u64,
    /// Connections to pods that were dead.
    pub lost: u64,
    /// Connections that a pod's end broke off.
    pub broken: u64,
    /// Changes of a level's state while all was steady.
    pub changes: u64,
    /// The most that the nodes together took for their parts of one pod while all was steady, as
    /// a part of its capacity.
    pub handed_out: f64,
    /// The most that they together would have let in.
    pub admitted: f64,
    /// The load of all its pods if they shared it evenly, as of the last sample.
    even: f64,
    pub samples: Vec<Sample>,
}

/// A service at one moment.
#[derive(Clone, Copy)]
pub struct Sample {
    pub at: f64,
    /// Open connections.
    pub active: f64,
    /// Of the pods' loads, as parts of their capacities.
    pub mean: f64,
    pub p99: f64,
    pub most: f64,
    /// New connections since the last sample.
    pub by_level: [u64; Level::ALL.len()],
    /// Since the beginning.
    pub refused: u64,
    pub lost: u64,
}

/// What is seen of the fleet.
pub struct Measure {
    steady_from: Micros,
    steady_to: Micros,
    fault: Option<Micros>,
    pods: Vec<(usize, PodRecord)>,
    pub services: Vec<ServiceRecord>,
    /// How many nodes' levels of each service are watched.
    pub watched: Vec<usize>,
}

impl Measure {
    pub fn new(scenario: &Scenario, pods: &[Pod], watched: Vec<usize>) -> Self {
        let fault = (scenario.dead_zone_at > 0.0).then(|| micros(scenario.dead_zone_at));
        let mut services = vec![ServiceRecord::default(); scenario.services];
        for pod in pods {
            let record = &mut services[pod.service];
            record.pods += 1;
            record.capacity += f64::from(pod.capacity.get());
        }
        Self {
            steady_from: micros(scenario.warm),
            steady_to: fault.unwrap_or(Micros::MAX).min(micros(scenario.end)),
            fault,
            pods: pods
                .iter()
                .map(|pod| (pod.service, PodRecord::default()))
                .collect(),
            services,
            watched,
        }
    }

    /// For how long all was steady, in minutes.
    pub fn steady_minutes(&self) -> f64 {
        seconds(self.steady_to.saturating_sub(self.steady_from)) / 60.0
    }

    fn is_steady(&self, now: Micros) -> bool {
        (self.steady_from..self.steady_to).contains(&now)
    }

    pub fn add_pod(&mut self, service: usize) {
        self.pods.push((service, PodRecord::default()));
    }

    pub fn refused(&mut self, service: usize) {
        self.services[service].refused += 1;
    }

    pub fn lost(&mut self, service: usize) {
        self.services[service].lost += 1;
    }

    pub fn broken(&mut self, service: usize) {
        self.services[service].broken += 1;
    }

    pub fn served(&mut self, service: usize, level: Level, now: Micros) {
        let steady = self.is_steady(now);
        let record = &mut self.services[service];
        record.fresh[level as usize] += 1;
        record.by_level[level as usize] += u64::from(steady);
    }

    pub fn changed(&mut self, service: usize, changes: u64, now: Micros) {
        if self.is_steady(now) {
            self.services[service].changes += changes;
        }
    }

    /// A pod's number of connections has changed.
    pub fn load(&mut self, id: PodId, pods: &[Pod], now: Micros) {
        let pod = &pods[id as usize];
        let load = load(pod);
        let steady = self.is_steady(now);
        let (service, record) = &mut self.pods[id as usize];
        record.peak = record.peak.max(load);
        if steady {
            record.steady = record.steady.max(load);
        }
        // Where more is wanted than all pods accept, nobody can be held to a pod's capacity.
        let over = load > OVER * self.services[*service].even.max(1.0);
        if over && pod.alive && self.fault.is_some_and(|fault| now >= fault) {
            record.over_since.get_or_insert(now);
        } else {
            self.recovered(id, now);
        }
    }

    fn recovered(&mut self, id: PodId, now: Micros) {
        let (service, record) = &mut self.pods[id as usize];
        if let Some(since) = record.over_since.take() {
            let over = &mut self.services[*service].over;
            *over = over.max(seconds(now - since));
        }
    }

    /// What the nodes take for their parts of one service's pods, and what they let in.
    pub fn parts(
        &mut self,
        service: usize,
        parts: &[(PodId, u32, u32)],
        pods: &[Pod],
        now: Micros,
    ) {
        if !self.is_steady(now) {
            return;
        }
        let mut sums: BTreeMap<PodId, (f64, f64)> = BTreeMap::new();
        for (pod, budget, upper) in parts {
            let sum = sums.entry(*pod).or_default();
            sum.0 += f64::from(*budget);
            sum.1 += f64::from(*upper);
        }
        let record = &mut self.services[service];
        for (pod, (budget, upper)) in sums {
            let capacity = f64::from(pods[pod as usize].capacity.get());
            record.handed_out = record.handed_out.max(budget / capacity);
            record.admitted = record.admitted.max(upper / capacity);
        }
    }

    pub fn sample(&mut self, now: Micros, pods: &[Pod], backends: &[Backend]) {
        for (record, backend) in self.services.iter_mut().zip(backends) {
            let listed = backend.listed.iter().map(|id| &pods[*id as usize]);
            let alive: Vec<&Pod> = listed.filter(|pod| pod.alive).collect();
            let mut loads: Vec<f64> = alive.iter().map(|pod| load(pod)).collect();
            loads.sort_unstable_by(f64::total_cmp);
            let sum =
                |of: fn(&Pod) -> u32| -> f64 { alive.iter().map(|pod| f64::from(of(pod))).sum() };
            let active = sum(|pod| pod.active);
            record.even = active / sum(|pod| pod.capacity.get()).max(1.0);
            record.samples.push(Sample {
                at: seconds(now),
                active,
                mean: record.even,
                p99: loads.get(loads.len() * 99 / 100).copied().unwrap_or(0.0),
                most: loads.last().copied().unwrap_or(0.0),
                by_level: std::mem::take(&mut record.fresh),
                refused: record.refused,
                lost: record.lost,
            });
        }
    }

    /// The end: nothing changes any more.
    pub fn finish(&mut self, now: Micros) {
        for id in 0..self.pods.len() {
            self.recovered(PodId::try_from(id).expect("fewer pods"), now);
        }
        for (service, pod) in &self.pods {
            let record = &mut self.services[*service];
            record.peak = record.peak.max(pod.peak);
            record.steady = record.steady.max(pod.steady);
        }
    }
}

fn load(pod: &Pod) -> f64 {
    f64::from(pod.active) / f64::from(pod.capacity.get())
}
