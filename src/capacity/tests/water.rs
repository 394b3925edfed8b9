use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn name(number: usize) -> Arc<str> {
    format!("n{number}").into()
}

fn zone(node: usize) -> Option<Arc<str>> {
    (node % 4 < 3).then(|| format!("z{}", node % 4).into())
}

fn reports(demands: &[f64]) -> Vec<Report> {
    let numbered = demands.iter().enumerate();
    numbered
        .map(|(node, demand)| Report {
            node: name(node),
            zone: zone(node),
            demand: *demand,
        })
        .collect()
}

/// Pods by (node, capacity).
fn pods(of: &[(usize, u32)]) -> Vec<Pod> {
    let numbered = of.iter().enumerate();
    numbered
        .map(|(number, (node, capacity))| {
            let (ip, port) = address(0, number);
            Pod {
                ip,
                port,
                node: Some(name(*node)),
                zone: zone(*node),
                capacity: NonZeroU32::new(*capacity).expect("a capacity"),
            }
        })
        .collect()
}

fn parts(reports: &[Report], pods: &[Pod], node: usize) -> Vec<f64> {
    let budgets = water_fill(reports, pods, &name(node));
    pods.iter().map(|pod| budgets.of[&pod.address()]).collect()
}

#[test]
fn a_node_serves_its_own_demand_before_that_of_others() {
    let reports = reports(&[100.0, 100.0]);
    let pods = pods(&[(0, 100), (1, 50)]);
    assert_eq!(parts(&reports, &pods, 0), [100.0, 0.0]);
    assert!(parts(&reports, &pods, 1)[0] < 1e-9);
    assert!((parts(&reports, &pods, 1)[1] - 50.0).abs() < 1e-9);
}

#[test]
fn a_zone_serves_its_own_demand_before_that_of_others() {
    // Nodes 0 and 4 are in one zone, node 1 in another.
    let reports = reports(&[60.0, 60.0, 0.0, 0.0, 0.0]);
    let pods = pods(&[(4, 60), (2, 60)]);
    let near = parts(&reports, &pods, 0);
    assert!(near[0] >= 60.0 - 1e-9 && near[1] < 1e-9, "{near:?}");
    let other = parts(&reports, &pods, 1);
    assert!(other[0] < 1e-9 && other[1] >= 60.0 - 1e-9, "{other:?}");
}

#[test]
fn what_is_left_divides_in_proportion_to_demand_and_room() {
    let reports = reports(&[300.0, 100.0, 0.0, 0.0]);
    let pods = pods(&[(2, 100), (3, 100)]);
    let (heavy, light) = (parts(&reports, &pods, 0), parts(&reports, &pods, 1));
    // 400 want 200: half of each demand.
    for part in heavy {
        assert!((part - 75.0).abs() < 1e-6, "{part}");
    }
    for part in light {
        assert!((part - 25.0).abs() < 1e-6, "{part}");
    }
}

#[test]
fn room_that_nobody_wants_is_handed_out_more_of_it_to_the_pods_own_node() {
    let reports = reports(&[0.0, 0.0, 0.0, 0.0]);
    let pods = pods(&[(0, 80)]);
    assert!((parts(&reports, &pods, 0)[0] - 50.0).abs() < 1e-6);
    assert!((parts(&reports, &pods, 3)[0] - 10.0).abs() < 1e-6);
}

#[test]
fn a_demand_that_is_no_number_is_none() {
    let reports = reports(&[f64::NAN, -5.0, f64::INFINITY]);
    let pods = pods(&[(0, 80)]);
    let all: f64 = (0..3).map(|node| parts(&reports, &pods, node)[0]).sum();
    assert!((all - 80.0).abs() < 1e-6);
}

proptest! {
    #[test]
    fn the_parts_of_a_pod_are_at_most_what_it_has(
        demands in vec(0.0..500.0_f64, 1..12),
        of in vec((0..14_usize, 1..200_u32), 1..20),
    ) {
        let (reports, pods) = (reports(&demands), pods(&of));
        let mut sums = vec![0.0; pods.len()];
        for node in 0..demands.len() {
            for (sum, part) in sums.iter_mut().zip(parts(&reports, &pods, node)) {
                prop_assert!(part >= 0.0);
                *sum += part;
            }
        }
        for (sum, pod) in sums.iter().zip(&pods) {
            prop_assert!(*sum <= f64::from(pod.capacity.get()) + 1e-6, "{sum} of {pod:?}");
        }
    }

    #[test]
    fn a_demand_that_fits_is_served_and_on_its_own_node_first(
        demands in vec(0.0..100.0_f64, 1..12),
        of in vec((0..12_usize, 1..200_u32), 1..20),
    ) {
        let (reports, pods) = (reports(&demands), pods(&of));
        let capacity: f64 = of.iter().map(|(_, capacity)| f64::from(*capacity)).sum();
        let fits = demands.iter().sum::<f64>() <= capacity;
        for (node, demand) in demands.iter().enumerate() {
            let parts = parts(&reports, &pods, node);
            let local = |index: &usize| of[*index].0 == node;
            let here: f64 = (0..of.len()).filter(local).map(|index| parts[index]).sum();
            let room: f64 = (0..of.len()).filter(local).map(|index| f64::from(of[index].1)).sum();
            prop_assert!(here >= demand.min(room) - 1e-6);
            if fits {
                prop_assert!(parts.iter().sum::<f64>() >= demand - 1e-6);
            }
        }
    }

    #[test]
    fn the_order_of_the_table_does_not_matter(
        (demands, shuffled) in vec(0.0..500.0_f64, 1..12)
            .prop_flat_map(|demands| {
                let numbered: Vec<_> = demands.iter().copied().enumerate().collect();
                (Just(demands), Just(numbered).prop_shuffle())
            }),
        of in vec((0..14_usize, 1..200_u32), 1..20),
        node in 0..12_usize,
    ) {
        let (straight, pods) = (reports(&demands), pods(&of));
        let mixed: Vec<Report> = shuffled
            .iter()
            .map(|(index, _)| straight[*index].clone())
            .collect();
        let turned: Vec<Pod> = pods.iter().rev().cloned().collect();
        let one: BTreeMap<_, _> = water_fill(&straight, &pods, &name(node)).of;
        let other = water_fill(&mixed, &turned, &name(node)).of;
        prop_assert_eq!(one, other);
    }
}
