//! Many exchanges against each other, with a network that loses and reorders.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::capacity::{Address, Pod, Report};
use crate::model::mix;

const STEP: Duration = Duration::from_millis(250);

/// Nodes with one service between them, and a network.
struct Fleet {
    start: Instant,
    elapsed: Duration,
    exchanges: Vec<Exchange>,
    demands: Vec<f64>,
    capacities: Vec<u32>,
    down: Vec<bool>,
    /// Datagrams under way, by the step in which they arrive.
    network: BTreeMap<(u32, u32), (usize, Outgoing)>,
    step: u32,
    sent: u32,
    /// One of so many datagrams is lost.
    loses: Option<u64>,
    heard: Vec<Option<News>>,
}

impl Fleet {
    fn new(demands: &[f64], capacities: &[u32]) -> Self {
        let count = demands.len();
        let mut fleet = Self {
            start: Instant::now(),
            elapsed: Duration::ZERO,
            exchanges: (0..count)
                .map(|node| Exchange::new(name(node), Keys::default()))
                .collect(),
            demands: demands.to_vec(),
            capacities: capacities.to_vec(),
            down: vec![false; count],
            network: BTreeMap::new(),
            step: 0,
            sent: 0,
            loses: None,
            heard: vec![None; count],
        };
        fleet.meet(0..count);
        fleet
    }

    /// The API server names these agents.
    fn meet(&mut self, nodes: std::ops::Range<usize>) {
        let nodes: Vec<usize> = nodes.filter(|node| !self.down[*node]).collect();
        for exchange in &mut self.exchanges {
            exchange.peers(peers(nodes.iter().copied()));
        }
    }

    fn now(&self) -> Now {
        moment(self.start, self.elapsed)
    }

    fn run(&mut self, seconds: u32) {
        for _ in 0..seconds * 4 {
            self.step();
        }
    }

    fn step(&mut self) {
        self.elapsed += STEP;
        self.step += 1;
        let now = self.now();
        let later = self.network.split_off(&(self.step, 0));
        for (_, (from, datagram)) in std::mem::replace(&mut self.network, later) {
            let to = (0..self.exchanges.len()).find(|node| address(*node) == datagram.to);
            let Some(to) = to.filter(|to| !self.down[*to]) else {
                continue;
            };
            let taken = self.exchanges[to].on_datagram(address(from), &datagram.bytes, now);
            // Who is down for some and not for others is a stranger for a while.
            assert!(
                matches!(taken, Ok(()) | Err(Rejected::Stranger)),
                "{taken:?}"
            );
        }
        for node in 0..self.exchanges.len() {
            if self.down[node] {
                continue;
            }
            if self.step.is_multiple_of(4) {
                let asked = asked("web", self.demands[node], self.capacities[node]);
                self.exchanges[node].demand(Some(zone(node)), &[asked], now);
            }
            let (outgoing, news) = self.exchanges[node].tick(now);
            for datagram in outgoing {
                self.sent += 1;
                if self
                    .loses
                    .is_none_or(|of| !mix(self.sent.into()).is_multiple_of(of))
                {
                    // Some overtake others.
                    let arrives = self.step + 1 + self.sent * 7 % 3;
                    self.network.insert((arrives, self.sent), (node, datagram));
                }
            }
            for news in news {
                self.heard[node] = Some(news);
            }
        }
    }

    /// How old what a node has heard is; none if nothing that can be trusted.
    fn age(&self, node: usize) -> Option<Duration> {
        let heard = self.heard[node].as_ref()?;
        let age = self.now().instant - heard.at;
        (age < Duration::from_secs(10)).then_some(age)
    }

    fn pods(&self) -> Vec<Pod> {
        let capacities = self.capacities.iter().enumerate();
        capacities
            .filter_map(|(node, capacity)| {
                Some(Pod {
                    ip: ip(&format!("10.0.{}.{}", node / 250, node % 250)),
                    port: port(8080),
                    node: Some(name(node)),
                    zone: Some(zone(node)),
                    capacity: NonZeroU32::new(*capacity)?,
                })
            })
            .collect()
    }

    /// What all nodes together may use of each pod, and how much each node may use in all.
    fn budgets(&self) -> (BTreeMap<Address, f64>, Vec<f64>) {
        let pods = self.pods();
        let mut sums = BTreeMap::new();
        let mut of = Vec::new();
        for (node, heard) in self.heard.iter().enumerate() {
            let own = Report {
                node: name(node),
                zone: Some(zone(node)),
                demand: self.demands[node],
            };
            let budgets = heard.as_ref().map(|news| news.summary.budgets(&own, &pods));
            let budgets = budgets.unwrap_or_default().of;
            of.push(budgets.values().sum());
            for (address, part) in budgets {
                *sums.entry(address).or_insert(0.0) += part;
            }
        }
        (sums, of)
    }

    fn assert_fits(&self, bound: f64) {
        let (sums, _) = self.budgets();
        for pod in self.pods() {
            let capacity = f64::from(pod.capacity.get());
            let sum = sums.get(&pod.address()).copied().unwrap_or(0.0);
            assert!(sum <= bound * capacity + 1e-3, "{sum} of {pod:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everybody_comes_to_budgets_that_fit_and_a_demand_that_fits_is_served(
        of in vec((0.0..100.0_f64, 0..150_u32), 2..25),
    ) {
        let (demands, capacities): (Vec<f64>, Vec<u32>) = of.into_iter().unzip();
        let silent = |node: usize| demands[node] < 0.5 && capacities[node] == 0;
        let mut fleet = Fleet::new(&demands, &capacities);
        fleet.run(25);
        let all: f64 = demands.iter().sum();
        let capacity: f64 = capacities.iter().copied().map(f64::from).sum();
        let (_, of) = fleet.budgets();
        for node in 0..demands.len() {
            prop_assert_eq!(fleet.age(node).is_none(), silent(node), "node {}", node);
            if all < capacity {
                let lost = capacity / 255.0 + 1.0;
                prop_assert!(of[node] >= demands[node] - lost, "{} of {}", of[node], demands[node]);
            }
        }
        fleet.assert_fits(1.1);
    }

    #[test]
    fn a_change_of_demand_is_heard_of_within_three_seconds(
        node in 0..10_usize,
        other in 0..10_usize,
    ) {
        prop_assume!(node != other);
        let mut fleet = Fleet::new(&[20.0; 10], &[30; 10]);
        fleet.run(20);
        fleet.demands[node] = 90.0;
        fleet.run(4);
        let heard = fleet.heard[other].as_ref().map(|news| news.summary.demand);
        prop_assert_eq!(heard, Some(270.0));
        fleet.assert_fits(1.1);
    }
}

#[test]
fn a_keepers_death_leaves_nobody_without_a_summary() {
    for first in [true, false] {
        let mut fleet = Fleet::new(&[20.0; 12], &[30; 12]);
        fleet.run(20);
        let keepers = peers(0..12).keepers(key_hash(&key("web")));
        let dead = &keepers[usize::from(!first)];
        let dead = (0..12).find(|node| name(*node) == *dead).expect("a keeper");
        fleet.down[dead] = true;
        // It takes a while until the API server says so.
        for second in 0..60 {
            fleet.run(1);
            if second == 20 {
                fleet.meet(0..12);
            }
            for node in (0..12).filter(|node| *node != dead) {
                assert!(fleet.age(node).is_some(), "node {node} after {second} s");
            }
        }
        let nodes = fleet.heard[(dead + 1) % 12]
            .as_ref()
            .map(|news| news.summary.nodes);
        assert_eq!(nodes, Some(11));
    }
}

#[test]
fn a_keeper_that_starts_again_does_not_speak_before_it_knows_everybody() {
    let mut fleet = Fleet::new(&[20.0; 12], &[30; 12]);
    fleet.run(20);
    let keeper = peers(0..12).keepers(key_hash(&key("web")))[0].clone();
    let again = (0..12)
        .find(|node| name(*node) == keeper)
        .expect("a keeper");
    fleet.exchanges[again] = Exchange::new(keeper, Keys::default());
    fleet.exchanges[again].peers(peers(0..12));
    for _ in 0..20 {
        fleet.run(1);
        for node in (0..12).filter(|node| *node != again) {
            let nodes = fleet.heard[node].as_ref().map(|news| news.summary.nodes);
            assert_eq!(nodes, Some(12));
            assert!(fleet.age(node).is_some());
        }
    }
}

#[test]
fn when_all_reports_stop_nobody_trusts_old_ones() {
    let mut fleet = Fleet::new(&[20.0; 5], &[30; 5]);
    fleet.run(20);
    fleet.loses = Some(1);
    for _ in 0..30 {
        fleet.run(1);
        fleet.assert_fits(1.1);
    }
    // Not even keepers, which hear themselves.
    assert!((0..5).all(|node| fleet.age(node).is_none()));
}

/// The pods of one node only, so that a summary without it has no room at all.
#[test]
fn when_reports_come_back_nobody_speaks_before_it_knows_everybody() {
    let mut fleet = Fleet::new(&[20.0; 5], &[0, 0, 120, 0, 0]);
    fleet.run(20);
    for cut in 12..18 {
        fleet.loses = Some(1);
        fleet.run(cut);
        fleet.loses = None;
        fleet.heard.fill(None);
        for _ in 0..60 {
            fleet.step();
            for heard in fleet.heard.iter().flatten() {
                assert_eq!(heard.summary.nodes, 5, "after {cut} s");
            }
        }
        assert!((0..5).all(|node| fleet.age(node).is_some()));
    }
}

#[test]
fn an_agent_that_is_alone_has_all_there_is() {
    let mut fleet = Fleet::new(&[20.0], &[30]);
    fleet.run(10);
    assert!(fleet.age(0).is_some());
    let (_, of) = fleet.budgets();
    assert!((of[0] - 30.0).abs() < 1e-6, "{of:?}");
}

#[test]
fn one_loss_in_ten_does_little_harm() {
    let mut fleet = Fleet::new(&[20.0; 12], &[30; 12]);
    fleet.loses = Some(10);
    fleet.run(20);
    let (mut trusted, mut complete) = (0, 0);
    for _ in 0..120 {
        fleet.run(1);
        for node in 0..12 {
            trusted += u32::from(fleet.age(node).is_some());
            let nodes = fleet.heard[node].as_ref().map(|news| news.summary.nodes);
            complete += u32::from(nodes == Some(12));
        }
    }
    assert!(trusted >= 1_420, "{trusted} of 1440");
    assert!(complete >= 1_300, "{complete} of 1440");
}

#[test]
fn a_node_that_died_is_forgotten_after_eleven_seconds() {
    let mut fleet = Fleet::new(&[20.0; 6], &[30; 6]);
    fleet.run(20);
    let keepers = peers(0..6).keepers(key_hash(&key("web")));
    let dead = (0..6)
        .find(|node| !keepers.contains(&name(*node)))
        .expect("one");
    fleet.down[dead] = true;
    fleet.run(18);
    let heard = fleet.heard[(dead + 1) % 6].as_ref();
    assert_eq!(heard.map(|news| news.summary.nodes), Some(5));
}
