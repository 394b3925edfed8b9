//! Random budgets and random clients against the kernel in memory.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// So many connections at once, each for so long, and then a pause.
#[derive(Clone, Copy, Debug)]
struct Burst {
    count: usize,
    holds: u64,
    gap: u64,
    pause: u64,
}

fn burst() -> impl Strategy<Value = Burst> {
    (1..60_usize, 1..20_000_u64, 1..50_u64, 0..2_000_u64).prop_map(|(count, holds, gap, pause)| {
        Burst {
            count,
            holds,
            gap,
            pause,
        }
    })
}

/// The most that an endpoint with this budget may have: a lowered threshold admits one more.
fn ceiling(budget: u32) -> u32 {
    let ceiling = (f64::from(budget) * endpoint::CEILING).round();
    number::nearest(ceiling) + 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_is_refused_and_nobody_gets_far_over_its_budget_while_others_have_room(
        near in vec(1..200_u32, 1..6),
        far in vec(1..200_u32, 1..4),
        bursts in vec(burst(), 1..30),
    ) {
        let mut plan = ladder(Protocol::Tcp, &[near.len(), far.len()], connections(1));
        let capacities = near.iter().chain(&far);
        for (real, capacity) in plan.reals.iter_mut().zip(capacities) {
            real.capacity = connections(*capacity);
        }
        let all: u32 = near.iter().chain(&far).sum();
        let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
        let mut lifted = false;
        for burst in bursts {
            for _ in 0..burst.count {
                world.connect(Duration::from_millis(burst.holds));
                world.pass(Duration::from_millis(burst.gap));

                let active: u32 = world.dests.iter().map(|dest| dest.count.active).sum();
                // What came while everything was full is there until it ends.
                lifted |= active >= all || world.standing().lift > 1.0;
                for (number, budget) in near.iter().enumerate() {
                    let count = world.count(address(0, number));
                    // Only what comes and ends within one tick is let in beyond the ceiling, judged
                    // by what ended; what came instead stays for up to 20 seconds.
                    let since = world.now.checked_sub(25 * SECOND);
                    let late = world.closed.iter().rev();
                    let churn = late
                        .take_while(|(at, _)| Some(*at) >= since)
                        .filter(|(_, of)| *of == address(0, number))
                        .count();
                    let most = ceiling(*budget) as usize + churn;
                    prop_assert!(
                        lifted || count.active as usize <= most,
                        "{count:?} of {budget}"
                    );
                }
            }
            world.pass(Duration::from_millis(burst.pause));
        }
        prop_assert_eq!(world.refused, 0);
        for number in 0..far.len() {
            prop_assert_eq!(world.limits(address(1, number)), Limits::default());
        }

        // The load falls: everything is near again, though the kernel has forgotten nothing yet.
        world.pass(Duration::from_secs(25));
        let before = world.all(1);
        for _ in 0..20 {
            world.connect(SHORT);
            world.pass(Duration::from_millis(600));
        }
        prop_assert_eq!(world.all(1), before);
        let standing = world.standing();
        prop_assert!(!standing.spilling);
        prop_assert!((standing.lift - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn held_connections_fill_the_near_rank_and_only_then_the_far_one(
        near in vec(1..200_u32, 1..6),
        gap in 1..40_u64,
        more in 0..100_usize,
    ) {
        let mut plan = ladder(Protocol::Tcp, &[near.len(), 2], connections(200));
        for (real, capacity) in plan.reals.iter_mut().zip(&near) {
            real.capacity = connections(*capacity);
        }
        let room = near.iter().sum::<u32>() as usize;
        let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
        world.pass(SECOND);
        world.open(room, LONG, Duration::from_millis(gap));
        prop_assert_eq!(world.all(1), 0);
        world.open(more, LONG, Duration::from_millis(gap));
        for (number, budget) in near.iter().enumerate() {
            let active = world.count(address(0, number)).active;
            prop_assert!(active <= ceiling(*budget));
        }
        prop_assert_eq!(world.refused, 0);
    }
}
