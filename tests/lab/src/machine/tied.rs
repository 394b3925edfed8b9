//! Child processes that do not outlive the lab.

use std::ffi::OsStr;
use std::process::Command;

/// A command that gets `signal` (its name without `SIG`) when the lab dies, however it dies.
///
/// The kernel watches the thread that starts the child, so start it from one that stays.
pub fn tied(signal: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// A command that is killed when the lab dies.
pub fn killed_with_the_lab(program: impl AsRef<OsStr>) -> Command {
    tied("KILL", program)
}
