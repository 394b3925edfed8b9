//! Endpoints that are new, that come back, or that an agent finds when it starts.

use super::*;

const MILLIS: Duration = Duration::from_millis(1);

#[test]
fn a_new_endpoint_starts_at_a_tenth_and_grows_over_half_a_minute() {
    let mut plan = ladder(Protocol::Tcp, &[1, 1], connections(100));
    let all = plan.reals.clone();
    plan.reals.retain(|real| real.rank == 1);
    let mut world = World::cold(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    assert_eq!(
        world.standing().ranks[0].budget,
        Some(100),
        "what is there at the beginning is not new"
    );
    world.pass(10 * SECOND);
    world.plan.reals = all;
    world.arrange(&[]);
    let mut budgets = Vec::new();
    for _ in 0..4 {
        budgets.push(world.standing().ranks[0].budget.expect("a budget"));
        world.pass(10 * SECOND);
    }
    budgets.push(world.standing().ranks[0].budget.expect("a budget"));
    assert_eq!(budgets, [10, 40, 70, 100, 100]);
    assert!(world.limits(address(0, 0)).upper >= 100);
}

#[test]
fn slices_that_arrive_one_by_one_bring_no_new_endpoints() {
    let mut plan = ladder(Protocol::Tcp, &[1, 1], connections(100));
    let all = plan.reals.clone();
    plan.reals.retain(|real| real.rank == 1);
    let mut world = World::cold(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    world.pass(2 * SECOND);
    world.plan.reals = all;
    world.arrange(&[]);
    assert_eq!(world.standing().ranks[0].budget, Some(100));
}

#[test]
fn the_first_of_thirty_new_endpoints_is_never_over_its_budget() {
    let mut plan = ladder(Protocol::Tcp, &[30, 4], connections(20));
    let all = plan.reals.clone();
    plan.reals.retain(|real| real.rank == 1);
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    world.load(20, 3 * SECOND, LONG);
    for near in all.into_iter().take(30) {
        world.plan.reals.push(near);
        world.arrange(&[]);
        world.load(20, SECOND, LONG);
        let most = world.dests.iter().filter(|dest| dest.limits.upper > 0);
        assert!(most.map(|dest| dest.count.active).max() <= Some(24));
    }
    assert_eq!(world.refused, 0);
}

#[test]
fn what_comes_back_with_its_old_counters_is_not_taken_for_full() {
    let mut world = tcp(&[2, 1], 10);
    world.load(50, 20 * SECOND, SHORT);
    let back = address(0, 0);
    let old = world.count(back);
    assert!(old.inactive > 100);
    let whole = world.plan.clone();
    world.plan.reals.retain(|real| (real.ip, real.port) != back);
    world.arrange(&[]);
    world.pass(5 * SECOND);

    // Most kernels have ended what it had: at first it has the room of any other new one.
    world.plan = whole;
    world.arrange(&[]);
    assert_eq!(world.limits(back).upper, 1);
    // Where that was not so, one look is enough.
    world.dest(back).expect("back").count = old;
    world.tick();
    let upper = world.limits(back).upper;
    assert!(upper > old.total() && upper <= old.total() + 3);
}

#[test]
fn counters_that_go_back_are_no_connections() {
    let mut world = tcp(&[1, 1], 10);
    world.load(20, 10 * SECOND, SHORT);
    let spilled = world.standing().spilled;
    let near = world.dest(address(0, 0)).expect("near");
    near.count.connections = 3;
    near.count.out_packets = 1;
    world.now += SECOND / 2;
    world.tick();
    let standing = world.standing();
    assert_eq!(standing.spilled, spilled);
    assert!(standing.ranks[0].per_second < 20.0);
}

#[test]
fn a_restart_while_spilling_is_no_step() {
    let mut world = tcp(&[3, 3], 20);
    world.load(40, 10 * SECOND, SHORT);
    world.open(90, LONG, 20 * MILLIS);
    world.pass(3 * SECOND);
    let before = world.counts();
    let held: Vec<Limits> = world.dests.iter().map(|dest| dest.limits).collect();
    assert!(world.all(1) > 0);

    world.controller = Controller::new(Pace::default());
    world.arrange(&before);
    for (dest, held) in world.dests.iter().zip(held) {
        let step = dest.limits.upper.abs_diff(held.upper);
        assert!(step <= 2, "{:?} instead of {held:?}", dest.limits);
    }
    let near = world.all(0);
    world.open(40, LONG, 50 * MILLIS);
    assert!(world.all(0) - near <= 6, "the margin, once");
    assert_eq!(world.refused, 0);
}
