//! What befalls the pods: replacement, and the death of a zone.

use super::super::engine::micros;
use super::super::world::{Pod, PodId};
use super::{Event, Fleet, index};

/// How long a pod finishes its connections after it left the API, in seconds.
const GRACE: f64 = 10.0;

impl Fleet {
    /// A new pod takes the place of the oldest, on another node of the same zone.
    pub fn replace(&mut self, number: u16) {
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
    pub fn kill(&mut self, pod: PodId, notice: f64) {
        self.pods[pod as usize].alive = false;
        for place in 0..self.connections.len() {
            let connection = self.connections[place];
            if connection.open && connection.pod == pod {
                self.break_off(index(place), notice);
            }
        }
    }

    pub fn zone_dies(&mut self) {
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

    pub fn zone_noticed(&mut self) {
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
