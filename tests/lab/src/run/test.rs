//! `cargo lab test`: unit tests here, kernel tests in the machine, one sum of both.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cargo::{Built, Workspace};
use super::report::Report;
use super::stream::Stream;
use super::{Options, host, task};
use crate::machine::follow::Patience;
use crate::machine::job::Program;
use crate::machine::step::step;

/// A test that hangs is reported by its program after two minutes: longer silence than that means
/// that the program itself hangs.
const SILENCE: Duration = Duration::from_mins(3);

/// Runs the tests whose full name, `AREA::MODULE::TEST`, has `filter` in it. Returns whether all
/// passed.
pub fn run(options: &Options, filter: &str) -> anyhow::Result<bool> {
    let workspace = Workspace::find()?;
    let built = build(&workspace, filter)?;
    let mut report = Report::default();

    let (kernel_tests, unit_tests): (Vec<&Built>, Vec<&Built>) = built
        .iter()
        .filter(|program| program.is_test)
        .partition(|program| is_kernel_test(&workspace, program));
    let patience = Patience {
        first: SILENCE,
        silence: SILENCE,
        total: options.limit,
    };
    if anchor(&workspace, filter).is_none() {
        for program in unit_tests {
            let names = host::matching(program, &format!("{}::", program.name), filter)?;
            if !names.is_empty() {
                host::run(program, names, patience, &mut report)?;
            }
        }
    }

    let mut pending = BTreeSet::new();
    let mut programs = Vec::new();
    for program in kernel_tests {
        let names = host::matching(program, "", filter)?;
        if !names.is_empty() {
            pending.extend(names);
            programs.push(test_program(program, filter));
        }
    }
    if !programs.is_empty() {
        in_machine(options, &workspace, &built, programs, pending, &mut report)?;
    }

    if report.count() == 0 {
        println!("no test has {filter:?} in its name");
    }
    println!("{report}");
    Ok(report.is_good() && report.count() > 0)
}

/// The kernel test program that a filter names as its first word: the filter is about nothing else.
fn anchor<'a>(workspace: &'a Workspace, filter: &str) -> Option<&'a str> {
    let word = filter.split("::").next();
    workspace
        .root_targets("test")
        .find(|area| Some(*area) == word)
}

fn build(workspace: &Workspace, filter: &str) -> anyhow::Result<Vec<Built>> {
    step("building the tests", || {
        eprintln!();
        let all = ["test", "--workspace", "--no-run"];
        match anchor(workspace, filter) {
            Some(area) => workspace.build(&[&all[..], &["--test", area]].concat()),
            None => workspace.build(&all),
        }
    })
}

/// The root package's integration tests are kernel tests; everything else is a unit test.
fn is_kernel_test(workspace: &Workspace, program: &Built) -> bool {
    program.kind == "test" && program.directory == workspace.root
}

fn test_program(program: &Built, filter: &str) -> Program {
    let mut arguments = vec!["--format=json".to_owned()];
    if !filter.is_empty() {
        arguments.push(filter.to_owned());
    }
    Program {
        name: program.name.clone(),
        path: program.path.clone(),
        arguments,
    }
}

fn in_machine(
    options: &Options,
    workspace: &Workspace,
    built: &[Built],
    programs: Vec<Program>,
    pending: BTreeSet<String>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let machine = options.machine(workspace)?;
    let session = machine.session()?;
    let mut stream = Stream::new(report, pending, options.verbose);
    let outcome = session.run(task(workspace, built, programs), SILENCE, |line| {
        stream.line(line);
    });
    match outcome {
        Ok(_) => stream.end("the machine's work ended without it"),
        Err(error) => stream.end(&format!("{error:#}")),
    }
    Ok(())
}
