//! The story as a table over time, printed as it happens.

use std::time::Duration;

use crate::traffic::load::{Recording, Tier, What, new_per_tier};

/// A row's part of the time.
const ROW: Duration = Duration::from_secs(5);

/// What is to be seen at a row's end.
pub(super) struct Act {
    /// When, in seconds.
    pub at: u64,
    /// What it shows.
    pub says: &'static str,
    /// Whether these open and new connections of each tier are as planned.
    pub planned: fn(open: [usize; 3], new: [usize; 3]) -> bool,
}

/// The table, and what in it was not as planned.
pub(super) struct Table<'a> {
    tiers: &'a [Tier; 3],
    acts: &'a [Act],
    rows: u32,
    astray: Vec<String>,
}

impl<'a> Table<'a> {
    /// Prints its head.
    pub fn begin(tiers: &'a [Tier; 3], acts: &'a [Act]) -> Self {
        println!(
            "\n  open connections, and new ones of the last {} s\n",
            ROW.as_secs()
        );
        print!("   time ");
        for tier in tiers {
            print!("  {:14}", tier.name);
        }
        println!("  no answer");
        Self {
            tiers,
            acts,
            rows: 0,
            astray: Vec::new(),
        }
    }

    /// Prints a row if it is time for it.
    pub fn see(&mut self, now: Duration, recording: &Recording) {
        let end = ROW * (self.rows + 1);
        if now < end {
            return;
        }
        let from = ROW * self.rows;
        self.rows += 1;
        let buckets = recording.buckets(now + ROW);
        let open = self.tiers.each_ref().map(|tier| {
            let bucket = buckets.first();
            bucket.map_or(0, |bucket| tier.part(&bucket.open))
        });
        let new = new_per_tier(recording, self.tiers, from..now);
        let new = [new[0], new[1], new[2]];
        let unanswered = unanswered(recording);
        print!("  {:3} s ", end.as_secs());
        for (open, new) in open.iter().zip(new) {
            print!("  {open:4} {:9}", format!("(+{new})"));
        }
        print!("  {unanswered:9}");
        let act = self.acts.iter().find(|act| act.at == end.as_secs());
        println!("  {}", act.map_or("", |act| act.says));
        if unanswered > 0 {
            let failures = recording.failures();
            self.astray
                .push(format!("{} s: {failures:?}", end.as_secs()));
        }
        if let Some(act) = act.filter(|act| !(act.planned)(open, new)) {
            let (at, says) = (act.at, act.says);
            self.astray
                .push(format!("{at} s, {says}: open {open:?}, new {new:?}"));
        }
    }

    /// What was not as planned.
    pub fn end(self) -> Vec<String> {
        println!();
        self.astray
    }
}

/// How many new connections got no answer. Those that a killed pod cut had one.
fn unanswered(recording: &Recording) -> usize {
    let failed = |what: &What| matches!(what, What::Failed(_));
    let events = recording.events.iter();
    events.filter(|event| failed(&event.what)).count()
}
