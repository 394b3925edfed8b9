//! The model against what was measured on a real kernel: every row of the notes on routing levels
//! that a figure stands in, replayed.

use anyhow::{Result, ensure};
use spillway::plan::Limits;

use super::kernel::trace::{Modelled, Trace};
use super::kernel::traces::{facts, upto};
use super::kernel::{Edits, Server, Slot, Way};

const SED: Way = Way::ShortestExpectedDelay;
const WLC: Way = Way::WeightedLeastConnection;
const WRR: Way = Way::WeightedRoundRobin;

/// What it says, and what checks it.
type Fact = (&'static str, fn() -> Result<()>);

/// Fails at the first fact that the model does not show.
pub fn validate() -> Result<()> {
    let edits = [Edits::Raise, Edits::Compare];
    let traces: Vec<(Edits, Trace)> = edits
        .into_iter()
        .flat_map(|edits| facts(edits).into_iter().map(move |trace| (edits, trace)))
        .collect();
    let replayed = traces
        .iter()
        .map(|(edits, trace)| (trace.name.as_str(), replay(trace, *edits)));
    // What a trace cannot say.
    let facts: [Fact; 5] = [
        ("sed gives all UDP flows to one", sed_and_udp),
        ("a threshold that follows does not", moving_threshold),
        ("wlc and UDP fill near first", wlc_and_udp),
        ("wrr stalls on wide ratios", wrr_stall),
        ("the flag clears by expiry and by edits", flag),
    ];
    let others = facts.into_iter().map(|(name, fact)| (name, fact()));
    for (name, outcome) in replayed.chain(others) {
        match outcome {
            Ok(()) => println!("ok      {name}"),
            Err(trouble) => {
                println!("WRONG   {name}: {trouble:#}");
                return Err(trouble);
            }
        }
    }
    Ok(())
}

fn replay(trace: &Trace, edits: Edits) -> Result<()> {
    let mut model = Modelled::new(trace.scheduler, edits)?;
    trace.replay(&mut model).map(|_| ())
}

/// A virtual server whose destinations are added group by group: (how many, weight, threshold).
fn server(way: Way, groups: &[(u32, u32, u32)]) -> Server {
    let mut server = Server::new(way, Edits::Raise);
    let mut key = 0;
    for (count, weight, upper) in groups {
        for _ in 0..*count {
            server.add(key, *weight, upto(*upper));
            key += 1;
        }
    }
    server
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

fn sed_and_udp() -> Result<()> {
    let mut server = server(SED, &[(4, 1, 0)]);
    for _ in 0..200 {
        server.flow();
    }
    ensure!(got(&server) == [0, 0, 0, 200], "{:?}", got(&server));
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

fn wlc_and_udp() -> Result<()> {
    let mut server = server(WLC, &[(4, 1 << 30, 25), (4, 1, 0)]);
    for _ in 0..200 {
        server.flow();
    }
    let all = got(&server);
    ensure!(all[..4] == [25; 4] && all[4..] == [25; 4], "{all:?}");
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
                server.looked_at()
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

fn flag() -> Result<()> {
    // At 75 % of the upper threshold where there is no lower one.
    for (limits, left) in [(upto(8), 5), (Limits { upper: 8, lower: 4 }, 3)] {
        let mut server = Server::new(SED, Edits::Raise);
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
    let mut server = Server::new(SED, Edits::Raise);
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
