//! Kernel benchmarks: programs that measure something in a fresh network namespace and hand the
//! figures to `cargo lab bench`.

use std::fs::File;
use std::io::Write;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::{env, thread};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use super::{in_lab, namespace};

/// The environment variable with the file that figures are appended to, one a line.
pub const FIGURES: &str = "SPILLWAY_BENCH_FIGURES";

/// One thing measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The benchmark that measured it.
    pub bench: String,
    /// What was measured, such as `ratio_to_raw`.
    pub key: String,
    /// How much it is.
    pub value: f64,
    /// What it is counted in, such as `s`, `MiB` or `times`.
    pub unit: String,
    /// The least and the most that it may be, where something is promised.
    pub bounds: Option<(f64, f64)>,
}

impl Figure {
    /// Whether it is what is promised, if anything is.
    pub fn is_within_bounds(&self) -> bool {
        self.bounds
            .is_none_or(|(least, most)| (least..=most).contains(&self.value))
    }
}

/// Where a benchmark writes its figures.
#[derive(Debug)]
pub struct Figures {
    bench: String,
    file: File,
}

impl Figures {
    /// Hands over a figure.
    pub fn record(&mut self, key: &str, value: f64, unit: &str) -> anyhow::Result<()> {
        self.hand_over(key, value, unit, None)
    }

    /// Hands over a figure that must lie within bounds, or `cargo lab bench` fails.
    pub fn record_within(
        &mut self,
        key: &str,
        value: f64,
        unit: &str,
        bounds: RangeInclusive<f64>,
    ) -> anyhow::Result<()> {
        self.hand_over(key, value, unit, Some(bounds.into_inner()))
    }

    fn hand_over(
        &mut self,
        key: &str,
        value: f64,
        unit: &str,
        bounds: Option<(f64, f64)>,
    ) -> anyhow::Result<()> {
        let figure = Figure {
            bench: self.bench.clone(),
            key: key.to_owned(),
            value,
            unit: unit.to_owned(),
            bounds,
        };
        let line = format!("{}\n", serde_json::to_string(&figure)?);
        self.file
            .write_all(line.as_bytes())
            .context("hand over a figure")
    }
}

/// The `main` of a kernel benchmark. Outside the lab it does nothing, and says so.
pub fn main(bench: &str, run: fn(&mut Figures) -> anyhow::Result<()>) -> ExitCode {
    if !in_lab() {
        println!("bench {bench} ... ignored (needs the lab: cargo lab bench)");
        return ExitCode::SUCCESS;
    }
    match in_namespace(bench, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{bench}: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn in_namespace(bench: &str, run: fn(&mut Figures) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let path = env::var_os(FIGURES).with_context(|| format!("{FIGURES} is not set"))?;
    let file = File::options().append(true).create(true).open(path)?;
    let mut figures = Figures {
        bench: bench.to_owned(),
        file,
    };
    let thread = thread::spawn(move || {
        namespace::enter_fresh()?;
        run(&mut figures)
    });
    thread.join().map_err(|_| anyhow!("panicked"))?
}
