//! What is counted of each level, whichever ranks the levels are filled in.

use super::*;

const MILLIS: Duration = Duration::from_millis(1);

/// Two near levels that are filled together, and a farther one.
fn together() -> VirtualServer {
    let mut plan = ladder(Protocol::Tcp, &[2, 1], connections(10));
    let levels = [Level::Node, Level::Zone, Level::Cluster];
    for (real, level) in plan.reals.iter_mut().zip(levels) {
        real.level = level;
    }
    plan
}

/// With so many connections that the farther one gets some.
fn used() -> World {
    let controller = Controller::new(Pace::default());
    let mut world = World::warm(controller, key(Protocol::Tcp), together());
    world.open(30, LONG, 10 * MILLIS);
    world.pass(SECOND);
    world
}

fn counted(world: &World) -> Vec<(Level, usize, u32, u64, u64)> {
    let ranks = world.standing().ranks;
    let levels = ranks.into_iter().flat_map(|rank| rank.levels);
    levels
        .map(|one| {
            let load = one.load;
            (one.level, one.endpoints, load, one.connections, one.spilled)
        })
        .collect()
}

#[test]
fn levels_that_are_filled_together_are_counted_one_by_one() {
    let world = used();
    let of = counted(&world);
    let levels: Vec<Level> = of.iter().map(|(level, ..)| *level).collect();
    assert_eq!(levels, [Level::Node, Level::Zone, Level::Cluster]);
    for (level, endpoints, load, connections, spilled) in &of {
        let past = if *level == Level::Cluster {
            *connections
        } else {
            0
        };
        assert_eq!(
            (*endpoints, u64::from(*load), *spilled),
            (1, *connections, past),
            "{of:?}"
        );
    }
    assert_eq!(of.iter().map(|(_, _, load, ..)| load).sum::<u32>(), 30);
}

#[test]
fn what_is_counted_goes_on_when_a_level_comes_into_another_rank() {
    let mut world = used();
    let before = counted(&world);
    for (real, rank) in world.plan.reals.iter_mut().zip([0, 1, 2]) {
        real.rank = rank;
    }
    let counts = world.counts();
    world.arrange(&counts);
    assert_eq!(world.standing().ranks.len(), 3);
    assert_eq!(counted(&world), before);
}
