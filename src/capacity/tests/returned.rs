//! Given clients with session affinity that come back to their endpoints, whatever these have
//! already: others get what is left.

use super::*;

const CAPACITY: u32 = 20;

/// A near endpoint and others, of one capacity.
struct Bed {
    key: Key,
    controller: Controller,
    plan: VirtualServer,
    now: Instant,
    /// How many clients have come back to the near endpoint.
    returns: u64,
}

/// What the kernel holds for the near endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Near {
    upper: u32,
    weight: u32,
}

impl Bed {
    /// A near one and a farther one.
    fn new(protocol: Protocol) -> Self {
        Self::with(protocol, &[1, 1])
    }

    /// So many on each rank.
    fn with(protocol: Protocol, ranks: &[usize]) -> Self {
        let key = key(protocol);
        let mut plan = ladder(protocol, ranks, connections(CAPACITY));
        let mut controller = Controller::new(Pace::default());
        let now = Instant::now();
        controller.arrange(&key, &mut plan, &[], now);
        Self {
            key,
            controller,
            plan,
            now,
            returns: 0,
        }
    }

    /// Some seconds with these connections at the near endpoint: of clients that the kernel chose it
    /// for, and of those that came back to it.
    fn after(&mut self, chosen: Held, returned: Held) -> Near {
        let near = address(0, 0);
        for _ in 0..8 {
            self.now += SECOND;
            let mut counts: Vec<Count> = self.plan.reals.iter().map(kernel::zero).collect();
            for count in counts.iter_mut().filter(|count| count.address() == near) {
                count.active = chosen.active;
                count.inactive = chosen.inactive;
                count.connections = chosen.total().into();
                count.returned = returned;
                count.returns = self.returns;
            }
            for adjustment in self.controller.tick(&self.key, &counts, self.now) {
                for real in &mut self.plan.reals {
                    if (real.ip, real.port) == (adjustment.ip, adjustment.port) {
                        real.weight = adjustment.weight;
                        real.limits = adjustment.limits;
                    }
                }
            }
        }
        let mut reals = self.plan.reals.iter();
        let real = reals.find(|real| (real.ip, real.port) == near);
        let real = real.expect("the near endpoint");
        Near {
            upper: real.limits.upper,
            weight: real.weight,
        }
    }

    fn standing(&self) -> StandingEndpoint {
        let standing = self.controller.standing(&self.key).expect("a standing");
        standing.ranks[0].endpoints[0].clone()
    }
}

fn active(active: u32) -> Held {
    Held {
        active,
        inactive: 0,
    }
}

#[test]
fn what_came_back_is_taken_from_what_others_may_have() {
    let mut bed = Bed::new(Protocol::Tcp);
    let upper = bed.after(active(5), active(10)).upper;
    assert!((10..=11).contains(&upper), "20 less 10, not {upper}");
    // What is over counts at the virtual server only if it came by it.
    let over = Held {
        active: 10,
        inactive: 100,
    };
    let same = bed.after(active(5), over).upper;
    assert!((10..=11).contains(&same), "20 less 10, not {same}");
}

#[test]
fn flows_that_came_back_count_although_they_are_never_active() {
    let flows = |inactive| Held {
        active: 0,
        inactive,
    };
    let mut bed = Bed::new(Protocol::Udp);
    assert_eq!(bed.after(flows(5), flows(12)).upper, 8);
}

#[test]
fn an_endpoint_that_those_who_came_back_fill_is_the_last_that_others_get() {
    let mut bed = Bed::new(Protocol::Tcp);
    let usual = bed.after(active(0), active(0)).weight;
    let full = bed.after(active(2), active(30));
    assert_eq!(
        full,
        Near {
            upper: 1,
            weight: 1
        }
    );
    assert_eq!(bed.standing().state, EndpointState::Full);
    assert_eq!(bed.standing().active, 32);
    let again = bed.after(active(2), active(0));
    assert_eq!(again.weight, usual);
    assert!(again.upper >= CAPACITY, "{again:?}");
}

#[test]
fn others_hear_of_what_came_back() {
    let mut bed = Bed::new(Protocol::Tcp);
    bed.after(active(2), active(30));
    let demand = bed.controller.demand(&bed.key).expect("a demand");
    assert!((demand.connections - 32.0).abs() < 1e-9, "{demand:?}");
}

#[test]
fn where_there_is_no_farther_level_others_get_the_endpoint_that_those_left_room_at() {
    let mut bed = Bed::with(Protocol::Tcp, &[2]);
    let usual = bed.after(active(0), active(0)).weight;
    let half = bed.after(active(0), active(CAPACITY / 2)).weight;
    assert!(half <= usual * 2 / 3, "{half} of {usual}");
    assert_eq!(bed.after(active(0), active(30)).weight, 1);
    assert_eq!(bed.after(active(0), active(0)).weight, usual);
}

#[test]
fn those_who_come_back_are_counted_with_the_new_connections_of_their_level() {
    let mut bed = Bed::new(Protocol::Tcp);
    bed.after(active(0), active(0));
    bed.returns = 40;
    bed.after(active(0), active(0));
    let standing = bed.controller.standing(&bed.key).expect("a standing");
    let near = &standing.ranks[0];
    assert_eq!(near.levels[0].connections, 40);
    assert!(near.share > 0.99, "{}", near.share);
    assert_eq!(standing.spilled, 0);
}
