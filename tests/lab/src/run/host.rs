//! Runs unit tests on this machine.

use std::collections::BTreeSet;
use std::process::Stdio;

use anyhow::Context;

use super::cargo::Built;
use super::report::{Outcome, Report};
use crate::machine::follow::{Patience, follow};
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

/// Runs some tests of a program, or all if it has no others. One that hangs does not keep the lab
/// from its end: the program is killed when it has said nothing for as long as `patience` allows.
pub fn run(
    program: &Built,
    mut pending: BTreeSet<String>,
    patience: Patience,
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

    let mut slow = BTreeSet::new();
    let mut rest = String::new();
    let outcome = follow(&mut child, patience, |line| match result_in(line) {
        Some((name, outcome)) if pending.remove(name) => {
            report.add(&format!("{area}::{name}"), &outcome, None);
        }
        _ => {
            slow.extend(slow_in(line).map(str::to_owned));
            rest.push_str(line);
            rest.push('\n');
        }
    })?;
    // It is dead by now.
    let status = child.wait()?;
    for name in pending {
        let why = match &outcome {
            Ok(()) => format!("the test program gave no result: {status}"),
            Err(hang) if slow.contains(&name) => format!("this test hangs: the program {hang}"),
            Err(hang) => format!("not run, or cut off with one that hangs: the program {hang}"),
        };
        report.add(&format!("{area}::{name}"), &Outcome::Failed(why), None);
    }
    if !status.success() {
        println!("{rest}");
    }
    Ok(())
}

/// The test that a line of libtest says is still running after a minute.
fn slow_in(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?
        .split_once(" has been running for over ")
        .map(|(name, _)| name)
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
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

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

    #[test]
    fn a_test_that_takes_long_is_known_by_name() {
        let line = "test plan::tests::a has been running for over 60 seconds";
        assert_eq!(slow_in(line), Some("plan::tests::a"));
        assert_eq!(slow_in("test plan::tests::a ... ok"), None);
    }

    #[test]
    fn a_program_that_hangs_is_cut_off_and_its_tests_have_failed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        let script = "#!/bin/sh\n\
            echo 'test a ... ok'\n\
            echo 'test b has been running for over 60 seconds'\n\
            exec sleep 60\n";
        fs::write(&path, script).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("executable");
        let program = Built {
            name: "area".to_owned(),
            kind: "lib".to_owned(),
            path,
            directory: folder.path().to_owned(),
            is_test: true,
        };
        let patience = Patience {
            first: Duration::from_mins(1),
            silence: Duration::from_millis(200),
            total: Duration::from_mins(1),
        };
        let names = ["a", "b", "c"].map(str::to_owned);
        let mut report = Report::default();
        run(&program, names.into(), patience, &mut report).expect("it is run");
        assert_eq!(
            report.to_string(),
            "failed:\n    area::b\n    area::c\n1 passed, 2 failed"
        );
    }
}
