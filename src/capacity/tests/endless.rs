//! Given a level of which some endpoints accept any number of connections.

use super::*;

#[test]
fn beside_an_endpoint_that_accepts_any_number_nobody_gets_more_than_its_budget() {
    let mut plan = ladder(Protocol::Tcp, &[2], connections(10));
    plan.reals[1].capacity = Capacity::Unlimited;
    let mut world = World::warm(Controller::new(Pace::default()), key(Protocol::Tcp), plan);
    world.open(100, LONG, Duration::ZERO);
    assert_eq!(world.got(0), [10, 90]);
    assert_eq!(world.refused, 0);
}
