//! Where pods run, and who wants how much.

use std::num::NonZeroU32;

use super::super::node::Node;
use super::super::scenario::Scenario;
use super::super::world::Pod;
use super::index;

/// Pods on random nodes. Every third accepts half as many connections as the others.
pub fn place_pods(scenario: &Scenario, nodes: &[Node], rng: &mut fastrand::Rng) -> Vec<Pod> {
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
pub fn spread_demand(
    scenario: &Scenario,
    nodes: &mut [Node],
    pods: &[Pod],
    rng: &mut fastrand::Rng,
) {
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
