use super::*;
use std::collections::BTreeMap;

fn budgets(parts: &[(Address, f64)]) -> Budgets {
    Budgets {
        of: parts.iter().copied().collect::<BTreeMap<_, _>>(),
    }
}

fn peers(world: &mut World, count: u32) {
    world
        .controller
        .peers(NonZeroU32::new(count).expect("agents"));
}

fn budget(world: &World) -> u32 {
    world.standing().ranks[0].budget.expect("a budget")
}

#[test]
fn without_reports_each_agent_has_an_equal_share() {
    let mut world = tcp(&[1, 1], 100);
    peers(&mut world, 5);
    assert_eq!(budget(&world), 20);
    assert!(!world.standing().reported);
}

#[test]
fn a_reported_budget_is_never_above_the_capacity() {
    let mut world = tcp(&[1, 1], 100);
    let near = address(0, 0);
    world
        .controller
        .share(&world.key, &budgets(&[(near, 40.4)]), world.now, world.now);
    assert_eq!(budget(&world), 40);
    assert!(world.standing().reported);
    for _ in 0..20 {
        world.now += SECOND;
        world
            .controller
            .share(&world.key, &budgets(&[(near, 400.0)]), world.now, world.now);
    }
    assert_eq!(budget(&world), 100);
}

#[test]
fn a_budget_rises_slowly_and_falls_fast_after_the_first_word() {
    let mut world = tcp(&[1, 1], 100);
    let near = address(0, 0);
    for (said, seconds, is) in [(40.0, 0, 40), (80.0, 6, 65), (80.0, 6, 75), (0.0, 2, 10)] {
        world.now += SECOND * seconds;
        world
            .controller
            .share(&world.key, &budgets(&[(near, said)]), world.now, world.now);
        // Parts are rounded up from a fraction on that differs from node to node.
        assert!(
            budget(&world).abs_diff(is) <= 1,
            "{} for {is}",
            budget(&world)
        );
    }
}

#[test]
fn when_reports_stop_the_last_budget_goes_on_within_bounds() {
    let mut world = tcp(&[1, 1], 100);
    peers(&mut world, 10);
    let near = address(0, 0);
    world
        .controller
        .share(&world.key, &budgets(&[(near, 60.0)]), world.now, world.now);
    world.pass(30 * SECOND);
    assert!(!world.standing().reported);
    assert_eq!(budget(&world), 60);
}

#[test]
fn when_reports_stop_a_share_that_is_too_small_grows_though_old_ones_are_told_again() {
    let mut world = tcp(&[1, 1], 100);
    peers(&mut world, 10);
    let (heard, told) = (world.now, budgets(&[(address(0, 0), 12.0)]));
    for _ in 0..30 {
        world.controller.share(&world.key, &told, heard, world.now);
        world.load(60, SECOND, SECOND / 2);
    }
    assert!(!world.standing().reported);
    assert!(budget(&world) > 20, "{}", budget(&world));
}

#[test]
fn an_equal_share_grows_only_while_it_is_too_small() {
    let mut world = tcp(&[1, 1], 100);
    peers(&mut world, 10);
    world.load(5, 10 * SECOND, SHORT);
    assert_eq!(budget(&world), 10, "idle");
    world.load(20, 10 * SECOND, LONG);
    let grown = budget(&world);
    assert!((40..=65).contains(&grown), "5 a second: {grown}");
}

#[test]
fn a_share_is_halved_when_nothing_answers_but_not_below_the_equal_one() {
    let mut world = tcp(&[1, 1], 100);
    peers(&mut world, 10);
    world.load(20, 10 * SECOND, LONG);
    let grown = budget(&world);
    world.answers = false;
    // The near endpoint gets a few connections in each second only while it has room.
    let dest = world.dest(address(0, 0)).expect("near");
    dest.count.active = 0;
    world.load(10, 2 * SECOND, SHORT);
    assert!(budget(&world) < grown);
    world.load(10, 10 * SECOND, SHORT);
    assert_eq!(budget(&world), 10);
}

#[test]
fn a_learned_capacity_starts_at_32_and_grows_at_its_limit() {
    let plan = ladder(Protocol::Tcp, &[1, 1], Capacity::Auto);
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    peers(&mut world, 10);
    assert_eq!(budget(&world), 32, "what a node learns is its own part");
    world.load(10, 3 * SECOND, SHORT);
    assert_eq!(budget(&world), 32);
    world.load(20, 20 * SECOND, LONG);
    assert!(budget(&world) > 50, "{}", budget(&world));
}

#[test]
fn a_learned_capacity_falls_by_a_fifth_each_second_without_answers_down_to_8() {
    let plan = ladder(Protocol::Tcp, &[1, 1], Capacity::Auto);
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    world.answers = false;
    world.load(5, 60 * SECOND, SHORT);
    assert_eq!(budget(&world), 8);
}

#[test]
fn a_learned_capacity_ends_at_4096() {
    let mut learned = learned::Learned::default();
    for _ in 0..1000 {
        learned.learn(recent::Answer::Well, true);
    }
    assert!((learned.get() - 4096.0).abs() < f64::EPSILON);
}

#[test]
fn many_nodes_with_a_small_part_each_do_not_round_up_to_more_than_there_is() {
    // A hundred nodes with two fifths of a connection each.
    let near = address(0, 0);
    let together: u32 = (0..100)
        .map(|node| {
            let plan = ladder(Protocol::Tcp, &[1, 1], connections(50));
            let controller = Controller::new(Pace::default()).on(&format!("node-{node}"));
            let mut world = World::warm(controller, key(Protocol::Tcp), plan);
            let part = budgets(&[(near, 0.4)]);
            world
                .controller
                .share(&world.key, &part, world.now, world.now);
            world.pass(Duration::from_secs(1));
            let budget = budget(&world);
            let last_resort = world.weight(near) == 1;
            assert_eq!(last_resort, budget == 0, "{budget} of near on node {node}");
            budget
        })
        .sum();
    assert!((25..=55).contains(&together), "{together} instead of 40");
}

#[test]
fn an_agent_that_starts_anew_wants_what_it_has_before_its_first_tick() {
    let mut world = tcp(&[1, 1], 100);
    let near = address(0, 0);
    world.open(60, LONG, Duration::ZERO);
    let has = world.counts();
    world.controller = Controller::new(Pace::default());
    world.arrange(&has);
    // Who is said to want nothing gets a budget that makes its own connections look like far too
    // many for all pods together, and every threshold is lifted to hold them.
    let demand = world.controller.demand(&world.key).expect("a capacity");
    assert!(
        (demand.connections - 60.0).abs() < f64::EPSILON,
        "{demand:?}"
    );
    world.controller.share(
        &world.key,
        &budgets(&[(near, demand.connections)]),
        world.now,
        world.now,
    );
    world.tick();
    assert!((world.standing().lift - 1.0).abs() < f64::EPSILON);
}
