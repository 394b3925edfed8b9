//! A service with a capacity under a load that grows: near pods until they are full, the excess to
//! the rest of the cluster, then to the other cluster; the near pods are killed, others start in
//! their place, and all comes back.

use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Result, ensure};

use super::Clock;
use super::shop::{CAPACITY, Shop};
use super::table::{Act, Table};
use crate::traffic::load::{Recording, Schedule, picture};
use crate::world::{Place, World};

/// Full, a level has at least so many, and at most a fifth more.
const FULL: usize = 2 * CAPACITY;

/// What the load is: at so many seconds, connections held and short ones per second.
const LOAD: [(f64, f64, f64); 12] = [
    (0.0, 0.0, 3.0),
    (2.0, 14.0, 3.0),
    (5.5, 14.0, 3.0),
    (8.0, 34.0, 3.0),
    (15.5, 34.0, 3.0),
    (18.0, 54.0, 3.0),
    (40.5, 54.0, 3.0),
    // Long connections stay where they are: these clients leave, and others come in the end.
    (45.0, 0.0, 3.0),
    (65.0, 0.0, 3.0),
    (68.0, 12.0, 3.0),
    (75.0, 12.0, 3.0),
    (75.5, 12.0, 0.0),
];

/// What is to be seen, and when.
const ACTS: [Act; 5] = [
    Act {
        at: 5,
        says: "the near pods have room",
        planned: |[near, cluster, elsewhere], _| near > 0 && cluster + elsewhere == 0,
    },
    Act {
        at: 15,
        says: "the near pods are full: the excess stays in the cluster",
        planned: |[near, cluster, elsewhere], _| is_full(near) && cluster > 0 && elsewhere == 0,
    },
    Act {
        at: 25,
        says: "the cluster is full: the excess goes elsewhere",
        planned: |[near, cluster, elsewhere], _| is_full(near) && is_full(cluster) && elsewhere > 0,
    },
    Act {
        at: 40,
        says: "the near pods were killed: the others take it all",
        planned: |[near, cluster, elsewhere], _| near == 0 && cluster >= FULL && elsewhere > 0,
    },
    Act {
        at: 75,
        says: "others have started in their place: all is back",
        planned: |[near, ..], [_, cluster, elsewhere]| near > 0 && cluster + elsewhere == 0,
    },
];

fn is_full(open: usize) -> bool {
    (FULL..=FULL * 6 / 5).contains(&open)
}

/// Plays it in the first cluster, with pods of the second as the last level.
pub(super) fn play(clock: &Clock, world: &World) -> Result<()> {
    let shop = Shop::open(world)?;
    let tiers = shop.tiers();
    clock.say(&format!(
        "the service `shop` has two pods at each level, {CAPACITY} connections each; load comes"
    ));
    let schedule = Schedule::through(LOAD).short_lasts(Duration::from_millis(100));
    let (client, to) = (world.node("east-1")?, shop.service.v4(80));
    let (tell, told) = mpsc::channel();
    let mut table = Table::begin(&tiers, &ACTS);
    let recording = thread::scope(|scope| -> Result<Recording> {
        let load = scope.spawn(|| {
            let tell = tell;
            client.drive(to, &schedule, |now, recording| {
                table.see(now, recording);
                // Nobody listens any more if something went wrong there.
                let _ = tell.send(now);
            })
        });
        let played = shop.play(&told);
        let joined = load.join();
        played?;
        Ok(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
    })?;
    let astray = table.end();
    if let Some(folder) = crate::harness::folder() {
        let title = "Near first, then the cluster, then elsewhere, and back";
        let svg = picture(title, &recording, &tiers, Duration::from_millis(500));
        let file = folder.join("demo.svg");
        fs::write(&file, svg)?;
        println!("  the same as a picture: {}\n", file.display());
    }
    ensure!(
        astray.is_empty(),
        "not as planned:\n  {}",
        astray.join("\n  ")
    );
    Ok(())
}
