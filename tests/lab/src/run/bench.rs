//! `cargo lab bench`: benchmarks on this machine, and those that need a kernel in the lab's, their
//! figures in one file and one table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lab::harness::bench::{FIGURES, Figure};

use super::cargo::{Built, Workspace};
use super::{Options, show, task};
use crate::machine::follow::{Patience, follow};
use crate::machine::job::Program;
use crate::machine::step::step;
use crate::machine::tied::killed_with_the_lab;

/// A benchmark says nothing while it measures.
const SILENCE: Duration = Duration::from_mins(15);

/// Runs the root package's benchmarks whose name contains `filter`; whether all went well.
pub fn run(options: &Options, filter: &str) -> anyhow::Result<bool> {
    let workspace = Workspace::find()?;
    let names: Vec<&str> = workspace
        .root_targets("bench")
        .filter(|name| name.contains(filter))
        .collect();
    ensure!(!names.is_empty(), "no benchmark has {filter:?} in its name");

    let mut arguments = vec!["bench", "--no-run"];
    arguments.extend(names.iter().flat_map(|name| ["--bench", name]));
    let built = step("building the benchmarks", || {
        eprintln!();
        workspace.build(&arguments)
    })?;
    let (host, kernel): (Vec<&Built>, Vec<&Built>) = built
        .iter()
        .filter(|program| program.kind == "bench")
        .partition(|program| workspace.is_host_bench(&program.name));
    let mut good = true;
    for program in host {
        println!("{}, on this machine:", program.name);
        good &= on_host(program, options)?;
    }
    if !kernel.is_empty() {
        good &= in_machine(options, &workspace, &built, &kernel)?;
    }
    Ok(good)
}

/// Runs a benchmark that needs no kernel; whether it went well.
fn on_host(program: &Built, options: &Options) -> anyhow::Result<bool> {
    let mut child = killed_with_the_lab(&program.path)
        .arg("--bench")
        .current_dir(&program.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", program.path.display()))?;
    let patience = Patience {
        first: SILENCE,
        silence: SILENCE,
        total: options.limit,
    };
    match follow(&mut child, patience, |line| println!("{line}"))? {
        Ok(()) => Ok(child.wait()?.success()),
        Err(hang) => bail!("the benchmark {} {hang}", program.name),
    }
}

/// Runs benchmarks in the machine and shows and keeps their figures; whether all went well and all
/// figures are within their bounds.
fn in_machine(
    options: &Options,
    workspace: &Workspace,
    built: &[Built],
    benches: &[&Built],
) -> anyhow::Result<bool> {
    let programs = benches
        .iter()
        .map(|program| Program {
            name: program.name.clone(),
            path: program.path.clone(),
            arguments: vec!["--bench".to_owned()],
        })
        .collect();
    let machine = options.machine(workspace)?;
    let session = machine.session()?;
    let figures = session.folder().join("figures.jsonl");
    let mut task = task(workspace, built, programs);
    task.environment
        .insert(FIGURES.to_owned(), figures.display().to_string());
    let code = session.run(task, SILENCE, show)?;

    let text = fs::read_to_string(&figures).context(
        "the benchmarks left no figures (one that needs no kernel belongs into `host-benches`: \
         docs/lab.md)",
    )?;
    let figures: Vec<Figure> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("a figure")?;
    merge(&workspace.lab_folder().join("bench.json"), &figures)?;
    println!("{}", table(&figures));
    let complaints: Vec<String> = figures.iter().filter_map(complaint).collect();
    for complaint in &complaints {
        println!("{complaint}");
    }
    Ok(code == 0 && complaints.is_empty())
}

/// What is to be said of a figure that is not what was promised.
fn complaint(figure: &Figure) -> Option<String> {
    let (least, most) = figure.bounds.filter(|_| !figure.is_within_bounds())?;
    Some(format!(
        "FAILED: {} is {}, not from {least} to {most} {}",
        full_key(figure),
        figure.value,
        figure.unit
    ))
}

/// The name of a figure among those of all benchmarks: after its benchmark, unless it says of what
/// else it is.
fn full_key(figure: &Figure) -> String {
    if figure.key.contains('.') {
        figure.key.clone()
    } else {
        format!("{}.{}", figure.bench, figure.key)
    }
}

/// Puts the figures into the file, where those of other benchmarks stay.
fn merge(path: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    let mut all: BTreeMap<String, f64> = match fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?
        }
        Err(_) => BTreeMap::new(),
    };
    all.extend(
        figures
            .iter()
            .map(|figure| (full_key(figure), figure.value)),
    );
    fs::write(path, serde_json::to_vec_pretty(&all)?)?;
    Ok(())
}

fn table(figures: &[Figure]) -> String {
    let width = figures
        .iter()
        .map(|figure| full_key(figure).len())
        .max()
        .unwrap_or_default();
    let line = |figure: &Figure| {
        format!(
            "{:width$}  {:>12.3} {}",
            full_key(figure),
            figure.value,
            figure.unit
        )
    };
    figures.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(bench: &str, key: &str, value: f64, unit: &str) -> Figure {
        Figure {
            bench: bench.to_owned(),
            key: key.to_owned(),
            value,
            unit: unit.to_owned(),
            bounds: None,
        }
    }

    #[test]
    fn a_run_replaces_its_own_figures_and_keeps_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bench.json");
        let first = [
            figure("cold_sync", "ratio_to_raw", 1.5, "times"),
            figure("start", "time", 2.0, "s"),
        ];
        merge(&path, &first).expect("written");
        merge(&path, &[figure("cold_sync", "ratio_to_raw", 1.25, "times")]).expect("written");
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(
            text,
            "{\n  \"cold_sync.ratio_to_raw\": 1.25,\n  \"start.time\": 2.0\n}"
        );
    }

    #[test]
    fn the_table_lines_up() {
        let figures = [
            figure("start", "time", 2.0, "s"),
            figure("a", "b", 1234.5, "MiB"),
        ];
        assert_eq!(
            table(&figures),
            "start.time         2.000 s\na.b             1234.500 MiB"
        );
    }

    #[test]
    fn a_figure_beyond_its_bounds_is_complained_of() {
        let bounded = |value| Figure {
            bounds: Some((0.0, 1.5)),
            ..figure("cold_sync", "ratio_to_raw", value, "times")
        };
        assert_eq!(complaint(&figure("cold_sync", "seconds", 9.0, "s")), None);
        assert_eq!(complaint(&bounded(1.5)), None);
        assert_eq!(
            complaint(&bounded(1.75)).as_deref(),
            Some("FAILED: cold_sync.ratio_to_raw is 1.75, not from 0 to 1.5 times")
        );
        assert!(complaint(&bounded(f64::NAN)).is_some());
    }
}
