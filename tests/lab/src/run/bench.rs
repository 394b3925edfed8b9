//! `cargo lab bench`: kernel benchmarks in the machine, their figures in one file and one table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::harness::bench::{FIGURES, Figure};

use super::cargo::Workspace;
use super::{Options, show, task};
use crate::machine::job::Program;
use crate::machine::step::step;

/// A benchmark says nothing while it measures.
const SILENCE: Duration = Duration::from_mins(15);

/// What needs no kernel but its own model of many, and a processor that is not emulated: `cargo
/// bench --bench fleet`.
const SIMULATIONS: [&str; 1] = ["fleet"];

/// Runs the root package's benchmarks whose name contains `filter`; whether all went well.
pub fn run(options: &Options, filter: &str) -> anyhow::Result<bool> {
    let workspace = Workspace::find()?;
    let names: Vec<&str> = workspace
        .root_targets("bench")
        .filter(|name| name.contains(filter) && !SIMULATIONS.contains(name))
        .collect();
    ensure!(!names.is_empty(), "no benchmark has {filter:?} in its name");

    let mut arguments = vec!["bench", "--no-run"];
    arguments.extend(names.iter().flat_map(|name| ["--bench", name]));
    let built = step("building the benchmarks", || {
        eprintln!();
        workspace.build(&arguments)
    })?;
    let programs = built
        .iter()
        .filter(|program| program.kind == "bench")
        .map(|program| Program {
            name: program.name.clone(),
            path: program.path.clone(),
            arguments: vec!["--bench".to_owned()],
        })
        .collect();

    let machine = options.machine(&workspace)?;
    let session = machine.session()?;
    let figures = session.folder().join("figures.jsonl");
    let mut task = task(&workspace, &built, programs);
    task.environment
        .insert(FIGURES.to_owned(), figures.display().to_string());
    let code = session.run(task, SILENCE, show)?;

    let text = fs::read_to_string(&figures).context("the benchmarks left no figures")?;
    let figures: Vec<Figure> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("a figure")?;
    merge(&workspace.lab_folder().join("bench.json"), &figures)?;
    println!("{}", table(&figures));
    Ok(code == 0)
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
}
