//! What `cargo lab demo` shows: two clusters of three nodes and an agent on each node. First where
//! the connections of a client on each node go, before and after near pods are killed; then how a
//! service with a capacity spills from level to level and comes back.

mod shares;
mod shop;
mod stage;
mod story;
mod table;

use std::time::Instant;

use anyhow::Result;

use stage::on_stage;

/// Runs inside of the machine, as root. Fails unless every connection went as planned.
pub fn run() -> Result<()> {
    let clock = Clock(Instant::now());
    on_stage(&clock, |world, mut stages| {
        shares::play(&clock, &mut stages)?;
        story::play(&clock, world)?;
        clock.say("all connections went as planned");
        Ok(())
    })
}

/// Runs something while the lab of the demo is up, and says how to look at it.
pub fn meanwhile<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    let clock = Clock(Instant::now());
    on_stage(&clock, |_, stages| {
        for stage in &stages {
            clock.say(&format!(
                "the service `web` of {} is at {}",
                stage.cluster.spec().name,
                stage.web.v4(80)
            ));
        }
        clock.say(
            "`ip netns` lists nodes and pods; `ip netns exec east-1 ipvsadm -Ln` looks at one",
        );
        run()
    })
}

/// Since when the demo runs.
struct Clock(Instant);

impl Clock {
    fn say(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.0.elapsed().as_secs_f64());
    }
}
