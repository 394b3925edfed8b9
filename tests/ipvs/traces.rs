//! The measured facts that are traces: rows of the notes on routing levels that a figure stands in.

use spillway::model::Scheduler;
use spillway::plan::Limits;

use super::Edits;
use super::trace::Step::{
    self, Add, Brief, Close, Delete, Edit, Forget, Got, Open, Refused, Reset,
};
use super::trace::Trace;

const SED: Scheduler = Scheduler::ShortestExpectedDelay;
const WLC: Scheduler = Scheduler::WeightedLeastConnection;
const WRR: Scheduler = Scheduler::WeightedRoundRobin;
const RR: Scheduler = Scheduler::RoundRobin;

/// The weight of a near level above one of weight 1.
const NEAR: u32 = 1 << 30;

/// All of them, as they are with kernels that treat edits so.
pub fn facts(edits: Edits) -> Vec<Trace> {
    let mut all = expected_delay();
    all.extend(thresholds());
    all.push(lowered(edits));
    all.push(edited(edits));
    all.extend(least_connection());
    all.extend(round_robin());
    all
}

fn trace(name: &str, scheduler: Scheduler, steps: Vec<Step>) -> Trace {
    Trace {
        name: name.to_owned(),
        scheduler,
        steps,
    }
}

/// An upper threshold and no lower one.
pub fn upto(upper: u32) -> Limits {
    Limits { upper, lower: 0 }
}

/// Destinations are added group by group: (how many, weight, threshold). Then something happens.
fn on(groups: &[(usize, u32, u32)], then: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let dests = groups
        .iter()
        .flat_map(|(count, weight, upper)| std::iter::repeat_n((*weight, *upper), *count));
    let adds = (0..)
        .zip(dests)
        .map(|(key, (weight, upper))| Add(key, weight, upto(upper)));
    adds.chain(then).collect()
}

fn expected_delay() -> Vec<Trace> {
    let three = [(2, 65_535, 50), (2, 200, 50), (1, 1, 0)];
    let filled = [
        Open(100),
        Got(0..2, 100),
        Open(50),
        Got(2..4, 50),
        Open(50),
        Got(2..4, 100),
        Open(60),
        Got(0..2, 100),
        Got(4..5, 60),
    ];
    let wide = [
        Open(49),
        Got(0..1, 49),
        Open(51),
        Got(0..1, 99),
        Got(1..2, 1),
    ];
    let narrow = [
        Open(76),
        Got(0..4, 76),
        Open(4),
        Got(4..8, 4),
        Open(84),
        Got(0..4, 156),
        Got(4..8, 8),
    ];
    let ladder = [(4, NEAR, 10), (4, 1 << 15, 10), (4, 1, 0)];
    let spilled = [Open(95), Got(0..4, 40), Got(4..8, 40), Got(8..12, 15)];
    vec![
        trace("sed fills three levels exactly", SED, on(&three, filled)),
        trace(
            "sed without thresholds is soft",
            SED,
            on(&[(1, 50, 0), (1, 1, 0)], wide),
        ),
        trace(
            "sed without thresholds is soft at four",
            SED,
            on(&[(4, 20, 0), (4, 1, 0)], narrow),
        ),
        trace(
            "sed spills what near has no room for",
            SED,
            on(
                &[(4, NEAR, 25), (4, 1, 0)],
                [Open(130), Got(0..4, 100), Got(4..8, 30)],
            ),
        ),
        trace("sed spills over two levels", SED, on(&ladder, spilled)),
        trace(
            "sed refuses who has no room anywhere",
            SED,
            on(
                &[(2, 2, 5), (2, 1, 5)],
                [Open(30), Got(0..4, 20), Refused(10)],
            ),
        ),
        trace(
            "sed gives sequential connections to the last added",
            SED,
            on(&[(4, 1, 0)], [Brief(200), Got(3..4, 200)]),
        ),
    ]
}

fn thresholds() -> Vec<Trace> {
    // Cleared below three quarters of the upper threshold where there is no lower one.
    let not_yet = [Open(8), Reset(2), Forget, Open(1), Got(1..2, 1)];
    let cleared = [
        Open(8),
        Reset(3),
        Forget,
        Open(3),
        Got(0..1, 11),
        Open(1),
        Got(1..2, 1),
    ];
    let lower = Limits { upper: 8, lower: 4 };
    let with_lower = |leave, near, far| {
        vec![
            Add(0, NEAR, lower),
            Add(1, 1, upto(0)),
            Open(8),
            Reset(leave),
            Forget,
            Open(1),
            Got(0..1, near),
            Got(1..2, far),
        ]
    };
    let back = (0..4).map(|key| Add(key, 1, upto(20)));
    let resurrected: Vec<Step> = [Open(80), Got(0..4, 80), Close(4)]
        .into_iter()
        .chain((0..4).map(Delete))
        .chain([Open(1), Refused(1)])
        .chain(back)
        .chain([Open(1), Refused(2)])
        .collect();
    // What all connections have left is another one when it comes back.
    let fresh = [
        Open(5),
        Got(0..1, 5),
        Reset(5),
        Delete(0),
        Forget,
        Add(0, NEAR, upto(5)),
        Open(6),
        Got(0..1, 10),
    ];
    vec![
        trace(
            "a static threshold counts TIME_WAIT",
            SED,
            on(
                &[(4, NEAR, 25), (4, 1, 0)],
                [Brief(300), Got(0..4, 100), Got(4..8, 200)],
            ),
        ),
        trace(
            "six of eight do not clear the flag",
            SED,
            on(&pair(8), not_yet),
        ),
        trace("five of eight clear the flag", SED, on(&pair(8), cleared)),
        trace(
            "a lower threshold is not below itself",
            SED,
            with_lower(4, 8, 1),
        ),
        trace(
            "below the lower threshold the flag is cleared",
            SED,
            with_lower(5, 9, 0),
        ),
        trace(
            "a deleted destination comes back whole",
            SED,
            on(&[(4, 1, 20)], resurrected),
        ),
        trace(
            "a forgotten destination comes back empty",
            SED,
            on(&pair(5), fresh),
        ),
    ]
}

/// A near destination below a threshold, above a far one.
fn pair(upper: u32) -> [(usize, u32, u32); 2] {
    [(1, NEAR, upper), (1, 1, 0)]
}

fn near(upper: u32) -> Step {
    Edit(0, NEAR, upto(upper))
}

fn lowered(edits: Edits) -> Trace {
    let (name, more) = match edits {
        Edits::Raise => ("a lowered threshold admits one more", 1),
        Edits::Compare => ("a lowered threshold holds at once", 0),
    };
    let then = [
        Open(10),
        near(10),
        Open(5),
        Got(0..1, 10 + more),
        Got(1..2, 5 - more),
    ];
    trace(name, SED, on(&pair(0), then))
}

/// Who ends is still counted: there are eight of eight, and then nine, all the time.
fn edited(edits: Edits) -> Trace {
    let (name, raised) = match edits {
        Edits::Raise => ("a raise clears the flag of one that is still over", 1),
        Edits::Compare => ("a raise to what is there clears no flag", 0),
    };
    let then = [
        Open(9),
        Got(1..2, 1),
        Close(8),
        near(8),
        Open(1),
        Got(1..2, 2),
        near(7),
        Open(1),
        Got(1..2, 3),
        near(8),
        Open(2),
        Got(0..1, 8 + raised),
        near(0),
        Open(5),
        Got(0..1, 13 + raised),
    ];
    trace(name, SED, on(&pair(8), then))
}

fn least_connection() -> Vec<Trace> {
    vec![
        trace(
            "wlc leaks one per far destination that holds",
            WLC,
            on(
                &[(4, NEAR, 0), (4, 1, 0)],
                [Open(100), Got(0..4, 96), Got(4..8, 4)],
            ),
        ),
        trace(
            "wlc leaks one per far destination that is done",
            WLC,
            on(
                &[(4, NEAR, 0), (100, 1, 0)],
                [Brief(400), Got(0..4, 300), Got(4..104, 100)],
            ),
        ),
    ]
}

fn round_robin() -> Vec<Trace> {
    let shares = [Open(60), Got(0..1, 30), Got(1..2, 20), Got(2..3, 10)];
    let around = [
        Open(40),
        Got(0..4, 40),
        Got(4..5, 0),
        Delete(3),
        Open(30),
        Got(0..3, 60),
    ];
    vec![
        trace(
            "wrr gives each far destination one first",
            WRR,
            on(
                &[(4, 100, 0), (4, 1, 0)],
                [Open(100), Got(0..4, 96), Got(4..8, 4)],
            ),
        ),
        trace(
            "wrr gives each of many far destinations one first",
            WRR,
            on(
                &[(4, 100, 0), (100, 1, 0)],
                [Brief(400), Got(0..4, 300), Got(4..104, 100)],
            ),
        ),
        trace(
            "wrr divides in proportion",
            WRR,
            on(&[(1, 3, 0), (1, 2, 0), (1, 1, 0)], shares),
        ),
        trace(
            "wrr refuses who has no room anywhere",
            WRR,
            on(
                &[(2, 3, 4), (2, 1, 4)],
                [Open(20), Got(0..4, 16), Refused(4)],
            ),
        ),
        trace("rr goes around", RR, on(&[(4, 7, 0), (1, 0, 0)], around)),
    ]
}
