use super::kernel::zero;
use super::*;

const MILLIS: Duration = Duration::from_millis(1);

#[test]
fn held_connections_stay_near_up_to_the_budget_and_the_excess_goes_far() {
    let mut world = tcp(&[4, 4], 25);
    world.pass(SECOND);
    world.open(100, LONG, 20 * MILLIS);
    assert_eq!(world.all(1), 0);

    let mut world = tcp(&[4, 4], 25);
    world.pass(SECOND);
    world.open(130, LONG, 20 * MILLIS);
    // The margin is a tenth of the budget, 3 for each of the 4.
    assert!((18..=30).contains(&world.all(1)), "{}", world.all(1));
    assert_eq!(world.refused, 0);
    assert!(world.dests.iter().all(|dest| dest.count.active <= 28));
}

#[test]
fn a_burst_within_one_tick_keeps_to_the_margin() {
    let mut world = tcp(&[4, 4], 25);
    world.pass(SECOND);
    world.open(130, LONG, MILLIS);
    assert_eq!(world.all(0), 4 * 26);
    world.pass(10 * SECOND);
    world.open(40, LONG, 50 * MILLIS);
    assert_eq!(world.all(0), 4 * 26, "what is over its budget gets no more");
}

#[test]
fn short_connections_at_idle_never_go_far() {
    for per_second in [50, 150, 400, 1000] {
        let mut world = tcp(&[4, 4], 25);
        world.pass(SECOND);
        // Before anything is known of it, an endpoint takes its budget and one more in a tick.
        let mut slower = per_second.min(150);
        while slower < per_second {
            world.load(slower, SECOND, SHORT);
            slower *= 2;
        }
        world.load(per_second, 10 * SECOND, SHORT);
        assert_eq!(world.all(1), 0, "at {per_second} per second");
    }
}

#[test]
fn connections_one_after_the_other_divide_evenly() {
    for per_second in [20, 100, 250] {
        let mut world = tcp(&[4, 4], 25);
        world.load(per_second, 20 * SECOND, SHORT);
        let got = world.got(0);
        let (least, most) = (got.iter().min(), got.iter().max());
        let (least, most) = (least.expect("some"), most.expect("some"));
        assert!(most * 2 <= least * 3, "{got:?} at {per_second} per second");
    }
}

#[test]
fn a_nudge_is_far_smaller_than_what_is_between_ranks() {
    let base = 1 << 15;
    let weights: Vec<u32> = (0..4)
        .map(|bucket| super::nudge::weight(base, bucket))
        .collect();
    assert_eq!(weights, [32768, 32256, 31744, 31232]);
}

#[test]
fn nothing_is_nudged_while_concurrency_is_high_or_nothing_is_new() {
    let mut world = tcp(&[4, 4], 25);
    world.open(60, LONG, 20 * MILLIS);
    world.pass(2 * SECOND);
    let edits = world.edits;
    world.pass(60 * SECOND);
    assert_eq!(world.edits, edits, "nothing moved");
}

#[test]
fn flows_count_whether_active_or_not() {
    let plan = ladder(Protocol::Udp, &[4, 2], connections(25));
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Udp), plan);
    let held = world.limits(address(0, 0));
    assert_eq!(
        held,
        Limits {
            upper: 25,
            lower: 25
        }
    );
    world.open(130, LONG, 20 * MILLIS);
    // An idle far endpoint is cheaper than a near one with many flows only by the ratio of weights.
    assert_eq!(world.got(0), [25; 4]);
    assert_eq!(world.got(1), [15; 2]);
    assert_eq!(world.limits(address(0, 0)), held);
}

#[test]
fn the_kernel_has_no_hysteresis_of_its_own() {
    for budget in 1..200 {
        let world = tcp(&[1, 1], budget);
        let limits = world.limits(address(0, 0));
        assert_eq!(limits.lower, limits.upper);
    }
}

#[test]
fn the_head_room_is_three_in_a_hundred_to_the_nearest_connection() {
    for (capacity, ceiling) in [(1, 1), (16, 16), (17, 18), (49, 50), (51, 53), (100, 103)] {
        let plan = ladder(Protocol::Tcp, &[1, 1], connections(capacity));
        let world = World::cold(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
        assert_eq!(world.limits(address(0, 0)).upper, ceiling);
    }
}

#[test]
fn the_last_rank_has_no_threshold() {
    let world = tcp(&[2, 2, 2], 5);
    assert_ne!(world.limits(address(0, 0)), Limits::default());
    assert_ne!(world.limits(address(1, 0)), Limits::default());
    assert_eq!(world.limits(address(2, 0)), Limits::default());
    assert_eq!(tcp(&[3], 5).limits(address(0, 0)), Limits::default());
}

#[test]
fn the_last_rank_has_a_threshold_if_load_is_to_be_shed() {
    let mut plan = ladder(Protocol::Tcp, &[1, 1], connections(10));
    plan.shed = true;
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    world.open(40, LONG, 100 * MILLIS);
    assert!(world.all(0) + world.all(1) <= 22);
    assert!(world.refused >= 18);
    assert!((world.standing().lift - 1.0).abs() < f64::EPSILON);
}

#[test]
fn an_endpoint_of_any_number_has_no_threshold() {
    let mut plan = ladder(Protocol::Tcp, &[2, 1], connections(10));
    plan.reals[0].capacity = Capacity::Unlimited;
    let mut controller = Controller::new(Pace::default());
    controller.arrange(&key(Protocol::Tcp), &mut plan, &[], Instant::now());
    assert_eq!(plan.reals[0].limits, Limits::default());
    assert_ne!(plan.reals[1].limits, Limits::default());
}

#[test]
fn a_virtual_server_without_capacity_is_left_alone() {
    let mut controller = Controller::new(Pace::default());
    let key = key(Protocol::Tcp);
    let mut plan = ladder(Protocol::Tcp, &[2, 1], connections(10));
    controller.arrange(&key, &mut plan, &[], Instant::now());
    assert_eq!(controller.keys().count(), 1);

    let mut plan = ladder(Protocol::Tcp, &[2, 1], Capacity::Unlimited);
    let before = plan.clone();
    controller.arrange(&key, &mut plan, &[], Instant::now());
    assert_eq!(plan, before);
    assert_eq!(controller.keys().count(), 0);
    assert_eq!(controller.delay(&key), None);
    assert_eq!(controller.demand(&key), None);
    assert_eq!(controller.standing(&key), None);
    assert!(controller.tick(&key, &[], Instant::now()).is_empty());
}

#[test]
fn an_endpoint_of_the_last_rank_over_its_budget_is_the_last_resort_while_others_have_room() {
    let mut plan = ladder(Protocol::Tcp, &[1, 2], connections(10));
    for real in plan.reals.iter_mut().filter(|real| real.rank == 1) {
        // Too little to tell budgets apart.
        real.weight = 8;
    }
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    let far = address(1, 0);
    world.dest(far).expect("far").count.active = 10;
    world.tick();
    assert_eq!(world.weight(far), 1);
    world.dest(far).expect("far").count.active = 8;
    world.tick();
    assert_eq!(world.weight(far), 1, "not before 75 %");
    world.dest(far).expect("far").count.active = 7;
    world.tick();
    assert!(world.weight(far) > 1);

    for dest in &mut world.dests {
        dest.count.active = 12;
    }
    world.tick();
    assert!(world.weight(far) > 1, "nobody has room");
    assert_eq!(world.limits(far), Limits::default());
}

#[test]
fn the_last_rank_fills_evenly_by_budgets_however_much_comes_between_two_ticks() {
    let mut world = tcp(&[1, 3], 10);
    let budgets = [
        (address(1, 0), 8.0),
        (address(1, 1), 2.0),
        (address(1, 2), 0.0),
    ];
    let budgets = Budgets {
        of: budgets.into_iter().chain([(address(0, 0), 1.0)]).collect(),
    };
    world
        .controller
        .share(&world.key, &budgets, world.now, world.now);
    world.tick();
    for _ in 0..21 {
        world.connect(LONG);
    }
    assert_eq!(world.got(1), [16, 4, 0]);
    assert_eq!(world.refused, 0);
}

#[test]
fn a_rank_is_saturated_after_a_second_and_recovers_after_ten_however_often_it_is_looked_at() {
    let (serving, saturated, recovering) = (
        (RankState::Serving, false),
        (RankState::Saturated, true),
        (RankState::Recovering, true),
    );
    for ticks in [1, 10] {
        let mut world = tcp(&[1, 1], 20);
        let near = address(0, 0);
        let mut states = Vec::new();
        let loads = [
            (20, 1),
            (20, 1),
            (15, 6),
            (16, 1),
            (15, 5),
            (15, 2),
            (15, 5),
        ];
        for (active, seconds) in loads {
            world.dest(near).expect("near").count.active = active;
            for _ in 0..ticks * seconds {
                world.now += SECOND / ticks;
                world.tick();
            }
            let standing = world.standing();
            states.push((standing.ranks[0].state, standing.spilling));
        }
        assert_eq!(
            states[1..],
            [
                saturated, recovering, saturated, saturated, recovering, serving
            ]
        );
    }
}

#[test]
fn an_endpoint_that_was_full_is_used_again_as_soon_as_it_has_a_twentieth_of_its_budget_free() {
    let mut world = tcp(&[1, 1], 40);
    let near = address(0, 0);
    world.open(60, LONG, 50 * MILLIS);
    assert!(world.dest(near).expect("near").overload);
    let far = world.all(1);

    // Two leave, and are inactive from now on: the kernel sees no difference.
    let dest = world.dest(near).expect("near");
    let over = dest.count.active - 40;
    dest.count.active -= 2 + over;
    dest.count.inactive += 2 + over;
    world.pass(SECOND);
    assert!(!world.dest(near).expect("near").overload);
    world.connect(LONG);
    assert_eq!(world.all(1), far);
}

#[test]
fn a_rank_that_is_small_for_the_demand_is_not_primary_but_serves() {
    let mut world = tcp(&[1, 10], 10);
    world.open(80, LONG, 50 * MILLIS);
    let standing = world.standing();
    assert!(!standing.ranks[0].primary, "{standing:?}");
    assert!(standing.ranks[0].reason.contains("too small"));
    assert!(standing.ranks[0].load >= 10);
    assert!(standing.ranks[1].primary);
}

#[test]
fn when_everything_is_full_everybody_gets_more_by_the_same_factor() {
    let mut world = tcp(&[2, 2], 50);
    // Connections that turn over: 300 at a time.
    world.load(60, 60 * SECOND, 5 * SECOND);
    let near = world.standing().ranks[0].load;
    let far = world.standing().ranks[1].load;
    assert!((115..=180).contains(&near), "{near} and {far}");
    assert!(world.standing().lift > 1.3);
    assert_eq!(world.refused, 0);

    world.load(10, 30 * SECOND, 5 * SECOND);
    world.pass(5 * SECOND);
    assert!((world.standing().lift - 1.0).abs() < f64::EPSILON);
}

#[test]
fn what_does_not_move_is_not_sent() {
    let mut world = tcp(&[4, 4], 25);
    world.pass(SECOND);
    let edits = world.edits;
    world.pass(600 * SECOND);
    assert_eq!(world.edits, edits);
}

#[test]
fn spilled_connections_are_counted() {
    let mut world = tcp(&[1, 1], 10);
    world.open(30, LONG, 100 * MILLIS);
    world.pass(SECOND);
    let standing = world.standing();
    assert_eq!(standing.spilled, world.all(1));
    assert!(standing.spilling);
    assert_eq!(standing.ranks[0].endpoints[0].state, EndpointState::Full);
    assert!((standing.ranks.iter().map(|rank| rank.share).sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn demand_is_what_all_ranks_carry_and_falls_slowly() {
    let mut world = tcp(&[1, 1], 10);
    world.open(30, 2 * SECOND, 10 * MILLIS);
    world.pass(SECOND);
    let demand = world.controller.demand(&world.key).expect("a demand");
    assert!((29.0..=30.0).contains(&demand.connections), "{demand:?}");
    world.pass(4 * SECOND);
    let later = world.controller.demand(&world.key).expect("a demand");
    assert!(later.connections > 10.0 && later.connections < 25.0);
}

#[test]
fn an_endpoint_that_the_kernel_does_not_know_is_left_alone() {
    let mut world = tcp(&[2, 1], 10);
    let counts: Vec<Count> = world.plan.reals[..1].iter().map(zero).collect();
    let adjustments = world.controller.tick(&world.key, &counts, world.now);
    assert!(adjustments.iter().all(|one| one.ip == counts[0].ip));
}

/// Three times what the near rank has room for, coming and going within a minute; every second
/// connection is short.
#[test]
fn a_load_that_rises_and_falls_is_as_near_as_can_be_and_nobody_is_far_over_its_budget() {
    let budget = 50;
    let mut world = tcp(&[4, 12], budget);
    let (mut all, mut too_far, mut worst) = (0_u32, 0_u32, 0_u32);
    for step in 0..240_u32 {
        // Seconds 0 to 30 up, 30 to 60 down, by quarters; 120 a second, half of them for
        // 10 s, are 600 at a time.
        let per_second = step.min(240 - step) + 1;
        let until = world.now + SECOND / 4;
        while world.now < until {
            let near: u32 = (0..4)
                .map(|near| world.count(address(0, near)).active)
                .sum();
            // Connections end all the time; a twentieth is what an endpoint may have free.
            let room = near * 20 < 4 * budget * 19;
            let holds = if all % 2 == 0 {
                10 * SECOND
            } else {
                50 * MILLIS
            };
            let (to, _) = world.connect(holds).expect("never refused");
            all += 1;
            too_far += u32::from(room && to >= address(1, 0).0);
            let most = world.dests.iter().map(|dest| dest.count.active).max();
            worst = worst.max(most.expect("endpoints"));
            world.pass(SECOND / per_second);
        }
    }
    assert!(world.all(1) > 500, "{}", world.all(1));
    assert!(worst <= budget * 6 / 5, "{worst}; {too_far} of {all}");
    assert!(too_far * 20 <= all, "{too_far} of {all}");
}

#[test]
fn an_endpoint_that_the_kernel_passes_over_is_opened_by_a_limit_that_falls_and_rises() {
    let mut world = tcp(&[1, 1], 10);
    world.open(5, LONG, 50 * MILLIS);
    // Between two ticks it was full for a moment, which no count shows.
    let near = world
        .dests
        .iter()
        .position(|dest| dest.count.address() == address(0, 0))
        .expect("the near one");
    world.dests[near].overload = true;
    world.open(4, LONG, 400 * MILLIS);
    assert!((1..=2).contains(&world.all(1)), "{} went far", world.all(1));
    assert!(!world.dests[near].overload);
}

#[test]
fn by_hash_idle_near_endpoints_are_not_taken_for_full_and_edits_are_rare() {
    let mut plan = ladder(Protocol::Tcp, &[2, 1], connections(10));
    plan.scheduler = Scheduler::MaglevHash;
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    world.pass(SECOND);
    // A client whose turn is far.
    let far = address(1, 0);
    for _ in 0..20 {
        let count = &mut world.dest(far).expect("far").count;
        count.active += 1;
        count.connections += 1;
        world.pass(SECOND / 2);
    }
    assert_eq!(world.edits, 0);
    assert_eq!(world.standing().spilled, 0, "nobody was full");

    // Near ones whose connections end all the time, so that their thresholds move.
    for _ in 0..40 {
        for near in [address(0, 0), address(0, 1)] {
            let count = &mut world.dest(near).expect("near").count;
            count.inactive += 10;
            count.connections += 10;
        }
        world.pass(SECOND / 2);
    }
    assert!((1..=2 * 11).contains(&world.edits), "{}", world.edits);
}
