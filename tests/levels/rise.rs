//! The whole story: load rises to three times as much and falls back, short and long connections
//! mixed, over three levels.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::traffic::load::{
    Recording, Schedule, Tier, astray, first_overload, new_per_tier, picture,
};
use lab::world::Place;

use crate::bed::{BUDGET, Bed, GLOBAL, Pods, TCP};

/// The load: a minute from the usual to three times as much and back. A dozen short connections a
/// second are what the emulated processor has time for besides.
fn schedule() -> Schedule {
    Schedule::through([
        (0.0, 0.0, 4.0),
        (3.0, 75.0, 4.0),
        (5.0, 75.0, 4.0),
        (30.0, 225.0, 12.0),
        (35.0, 225.0, 12.0),
        (60.0, 75.0, 4.0),
        (64.0, 75.0, 4.0),
    ])
    .short_lasts(Duration::from_millis(200))
}

pub fn load_rises_threefold_and_falls_back() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 4,
        zone: 0,
        cluster: 4,
        remote: 4,
    })?;
    let web = bed.spilling("web", TCP, BUDGET)?.annotation(GLOBAL, "true");
    let east = bed.east()?;
    east.publish_import(&east.import(&web), "west", &bed.remote)?;
    east.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;

    let tiers = [
        Tier::new("near pods", BUDGET, &bed.node),
        Tier::new("cluster", BUDGET, &bed.cluster),
        Tier::new("remote cluster", BUDGET, &bed.remote),
    ];
    let schedule = schedule();
    let recording = bed.client.drive(TCP.to(&web), &schedule, |_, _| {})?;
    draw(&recording, &tiers)?;
    let end = schedule.length();
    tell(&recording, &tiers, end);
    judge(&recording, &tiers)?;
    let peak = new_per_tier(&recording, &tiers, end / 2..end);
    ensure!(
        peak.iter().all(|new| *new > 0),
        "at the peak and after: {peak:?}"
    );
    Ok(())
}

/// The pass marks.
fn judge(recording: &Recording, tiers: &[Tier]) -> Result<()> {
    let failures = recording.failures();
    ensure!(failures.is_empty(), "{failures:?}");
    let overload = first_overload(recording, tiers, 120);
    ensure!(overload.is_none(), "{overload:?}");
    let total = recording.opened();
    let astray = |lasting| astray(recording, tiers, lasting).len();
    let (any, a_second) = (astray(Duration::ZERO), astray(Duration::from_secs(1)));
    let verdict = format!(
        "{any} of {total} connections went farther than needed, \
         {a_second} of them with room nearer for a second and longer"
    );
    tracing::info!("{verdict}");
    ensure!(any * 20 <= total, verdict);
    Ok(())
}

/// Where new connections went, for whoever looks at a failure.
fn tell(recording: &Recording, tiers: &[Tier], length: Duration) {
    let step = Duration::from_secs(4);
    let strays = astray(recording, tiers, Duration::ZERO);
    let mut from = Duration::ZERO;
    while from < length {
        let row = from..from + step;
        let strays = strays.iter().filter(|at| row.contains(at)).count();
        let new = new_per_tier(recording, tiers, row.clone());
        tracing::info!(
            "{:2} s: new {new:?}, farther than needed {strays}",
            from.as_secs()
        );
        from += step;
    }
}

/// The picture is the same as in `docs/levels.md`.
fn draw(recording: &Recording, tiers: &[Tier]) -> Result<()> {
    let svg = picture(
        "Load rises to three times as much and falls back",
        recording,
        tiers,
        Duration::from_millis(500),
    );
    if let Some(folder) = lab::harness::folder() {
        fs::write(folder.join("levels.svg"), svg)?;
    }
    Ok(())
}
