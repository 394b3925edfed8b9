//! The fleet simulator: the real plan and the real control loop of many nodes, above a model of
//! their kernels. `cargo bench --bench fleet -- SCENARIO`; see `docs/fleet.md`.

mod engine;
mod exchange;
mod fleet;
#[path = "../../tests/ipvs/mod.rs"]
mod kernel;
mod measure;
mod node;
mod picture;
mod report;
mod scenario;
mod validate;
mod world;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use fleet::Fleet;
use kernel::Edits;
use scenario::{Name, Scenario};

/// Simulates a fleet of nodes and checks what comes out.
#[derive(Parser)]
struct Options {
    /// What is simulated.
    #[arg(value_enum, default_value = "t10")]
    scenario: Name,
    /// Only checks the model of the kernel against what was measured.
    #[arg(long)]
    validate: bool,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the time series and the picture go.
    #[arg(long, default_value = "target/fleet")]
    out: PathBuf,
    #[command(flatten)]
    other: Other,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is to be other than in the scenario.
#[derive(clap::Args)]
struct Other {
    #[arg(long)]
    nodes: Option<usize>,
    #[arg(long)]
    zones: Option<usize>,
    #[arg(long)]
    clusters: Option<usize>,
    #[arg(long)]
    services: Option<usize>,
    /// Of each service.
    #[arg(long)]
    pods: Option<usize>,
    /// Connections at a time that a pod accepts.
    #[arg(long)]
    capacity: Option<u32>,
    /// The part of nodes that are clients of a service.
    #[arg(long)]
    clients: Option<f64>,
    /// Demand, as a part of all capacity.
    #[arg(long)]
    load: Option<f64>,
    /// Skew of the demand; 0: every node wants the same.
    #[arg(long)]
    zipf: Option<f64>,
    /// Model time from which on all must be steady, in seconds.
    #[arg(long)]
    warm: Option<f64>,
    /// Model time, in seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// The part of demand reports that get lost.
    #[arg(long)]
    loss: Option<f64>,
    /// Seconds between two reports of a node.
    #[arg(long)]
    report_every: Option<f64>,
    /// Seconds between two replaced pods of a service.
    #[arg(long)]
    deploy_every: Option<f64>,
    /// Agents that restart, per minute.
    #[arg(long)]
    restarts: Option<f64>,
    /// When a zone dies, in seconds.
    #[arg(long)]
    dead_zone_at: Option<f64>,
    /// Seconds between two ticks of the control loop.
    #[arg(long)]
    tick: Option<f64>,
    /// What kernels do with the overload flag when thresholds are edited.
    #[arg(long, value_enum)]
    edits: Option<Edits>,
}

impl Other {
    fn apply(self, scenario: &mut Scenario) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut scenario.nodes, self.nodes);
        set(&mut scenario.zones, self.zones);
        set(&mut scenario.clusters, self.clusters);
        set(&mut scenario.services, self.services);
        set(&mut scenario.pods, self.pods);
        set(&mut scenario.capacity, self.capacity);
        set(&mut scenario.clients_of_each, self.clients);
        set(&mut scenario.load, self.load);
        set(&mut scenario.zipf, self.zipf);
        set(&mut scenario.warm, self.warm);
        set(&mut scenario.end, self.seconds);
        set(&mut scenario.loss, self.loss);
        set(&mut scenario.report_every, self.report_every);
        set(&mut scenario.deploy_every, self.deploy_every);
        set(&mut scenario.restarts, self.restarts);
        set(&mut scenario.dead_zone_at, self.dead_zone_at);
        set(&mut scenario.tick, self.tick);
        set(&mut scenario.edits, self.edits);
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if options.validate {
        validate::validate()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut scenario = Scenario::of(options.scenario);
    options.other.apply(&mut scenario);
    let name = options
        .scenario
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();

    let begin = Instant::now();
    let mut fleet = Fleet::new(scenario.clone(), options.seed);
    fleet.run()?;
    println!(
        "{name}: {} nodes, {} services, {} s of model time; {} events in {:.1} s\n",
        scenario.nodes,
        scenario.services,
        scenario.end,
        fleet.events,
        begin.elapsed().as_secs_f64()
    );
    print!("{}", report::table(&fleet.measure, &scenario));

    fs::create_dir_all(&options.out).context("make the folder for the results")?;
    let file = |kind: &str| options.out.join(format!("{name}.{kind}"));
    fs::write(file("csv"), report::csv(&fleet.measure)).context("write the time series")?;
    let title = format!("{name}, {} nodes", scenario.nodes);
    fs::write(file("svg"), picture::svg(&fleet.measure, &title)).context("write the picture")?;
    println!("\n{} and .svg", file("csv").display());

    let complaints = report::complaints(&fleet.measure, &scenario);
    for complaint in &complaints {
        println!("WRONG   {complaint}");
    }
    if complaints.is_empty() {
        println!("ok      all bounds hold");
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}
