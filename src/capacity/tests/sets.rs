//! Given two endpoint sets of one service port, they share what their endpoints accept.

use super::*;
use crate::model::EndpointSet;

/// All endpoints, and the same as the first of them sees them.
fn sets() -> [Key; 2] {
    let all = key(Protocol::Tcp);
    let mut own = all.clone();
    own.id.set = EndpointSet::Own(address(0, 0).0);
    [all, own]
}

fn count(address: Address, active: u32) -> Count {
    Count {
        ip: address.0,
        port: address.1,
        active,
        inactive: 0,
        connections: active.into(),
        in_packets: 0,
        out_packets: 0,
        returned: Held::default(),
        returns: 0,
    }
}

#[test]
fn what_one_set_has_of_an_endpoint_the_other_cannot_have() {
    let [all, own] = sets();
    let mut controller = Controller::new(Pace::default());
    let begin = Instant::now();
    for key in [&all, &own] {
        let mut plan = ladder(Protocol::Tcp, &[1, 1], connections(20));
        controller.arrange(key, &mut plan, &[], begin);
    }
    let near = address(0, 0);
    let mut upper = [0; 2];
    for tick in 1..=8 {
        let now = begin + tick * SECOND;
        for (index, (key, active)) in [(&all, 15), (&own, 2)].into_iter().enumerate() {
            let counts = [count(near, active), count(address(1, 0), 0)];
            let adjustments = controller.tick(key, &counts, now);
            let mine = adjustments.iter().rfind(|one| (one.ip, one.port) == near);
            upper[index] = mine.map_or(upper[index], |one| one.limits.upper);
        }
    }
    let [all, own] = upper;
    assert!((15..=19).contains(&all), "20 less 2, not {all}");
    assert!((3..=7).contains(&own), "20 less 15, not {own}");
}

#[test]
fn endpoints_that_only_their_own_node_may_use_are_not_shared_with_others() {
    let all = key(Protocol::Tcp);
    let mut local = all.clone();
    local.id.set = EndpointSet::Local;
    let upper_of = |keys: &[&Key]| {
        let mut controller = Controller::new(Pace::default());
        controller.peers(NonZeroU32::new(4).expect("four agents"));
        let mut upper = 0;
        for key in keys {
            let mut plan = ladder(Protocol::Tcp, &[1, 1], connections(20));
            controller.arrange(key, &mut plan, &[], Instant::now());
            upper = controller
                .standing(key)
                .and_then(|it| it.ranks.first()?.endpoints.first()?.budget)
                .expect("an endpoint");
        }
        upper
    };
    let (alone, shared) = (upper_of(&[&local]), upper_of(&[&all, &local]));
    assert!(alone > shared * 3, "{alone} and {shared}");
}
