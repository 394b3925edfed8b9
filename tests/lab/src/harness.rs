//! Runs the tests of a kernel test binary: one after the other, each on a thread of its own in a
//! fresh network namespace, each within a time limit.
//!
//! Outside the lab the tests are reported as ignored: they would change the machine's kernel.

pub mod bench;
mod limit;
pub mod namespace;

use std::path::PathBuf;
use std::process::ExitCode;

pub use limit::LIMIT;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tracing_subscriber::EnvFilter;

/// Set in the environment of everything that runs in the lab.
pub const IN_LAB: &str = "SPILLWAY_LAB";

/// Names the run's folder, in the environment of everything that runs in the lab.
pub const FOLDER: &str = "SPILLWAY_LAB_FOLDER";

/// A kernel test. It fails by an error or a panic.
pub type Test = fn() -> anyhow::Result<()>;

/// Lists tests with their names: `lab::tests![nft::sets_keep_order, ipvs::dumps_what_it_wrote]`.
#[macro_export]
macro_rules! tests {
    ($($test:path),* $(,)?) => {
        [$((stringify!($test), $test as $crate::harness::Test)),*]
    };
}

/// The `main` of a kernel test binary: runs the tests that the command line asks for, as
/// `AREA::MODULE::TEST`.
pub fn main(area: &str, tests: impl IntoIterator<Item = (&'static str, Test)>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One machine, one kernel: tests that run side by side would share its clock and its limits.
    arguments.test_threads.get_or_insert(1);
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            let name = format!("{area}::{name}");
            Trial::ignorable_test(name.clone(), move || run(&name, test))
        })
        .collect();
    if in_lab() && !arguments.list {
        log_to_stdout();
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Whether this process runs in the lab.
pub fn in_lab() -> bool {
    std::env::var_os(IN_LAB).is_some()
}

/// The run's folder, for what is to outlive the machine: pictures, say. None outside the lab.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn run(name: &str, test: Test) -> Result<Completion, Failed> {
    if !in_lab() {
        return Ok(Completion::ignored_with("needs the lab: cargo lab test"));
    }
    limit::within(limit::per_test(), name, move || {
        namespace::enter_fresh()?;
        test()
    })
    .map(|()| Completion::Completed)
    .map_err(|error| format!("{error:?}").into())
}

/// Standard output is what the lab shows of a failed test.
fn log_to_stdout() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .init();
}

#[cfg(test)]
mod tests {
    mod inner {
        pub fn fails() -> anyhow::Result<()> {
            anyhow::bail!("as it should")
        }
    }

    #[test]
    fn a_test_is_named_by_its_path() {
        let [(name, test)] = crate::tests![inner::fails];
        assert_eq!(name, "inner::fails");
        assert!(test().is_err());
    }
}
