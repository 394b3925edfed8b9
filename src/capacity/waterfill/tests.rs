//! That two steps come to what one does, and what the coarse summary costs.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::number::float;
use super::*;

/// The water-fill in one go, by everybody's demand and every pod: what it means.
fn in_one_go(reports: &[Report], pods: &[Pod], node: &str) -> Budgets {
    let mut table = Table::new(reports, pods);
    let me = table.nodes.iter().position(|one| one.name == node);
    for scope in [Scope::Node, Scope::Zone, Scope::Cluster] {
        table.serve(scope, me);
    }
    table.hand_out(me);
    table
        .pods
        .iter()
        .map(|pod| {
            let part = pod.mine + pod.spare;
            (pod.pod.address(), part.min(capacity(pod.pod)))
        })
        .collect::<BTreeMap<_, _>>()
        .into()
}

fn capacity(pod: &Pod) -> f64 {
    f64::from(pod.capacity.get())
}

/// Where demand is served.
#[derive(Clone, Copy)]
enum Scope {
    Node,
    Zone,
    Cluster,
}

impl Scope {
    /// The place, if it is known; demand meets pods in the same place.
    fn place<'a>(self, node: Option<&'a str>, zone: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Node => node,
            Self::Zone => zone,
            Self::Cluster => Some(""),
        }
    }
}

/// Demand and room at one place.
#[derive(Clone, Copy, Default)]
struct Place {
    demand: f64,
    room: f64,
}

impl Place {
    /// The fraction of the demand that there is room for.
    fn served(self) -> f64 {
        if self.demand > 0.0 {
            (self.room / self.demand).min(1.0)
        } else {
            0.0
        }
    }

    /// The fraction of the room that is used.
    fn used(self) -> f64 {
        if self.room > 0.0 {
            (self.demand / self.room).min(1.0)
        } else {
            0.0
        }
    }
}

struct NodeRow<'a> {
    name: &'a str,
    zone: Option<&'a str>,
    demand: f64,
    /// Demand that is not served yet.
    left: f64,
}

struct PodRow<'a> {
    pod: &'a Pod,
    /// Room that is not used yet.
    left: f64,
    /// What the node in question gets for its demand.
    mine: f64,
    /// What it gets beyond.
    spare: f64,
}

/// All nodes and pods, in an order that does not depend on that of the reports: sums of floating
/// point numbers differ with it, and then the nodes' answers would.
struct Table<'a> {
    nodes: Vec<NodeRow<'a>>,
    pods: Vec<PodRow<'a>>,
}

impl<'a> Table<'a> {
    fn new(reports: &'a [Report], pods: &'a [Pod]) -> Self {
        let mut nodes: Vec<NodeRow<'a>> = reports
            .iter()
            .map(|report| {
                let sane = report.demand.is_finite() && report.demand > 0.0;
                let demand = if sane { report.demand } else { 0.0 };
                NodeRow {
                    name: &report.node,
                    zone: report.zone.as_deref(),
                    demand,
                    left: demand,
                }
            })
            .collect();
        nodes.sort_by(|a, b| {
            let names = (a.name, a.zone).cmp(&(b.name, b.zone));
            names.then(b.demand.total_cmp(&a.demand))
        });
        nodes.dedup_by(|a, b| a.name == b.name);
        let mut pods: Vec<PodRow<'a>> = pods
            .iter()
            .map(|pod| PodRow {
                pod,
                left: capacity(pod),
                mine: 0.0,
                spare: 0.0,
            })
            .collect();
        pods.sort_by_key(|row| (row.pod.address(), row.pod.capacity));
        pods.dedup_by_key(|row| row.pod.address());
        Self { nodes, pods }
    }

    fn serve(&mut self, scope: Scope, me: Option<usize>) {
        let mut places: BTreeMap<&str, Place> = BTreeMap::new();
        for node in &self.nodes {
            if let Some(place) = scope.place(Some(node.name), node.zone) {
                places.entry(place).or_default().demand += node.left;
            }
        }
        let of_pod = |pod: &'a Pod| scope.place(pod.node.as_deref(), pod.zone.as_deref());
        for row in &self.pods {
            if let Some(place) = of_pod(row.pod) {
                places.entry(place).or_default().room += row.left;
            }
        }
        let mine = me.and_then(|me| self.nodes.get(me)).and_then(|node| {
            let place = scope.place(Some(node.name), node.zone)?;
            Some((place, node.left * places.get(place)?.served()))
        });
        for row in &mut self.pods {
            let Some(place) = of_pod(row.pod) else {
                continue;
            };
            let here = places.get(place).copied().unwrap_or_default();
            if let Some((my_place, served)) = mine
                && my_place == place
                && here.room > 0.0
            {
                row.mine += served * row.left / here.room;
            }
            row.left *= 1.0 - here.used();
        }
        for node in &mut self.nodes {
            if let Some(place) = scope.place(Some(node.name), node.zone) {
                let here = places.get(place).copied().unwrap_or_default();
                node.left *= 1.0 - here.served();
            }
        }
    }

    fn hand_out(&mut self, me: Option<usize>) {
        let Some(node) = me.and_then(|me| self.nodes.get(me)) else {
            return;
        };
        let all: f64 = self.nodes.iter().map(|node| node.demand).sum();
        let count = float(self.nodes.len() as u64);
        // One connection more, so that this is a number where nobody wants anything.
        let even = (all + 1.0) / count;
        let share = (node.demand + even) / (all + even * count);
        for row in &mut self.pods {
            let host = row.pod.node.as_deref();
            row.spare = row.left
                * match host {
                    Some(host) if host == node.name => 0.5 + 0.5 * share,
                    Some(_) => 0.5 * share,
                    None => share,
                };
        }
    }
}

fn name(number: usize) -> Arc<str> {
    format!("n{number}").into()
}

fn zone(node: usize) -> Option<Arc<str>> {
    (node % 4 < 3).then(|| format!("z{}", node % 4).into())
}

fn report(node: usize, demand: f64) -> Report {
    Report {
        node: name(node),
        zone: zone(node),
        demand,
    }
}

/// A pod on a node, or on one that is not known.
fn pod(number: usize, node: Option<usize>, capacity: u32) -> Pod {
    let number = u16::try_from(number).expect("few pods");
    let [high, low] = number.to_be_bytes();
    Pod {
        ip: IpAddr::from([10, 1, high, low]),
        port: NonZeroU16::new(8080).expect("a port"),
        node: node.map(name),
        zone: node.and_then(zone),
        capacity: NonZeroU32::new(capacity).expect("a capacity"),
    }
}

/// What each host says of itself.
fn of_hosts(reports: &[Report], pods: &[Pod]) -> Vec<(Report, u32)> {
    let on = |node: &Arc<str>| {
        let there = pods.iter().filter(|pod| pod.node.as_ref() == Some(node));
        there.map(|pod| pod.capacity.get()).sum()
    };
    let reports = reports.iter();
    reports
        .map(|report| (report.clone(), on(&report.node)))
        .collect()
}

const ROOMY: Coarse = Coarse {
    zones: 16,
    listed: 200,
    bits: 10,
};

proptest! {
    #[test]
    fn a_summary_and_then_budgets_come_to_the_water_fill_in_one_go(
        demands in vec(0.0..500.0_f64, 1..12),
        of in vec((proptest::option::of(0..14_usize), 1..200_u32), 1..20),
        node in 0..13_usize,
    ) {
        let reports: Vec<_> = demands.iter().enumerate().map(|(n, d)| report(n, *d)).collect();
        let pods: Vec<_> = of.iter().enumerate().map(|(n, (on, most))| pod(n, *on, *most)).collect();
        let one = in_one_go(&reports, &pods, &name(node)).of;
        let two = water_fill(&reports, &pods, &name(node)).of;
        prop_assert_eq!(one.len(), two.len());
        for (address, part) in one {
            prop_assert!((part - two[&address]).abs() < 1e-6, "{part} {}", two[&address]);
        }
    }

    #[test]
    fn a_small_summary_gives_nothing_twice_and_little_away(
        demands in vec(0.0..500.0_f64, 14),
        of in vec((0..14_usize, 1..200_u32), 1..20),
        bits in 1..11_u32,
        listed in prop_oneof![Just(0_usize), Just(200)],
        zones in prop_oneof![Just(1_usize), Just(16)],
    ) {
        let reports: Vec<_> = demands.iter().enumerate().map(|(n, d)| report(n, *d)).collect();
        let pods: Vec<_> = of.iter().enumerate().map(|(n, (on, most))| pod(n, Some(*on), *most)).collect();
        let small = Summary::of_hosts(&of_hosts(&reports, &pods), Coarse { zones, listed, bits });
        let exact = Summary::of(&reports, &pods);
        let mut sums: BTreeMap<Address, f64> = BTreeMap::new();
        for own in &reports {
            let parts = small.budgets(own, &pods).of;
            for (address, part) in &parts {
                *sums.entry(*address).or_default() += part;
            }
            if listed > 0 && zones > 1 {
                let all: f64 = parts.values().sum();
                let best: f64 = exact.budgets(own, &pods).of.values().sum();
                let capacity: u32 = of.iter().map(|(_, most)| most).sum();
                prop_assert!(all >= best - 0.01 * f64::from(capacity), "{all} of {best}");
            }
        }
        for pod in &pods {
            let sum = sums[&pod.address()];
            prop_assert!(sum <= 1.1 * f64::from(pod.capacity.get()) + 1e-6, "{sum} of {pod:?}");
        }
    }
}

#[test]
fn hosts_that_fall_together_count_as_used_as_the_most_used_of_them() {
    let mut hosts = Hosts::default();
    for (number, used) in [(0, 0.2), (1, 0.7), (2, 0.4)] {
        hosts.note_host(&name(number), used);
    }
    let coarse = hosts.coarse(2, 1);
    assert_eq!(coarse.bits(), 1);
    for number in 0..3 {
        assert!(coarse.used(&name(number)) >= hosts.used(&name(number)));
    }
    let most = coarse.iter().map(|(_, used)| used).fold(0.0, f64::max);
    assert!((most - 0.7).abs() < 0.005, "{most}");
    assert_eq!(hosts.coarse(3, 1).bits(), Hosts::ALL_BITS);
}

#[test]
fn a_pod_whose_node_says_nothing_is_shared_by_those_that_do() {
    let reports = [report(0, 30.0), report(1, 10.0)];
    let silent = [pod(0, Some(2), 20)];
    let small = Summary::of_hosts(&of_hosts(&reports, &silent), ROOMY);
    let parts = [0, 1].map(|node| small.budgets(&reports[node], &silent).of[&silent[0].address()]);
    assert!(parts[0] > 5.0 && parts[1] > 1.0, "{parts:?}");
    assert!(parts[0] + parts[1] <= 20.0, "{parts:?}");
}

#[test]
fn a_summary_differs_when_anything_in_it_moves_by_more_than_it_may() {
    let pods = [pod(0, Some(0), 100), pod(1, Some(2), 100)];
    let of = |demands: [f64; 3]| {
        let numbered = demands.iter().enumerate();
        let reports: Vec<_> = numbered
            .map(|(node, demand)| report(node, *demand))
            .collect();
        Summary::of(&reports, &pods)
    };
    let before = of([50.0, 50.0, 0.0]);
    assert!(!before.differs(&of([51.0, 50.0, 0.0]), 0.05));
    assert!(before.differs(&of([60.0, 50.0, 0.0]), 0.05));
    // The same demand, elsewhere.
    assert!(before.differs(&of([40.0, 60.0, 0.0]), 0.05));
    assert!(before.differs(&of([50.0, 40.0, 10.0]), 0.05));
}

#[test]
fn the_example_of_the_manual_is_right() {
    let named = |node: &str, zone: &str, demand| Report {
        node: node.into(),
        zone: Some(zone.into()),
        demand,
    };
    let reports = [
        named("a", "1", 150.0),
        named("b", "1", 20.0),
        named("c", "2", 40.0),
    ];
    let pods: Vec<Pod> = reports
        .iter()
        .zip([100, 60, 100])
        .enumerate()
        .map(|(number, (report, capacity))| Pod {
            node: Some(report.node.clone()),
            zone: report.zone.clone(),
            ..pod(number, None, capacity)
        })
        .collect();
    let wanted = [[100.0, 40.0, 23.1], [0.0, 20.0, 5.4], [0.0, 0.0, 71.6]];
    for (own, wanted) in reports.iter().zip(wanted) {
        let parts = water_fill(&reports, &pods, &own.node).of;
        for (pod, wanted) in pods.iter().zip(wanted) {
            let part = parts[&pod.address()];
            assert!(
                (part - wanted).abs() < 0.05,
                "{part} for {wanted} in {own:?}"
            );
        }
    }
}
