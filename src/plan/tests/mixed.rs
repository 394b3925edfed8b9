//! Given endpoints of which only some are full some time, or only some may be used.

use super::levels::{connections, near_to_far, remote, server, server_on, spill, web, weight};
use super::*;
use crate::model::{Evacuation, Hints, Said, SliceCapacity};

#[test]
fn an_endpoint_that_is_never_full_gets_no_less_than_others_of_its_level() {
    let mut slice = slice(
        "web-1",
        "web",
        vec![
            endpoint("10.1.1.5", "a1", "a"),
            endpoint("10.1.1.6", "a1", "a"),
        ],
    );
    slice.capacity = Said::Valid(SliceCapacity {
        of: vec![(ip("10.1.1.5"), connections(10))],
        ..SliceCapacity::default()
    });
    let mut spilling = web(spill(1));
    spilling.tuning.capacity = Said::Nothing;
    let server = server(&spilling, &[slice]);
    assert!(server.has_capacity());
    assert_eq!(weight(&server, "10.1.1.5"), weight(&server, "10.1.1.6"));
}

#[test]
fn hints_are_passed_over_before_another_cluster_serves_in_place_of_what_is_evacuated() {
    let mut near_to_far = near_to_far();
    for (endpoint, zone) in near_to_far.endpoints.iter_mut().zip(["a", "a", "b"]) {
        endpoint.hints = Some(Box::new(Hints {
            zones: vec![zone.into()],
            ..Hints::default()
        }));
    }
    let mut web = web(spill(25));
    web.global = Said::Valid(true);
    let mut here = here();
    here.tuning.drain = Said::Valid(Evacuation {
        levels: [Level::Node, Level::Zone].into(),
        ..Evacuation::default()
    });
    let slices = [near_to_far, remote("west", "10.2.1.5")];
    let server = server_on(&here, &web, &slices);
    let first = server.reals.iter().find(|real| real.rank == 0);
    assert_eq!(first.map(|real| real.ip), Some(ip("10.1.3.5")));
}
