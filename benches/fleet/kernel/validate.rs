//! The model against what was measured on a real kernel: every row of the notes on routing levels
//! that a figure stands in, replayed.

use anyhow::{Result, ensure};
use spillway::plan::Limits;

use super::{Server, Slot, Way};

const SED: Way = Way::ShortestExpectedDelay;
const WLC: Way = Way::WeightedLeastConnection;
const WRR: Way = Way::WeightedRoundRobin;

/// What it says, and what checks it.
type Fact = (&'static str, fn() -> Result<()>);

/// Fails at the first fact that the model does not show.
pub fn validate() -> Result<()> {
    let facts: [Fact; 15] = [
        ("sed fills three levels exactly", three_levels),
        ("sed without thresholds is soft", soft),
        ("sed spills what near has no room for", overflow),
        ("sed gives sequential connections to one", herd),
        ("sed gives all UDP flows to one", sed_and_udp),
        ("a static threshold counts TIME_WAIT", static_threshold),
        ("a threshold that follows does not", moving_threshold),
        ("wlc leaks one per far destination", wlc),
        ("wlc and UDP fill near first", wlc_and_udp),
        ("wrr divides in proportion", wrr),
        ("wrr stalls on wide ratios", wrr_stall),
        ("rr goes around", round_robin),
        ("a lowered threshold admits one more", lowered),
        ("the flag clears by expiry and by edits", flag),
        ("a deleted destination comes back whole", resurrection),
    ];
    for (name, fact) in facts {
        match fact() {
            Ok(()) => println!("ok      {name}"),
            Err(trouble) => {
                println!("WRONG   {name}: {trouble}");
                return Err(trouble);
            }
        }
    }
    Ok(())
}

/// A virtual server whose destinations are added group by group: (how many, weight, threshold).
fn server(way: Way, groups: &[(u32, u32, u32)]) -> Server {
    let mut server = Server::new(way);
    let mut key = 0;
    for (count, weight, upper) in groups {
        for _ in 0..*count {
            server.add(key, *weight, upto(*upper));
            key += 1;
        }
    }
    server
}

fn upto(upper: u32) -> Limits {
    Limits { upper, lower: 0 }
}

/// Opens connections and keeps them open; how many found nobody.
fn hold(server: &mut Server, connections: u32) -> u32 {
    (0..connections)
        .map(|_| u32::from(server.connect().is_none()))
        .sum()
}

/// Connections one after another, each over before the next, within 120 s.
fn one_by_one(server: &mut Server, connections: u32) {
    for _ in 0..connections {
        if let Some(slot) = server.connect() {
            server.finish(slot);
        }
    }
}

/// The connections that each destination ever got, in the order in which they were added.
fn got(server: &Server) -> Vec<u64> {
    let mut dests: Vec<_> = server
        .listed()
        .map(|(_, dest)| (dest.key, dest.connections))
        .collect();
    dests.sort_unstable();
    dests
        .into_iter()
        .map(|(_, connections)| connections)
        .collect()
}

fn three_levels() -> Result<()> {
    let mut server = server(SED, &[(2, 65_535, 50), (2, 200, 50), (1, 1, 0)]);
    for (more, expected) in [
        (100, [50, 50, 0, 0, 0]),
        (50, [50, 50, 25, 25, 0]),
        (50, [50, 50, 50, 50, 0]),
        (60, [50, 50, 50, 50, 60]),
    ] {
        ensure!(hold(&mut server, more) == 0, "refused");
        ensure!(got(&server) == expected, "{:?}", got(&server));
    }
    Ok(())
}

fn soft() -> Result<()> {
    let mut wide = server(SED, &[(1, 50, 0), (1, 1, 0)]);
    hold(&mut wide, 49);
    ensure!(got(&wide) == [49, 0], "{:?}", got(&wide));
    hold(&mut wide, 51);
    ensure!(got(&wide) == [99, 1], "{:?}", got(&wide));
    let mut narrow = server(SED, &[(4, 20, 0), (4, 1, 0)]);
    for (more, near, far) in [(76, 76, 0), (4, 76, 4), (84, 156, 8)] {
        hold(&mut narrow, more);
        let all = got(&narrow);
        let (n, f): (u64, u64) = (all[..4].iter().sum(), all[4..].iter().sum());
        ensure!((n, f) == (near, far), "{all:?}");
    }
    Ok(())
}

fn overflow() -> Result<()> {
    let mut two = server(SED, &[(4, 1 << 30, 25), (4, 1, 0)]);
    hold(&mut two, 130);
    let all = got(&two);
    ensure!(all[..4] == [25; 4], "{all:?}");
    ensure!(all[4..].iter().all(|far| (7..=8).contains(far)), "{all:?}");
    let mut three = server(SED, &[(4, 1 << 30, 10), (4, 1 << 15, 10), (4, 1, 0)]);
    hold(&mut three, 95);
    let all = got(&three);
    ensure!(all[..8] == [10; 8], "{all:?}");
    ensure!(all[8..].iter().sum::<u64>() == 15, "{all:?}");
    // The last level has a threshold, too: nobody is left.
    let mut full = server(SED, &[(2, 2, 5), (2, 1, 5)]);
    ensure!(hold(&mut full, 30) == 10, "{:?}", got(&full));
    Ok(())
}

fn herd() -> Result<()> {
    let mut server = server(SED, &[(4, 1, 0)]);
    one_by_one(&mut server, 2_000);
    // The last added is at the head of the list.
    ensure!(got(&server) == [0, 0, 0, 2_000], "{:?}", got(&server));
    Ok(())
}

fn sed_and_udp() -> Result<()> {
    let mut server = server(SED, &[(4, 1, 0)]);
    for _ in 0..200 {
        server.flow();
    }
    ensure!(got(&server) == [0, 0, 0, 200], "{:?}", got(&server));
    Ok(())
}

fn static_threshold() -> Result<()> {
    let mut server = server(SED, &[(4, 1 << 30, 25), (4, 1, 0)]);
    one_by_one(&mut server, 2_000);
    let all = got(&server);
    ensure!(all[..4].iter().sum::<u64>() == 100, "{all:?}");
    ensure!(all[4..].iter().sum::<u64>() == 1_900, "{all:?}");
    Ok(())
}

/// Section 3.4's control loop in its simplest form: upper = budget + inactive + margin.
fn moving_threshold() -> Result<()> {
    let follow = |server: &mut Server| {
        let near: Vec<(Slot, u32)> = server
            .listed()
            .filter(|(_, dest)| dest.limits.upper != 0)
            .map(|(slot, dest)| (slot, dest.inactive))
            .collect();
        for (slot, inactive) in near {
            server.edit(slot, 1 << 30, upto(25 + inactive));
        }
    };
    let mut short = server(SED, &[(4, 1 << 30, 25), (4, 1, 0)]);
    for _ in 0..100 {
        one_by_one(&mut short, 20);
        follow(&mut short);
    }
    let all = got(&short);
    ensure!(all[4..].iter().sum::<u64>() == 0, "{all:?}");
    let mut held = server(SED, &[(4, 1 << 30, 25), (4, 1, 0)]);
    for _ in 0..30 {
        hold(&mut held, 5);
        follow(&mut held);
    }
    let all = got(&held);
    // An edit that does not raise the threshold leaves the flag alone.
    ensure!(all[4..].iter().sum::<u64>() == 50, "{all:?}");
    Ok(())
}

fn wlc() -> Result<()> {
    let mut few = server(WLC, &[(4, 1 << 30, 0), (4, 1, 0)]);
    hold(&mut few, 100);
    let far: u64 = got(&few)[4..].iter().sum();
    ensure!(far == 4, "{:?}", got(&few));
    let mut many = server(WLC, &[(4, 1 << 30, 0), (100, 1, 0)]);
    one_by_one(&mut many, 400);
    let far: u64 = got(&many)[4..].iter().sum();
    ensure!(far == 100, "{:?}", got(&many));
    Ok(())
}

fn wlc_and_udp() -> Result<()> {
    let mut server = server(WLC, &[(4, 1 << 30, 25), (4, 1, 0)]);
    for _ in 0..200 {
        server.flow();
    }
    let all = got(&server);
    ensure!(all[..4] == [25; 4] && all[4..] == [25; 4], "{all:?}");
    Ok(())
}

fn wrr() -> Result<()> {
    let mut few = server(WRR, &[(4, 100, 0), (4, 1, 0)]);
    hold(&mut few, 100);
    let far: u64 = got(&few)[4..].iter().sum();
    ensure!(far == 4, "{:?}", got(&few));
    // After the change of the divisor each far destination is served first.
    let mut many = server(WRR, &[(4, 100, 0), (100, 1, 0)]);
    hold(&mut many, 400);
    let far: u64 = got(&many)[4..].iter().sum();
    ensure!(far == 100, "{:?}", got(&many));
    let mut shares = server(WRR, &[(1, 3, 0), (1, 2, 0), (1, 1, 0)]);
    hold(&mut shares, 60);
    ensure!(got(&shares) == [30, 20, 10], "{:?}", got(&shares));
    let mut full = server(WRR, &[(2, 3, 4), (2, 1, 4)]);
    ensure!(hold(&mut full, 20) == 4, "{:?}", got(&full));
    Ok(())
}

/// What took the kernel 0.55 ms at a weight of 1,000 and 30 ms at 65,535: a pass for every step of
/// the weight, over every destination.
fn wrr_stall() -> Result<()> {
    for weight in [1_000, 65_535] {
        let mut server = server(WRR, &[(50, weight, 1), (50, 1, 0)]);
        let most = (0..300)
            .map(|_| {
                server.connect();
                server.cursor.looked_at
            })
            .max();
        let expected = u64::from(weight - 1) * 100;
        ensure!(
            most.is_some_and(|most| most.abs_diff(expected) <= 200),
            "{most:?} looked at instead of {expected}"
        );
    }
    Ok(())
}

fn round_robin() -> Result<()> {
    let mut server = server(Way::RoundRobin, &[(4, 7, 0), (1, 0, 0)]);
    hold(&mut server, 40);
    ensure!(got(&server) == [10, 10, 10, 10, 0], "{:?}", got(&server));
    let first = server.listed().nth(1).map(|(slot, _)| slot);
    server.delete(first.expect("a destination"));
    hold(&mut server, 30);
    ensure!(got(&server) == [20, 20, 20, 0], "{:?}", got(&server));
    Ok(())
}

fn lowered() -> Result<()> {
    let mut server = server(SED, &[(1, 1 << 30, 0), (1, 1, 0)]);
    hold(&mut server, 10);
    server.edit(0, 1 << 30, upto(10));
    hold(&mut server, 5);
    ensure!(got(&server) == [11, 4], "{:?}", got(&server));
    Ok(())
}

fn flag() -> Result<()> {
    // At 75 % of the upper threshold where there is no lower one.
    for (limits, left) in [(upto(8), 5), (Limits { upper: 8, lower: 4 }, 3)] {
        let mut server = Server::new(SED);
        let slot = server.add(0, 1, limits);
        hold(&mut server, 8);
        ensure!(server.dest(slot).overloaded, "8 of 8");
        for _ in 0..8 {
            server.finish(slot);
        }
        ensure!(server.dest(slot).overloaded, "an end is no expiry");
        for expired in 1..=8 {
            server.expire(slot);
            let clear = !server.dest(slot).overloaded;
            ensure!(
                clear == (8 - expired <= left),
                "{expired} expired of {limits:?}"
            );
        }
    }
    let mut server = Server::new(SED);
    let slot = server.add(0, 1, upto(8));
    hold(&mut server, 8);
    for (upper, clear) in [(8, false), (7, false), (8, true)] {
        server.edit(slot, 1, upto(upper));
        ensure!(server.dest(slot).overloaded != clear, "an edit to {upper}");
    }
    hold(&mut server, 1);
    ensure!(server.dest(slot).overloaded, "9 of 8");
    server.edit(slot, 1, upto(0));
    ensure!(!server.dest(slot).overloaded, "no threshold, no flag");
    Ok(())
}

fn resurrection() -> Result<()> {
    let mut server = server(SED, &[(4, 1, 20)]);
    hold(&mut server, 80);
    for slot in 0..4 {
        server.finish(slot);
        server.delete(slot);
    }
    ensure!(server.connect().is_none(), "nobody is there");
    for key in 0..4 {
        let slot = server.add(key, 1, upto(20));
        let dest = server.dest(slot);
        ensure!((dest.active, dest.inactive) == (19, 1), "{dest:?}");
        ensure!(dest.overloaded, "{dest:?}");
    }
    let slot = server.listed().next().map(|(slot, _)| slot).expect("one");
    server.delete(slot);
    for _ in 0..19 {
        server.finish(slot);
    }
    for _ in 0..20 {
        server.expire(slot);
    }
    let fresh = server.add(9, 1, upto(20));
    ensure!(
        server.dest(fresh).connections == 0,
        "{:?}",
        server.dest(fresh)
    );
    Ok(())
}
