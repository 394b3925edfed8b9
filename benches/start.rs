//! An agent is started with 5,000 services × 10 endpoints in the API server: how long until all of
//! it is programmed, and how much memory it then has: `cargo lab bench start`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use lab::harness::bench::{self, Figures};
use lab::world::{Place, Topology, World, objects};
use spillway::kernel::ipvs::Client;

const SERVICES: usize = 5_000;
const ENDPOINTS: usize = 10;

fn main() -> ExitCode {
    bench::main("start", run)
}

fn run(figures: &mut Figures) -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    world
        .cluster("east")?
        .api()
        .apply_all(objects::bulk(SERVICES, ENDPOINTS))?;
    let begin = Instant::now();
    let agent = world.agent("east-1")?;
    agent.wait_ready()?;
    let elapsed = begin.elapsed();
    let programmed = world
        .node("east-1")?
        .netns()
        .enter(|| -> Result<usize> { Ok(Client::connect()?.services()?.len()) })??;
    ensure!(
        programmed == SERVICES,
        "{programmed} services are programmed"
    );
    figures.record("seconds", elapsed.as_secs_f64(), "s")?;
    figures.record("agent.rss_mib", agent.rss_mib()?, "MiB")
}
