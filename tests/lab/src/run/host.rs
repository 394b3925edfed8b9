//! Runs unit tests on this machine.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::Context;

use super::cargo::Built;
use super::report::{Outcome, Report};
use crate::machine::packages::output_of;
use crate::machine::tied::killed_with_the_lab;

/// The tests of a program whose full name, `AREA::MODULE::TEST`, has `filter` in it.
///
/// `area` is what the program itself leaves out of the names.
pub fn matching(program: &Built, area: &str, filter: &str) -> anyhow::Result<BTreeSet<String>> {
    let list = output_of(
        killed_with_the_lab(&program.path)
            .args(["--list", "--format", "terse"])
            .current_dir(&program.directory),
    )?;
    Ok(list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|name| format!("{area}{name}").contains(filter))
        .map(str::to_owned)
        .collect())
}

/// Runs some tests of a program, or all if it has no others.
pub fn run(
    program: &Built,
    mut pending: BTreeSet<String>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let area = &program.name;
    let mut child = killed_with_the_lab(&program.path)
        .arg("--exact")
        .args(&pending)
        .current_dir(&program.directory)
        .env("CARGO_MANIFEST_DIR", &program.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", program.path.display()))?;
    let output = child.stdout.take().context("the output is piped")?;

    let mut rest = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        match result_in(&line) {
            Some((name, outcome)) if pending.remove(name) => {
                report.add(&format!("{area}::{name}"), &outcome, None);
            }
            _ => {
                rest.push_str(&line);
                rest.push('\n');
            }
        }
    }
    let status = child.wait()?;
    for name in pending {
        let why = format!("the test program gave no result: {status}");
        report.add(&format!("{area}::{name}"), &Outcome::Failed(why), None);
    }
    if !status.success() {
        println!("{rest}");
    }
    Ok(())
}

/// The result in a line of libtest: `test NAME ... ok`, perhaps with more words.
fn result_in(line: &str) -> Option<(&str, Outcome)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let outcome = match result.split([' ', ',']).next()? {
        "ok" => Outcome::Passed,
        "ignored" => Outcome::Ignored,
        // What the test printed comes later.
        "FAILED" => Outcome::Failed(String::new()),
        _ => return None,
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_libtests_lines() {
        let failed = Outcome::Failed(String::new());
        for (line, expected) in [
            (
                "test plan::tests::a ... ok",
                Some(("plan::tests::a", Outcome::Passed)),
            ),
            ("test a - should panic ... ok", Some(("a", Outcome::Passed))),
            ("test a ... ok <1.1s>", Some(("a", Outcome::Passed))),
            ("test a ... FAILED", Some(("a", failed))),
            (
                "test a ... ignored, takes an hour",
                Some(("a", Outcome::Ignored)),
            ),
            ("test a has been running for over 60 seconds", None),
            ("test result: ok. 3 passed; 0 failed", None),
        ] {
            assert_eq!(result_in(line), expected, "{line}");
        }
    }
}
