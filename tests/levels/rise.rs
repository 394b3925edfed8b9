//! The whole story: load rises to three times as much and falls back, short and long connections
//! mixed, over three levels.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::traffic::load::{
    Recording, Schedule, Tier, first_overload, new_per_tier, picture, total_and_astray,
};
use lab::world::Place;

use crate::bed::{BUDGET, Bed, GLOBAL, Pods, TCP};

/// The load: half a minute up, half a minute down, some seconds before and after. Four short
/// connections a second are what the emulated processor has time for besides.
fn schedule() -> Schedule {
    Schedule::through([
        (0.0, 0.0, 4.0),
        (6.0, 75.0, 4.0),
        (10.0, 75.0, 4.0),
        (35.0, 225.0, 12.0),
        (45.0, 225.0, 12.0),
        (70.0, 75.0, 4.0),
        (76.0, 75.0, 4.0),
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
    judge(&recording, &tiers)?;
    let end = schedule.length();
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
    let (total, astray) = total_and_astray(recording, tiers);
    tracing::info!("{astray} of {total} connections went farther than needed");
    ensure!(
        astray * 20 <= total,
        "{astray} of {total} connections went farther than needed"
    );
    Ok(())
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
