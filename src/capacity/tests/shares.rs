//! Where weights are shares: nobody gets over its budget while another has room, and nobody is
//! refused.

use super::*;

const MILLIS: Duration = Duration::from_millis(1);

/// Endpoints of one rank with these levels, weights and capacities.
fn shares(scheduler: Scheduler, of: &[(Level, u32, Capacity)]) -> VirtualServer {
    let mut plan = ladder(Protocol::Tcp, &[of.len()], connections(1));
    plan.style = Style::Share;
    plan.scheduler = scheduler;
    for (real, (level, weight, capacity)) in plan.reals.iter_mut().zip(of) {
        real.level = *level;
        real.weight = *weight;
        real.capacity = *capacity;
    }
    plan
}

fn world(plan: VirtualServer) -> World {
    World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan)
}

/// `balance` over one level, of these capacities.
fn balance(capacities: &[u32]) -> World {
    let of: Vec<_> = capacities
        .iter()
        .map(|one| (Level::Cluster, 1, connections(*one)))
        .collect();
    world(shares(Scheduler::WeightedRoundRobin, &of))
}

fn active(world: &World) -> Vec<u32> {
    let reals = world.plan.reals.iter();
    reals
        .map(|real| world.count((real.ip, real.port)).active)
        .collect()
}

#[test]
fn on_a_single_level_the_small_are_passed_over_when_they_are_full() {
    for scheduler in [
        Scheduler::WeightedRoundRobin,
        Scheduler::RoundRobin,
        Scheduler::LeastConnection,
    ] {
        let of = [5, 10, 100].map(|one| (Level::Cluster, 1, connections(one)));
        let mut world = world(shares(scheduler, &of));
        world.open(9, LONG, Duration::ZERO);
        assert_eq!(active(&world), [3, 3, 3], "{scheduler}: evenly until then");
        // All of it between two ticks.
        world.open(91, LONG, Duration::ZERO);
        assert_eq!(active(&world), [5, 10, 85], "{scheduler}");
        assert_eq!(world.refused, 0);
    }
}

#[test]
fn a_preferred_level_that_is_full_leaves_the_rest_to_farther_ones_and_those_to_each_other() {
    let of = [
        (Level::Node, 100, connections(20)),
        (Level::Cluster, 10, connections(10)),
        (Level::Cluster, 10, connections(50)),
    ];
    let mut world = world(shares(Scheduler::WeightedRoundRobin, &of));
    world.open(70, LONG, 10 * MILLIS);
    assert_eq!(active(&world)[..2], [21, 10], "budget and head-room");
}

#[test]
fn a_far_level_that_is_full_is_passed_over_while_a_nearer_one_has_room() {
    let of = [
        (Level::Node, 10, connections(100)),
        (Level::Cluster, 10, connections(10)),
    ];
    let mut world = world(shares(Scheduler::WeightedRoundRobin, &of));
    world.open(80, LONG, Duration::ZERO);
    assert_eq!(active(&world), [70, 10]);
}

#[test]
fn when_everybody_is_full_everybody_gets_too_much_in_proportion_and_nobody_is_refused() {
    let mut world = balance(&[10, 20, 30]);
    world.open(120, LONG, 50 * MILLIS);
    assert_eq!(world.refused, 0);
    for (has, capacity) in active(&world).into_iter().zip([10, 20, 30]) {
        let times = f64::from(has) / f64::from(capacity);
        assert!((1.4..=2.8).contains(&times), "{has} of {capacity}");
    }
    // More than the thresholds were made for, before anybody looks.
    world.open(500, LONG, Duration::ZERO);
    assert_eq!(world.refused, 0);
}

#[test]
fn when_everybody_is_full_what_comes_between_two_ticks_goes_to_a_large_one() {
    let mut world = balance(&[5, 10, 100]);
    for _ in 0..8 {
        // More in a tick than a small one has in all.
        world.open(20, LONG, Duration::ZERO);
        world.pass(SECOND / 10);
    }
    let has = active(&world);
    assert!(has[0] <= 10 && has[1] <= 20, "{has:?}");
    assert_eq!(world.refused, 0);
}

#[test]
fn somebody_without_capacity_is_who_takes_the_rest() {
    let of = [
        (Level::Cluster, 1, Capacity::Unlimited),
        (Level::Cluster, 1, connections(10)),
    ];
    let mut world = world(shares(Scheduler::WeightedRoundRobin, &of));
    world.open(100, LONG, Duration::ZERO);
    assert_eq!(active(&world), [90, 10]);
}

#[test]
fn a_newcomer_of_a_single_level_starts_slow() {
    let mut world = balance(&[100, 100, 100]);
    world.pass(10 * SECOND);
    let zero: Vec<Count> = world.counts();
    world.plan.reals.push(RealServer {
        weight: 1,
        level: Level::Cluster,
        ..real(0, 3, connections(100))
    });
    world.arrange(&zero);
    world.open(100, LONG, Duration::ZERO);
    assert_eq!(active(&world)[3], 10);
    world.pass(40 * SECOND);
    world.open(100, LONG, 10 * MILLIS);
    assert!(active(&world)[3] > 30);
}

#[test]
fn who_sheds_load_has_thresholds_everywhere() {
    let of = [5, 10].map(|one| (Level::Cluster, 1, connections(one)));
    let mut plan = shares(Scheduler::WeightedRoundRobin, &of);
    plan.shed = true;
    let mut world = world(plan);
    world.open(40, LONG, 50 * MILLIS);
    assert_eq!(active(&world), [5, 10]);
}

#[test]
fn a_hash_that_refuses_at_a_threshold_gets_none() {
    let of = [5, 10].map(|one| (Level::Cluster, 1, connections(one)));
    let world = world(shares(Scheduler::DestinationHash, &of));
    for real in &world.plan.reals {
        assert_eq!(world.limits((real.ip, real.port)), Limits::default());
    }
}

#[test]
fn equal_loads_that_wander_cost_few_edits() {
    let mut world = balance(&[25; 8]);
    world.load(20, 60 * SECOND, 5 * SECOND);
    let edits = world.edits;
    world.load(20, 60 * SECOND, 5 * SECOND);
    assert!(world.edits - edits <= 60, "{} edits", world.edits - edits);
}
