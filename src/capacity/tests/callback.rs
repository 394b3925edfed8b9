//! Given connections that went far, these come back when nearer endpoints have room again.

use super::*;

/// One near endpoint and two far ones, 20 connections each, that call back if they are asked to.
fn world(protocol: Protocol, drain_back: bool) -> World {
    let plan = VirtualServer {
        drain_back,
        ..ladder(protocol, &[1, 2], connections(20))
    };
    World::warm(Controller::new(Pace::default()), key(protocol), plan)
}

fn called(world: &World) -> Vec<Address> {
    let called = world.controller.called_back(world.now);
    called.map(|(_, address)| address).collect()
}

/// 20 connections near that last for this long, and ten far ones that last.
fn spilt(protocol: Protocol, drain_back: bool, near: Duration) -> World {
    let mut world = world(protocol, drain_back);
    world.open(20, near, SHORT);
    world.open(10, LONG, SHORT);
    assert!(world.all(1) >= 8, "{}", world.all(1));
    world
}

#[test]
fn old_connections_come_back_when_the_near_level_has_had_room_for_a_while() {
    let mut world = spilt(Protocol::Tcp, true, 10 * SECOND);
    world.pass(25 * SECOND);
    assert_eq!(called(&world), [], "they are not old yet");
    world.pass(20 * SECOND);
    assert_eq!(called(&world), [address(1, 0), address(1, 1)]);
}

#[test]
fn while_the_near_level_is_full_nobody_comes_back() {
    let mut world = spilt(Protocol::Tcp, true, LONG);
    world.pass(60 * SECOND);
    assert_eq!(called(&world), []);
}

#[test]
fn what_has_come_back_does_not_make_the_near_level_spill_again() {
    let mut world = spilt(Protocol::Tcp, true, 10 * SECOND);
    world.pass(45 * SECOND);
    world.open(16, LONG, SHORT);
    world.pass(SECOND);
    assert_eq!(called(&world), [], "the near level is above 0.75 again");
}

#[test]
fn only_where_somebody_asks_for_it_and_never_of_udp() {
    for (protocol, asked) in [(Protocol::Tcp, false), (Protocol::Udp, true)] {
        let mut world = spilt(protocol, asked, 10 * SECOND);
        world.pass(45 * SECOND);
        assert_eq!(called(&world), [], "{protocol:?}");
    }
}
