//! The `spillway` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    match spillway::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spillway: {error:#}");
            ExitCode::FAILURE
        }
    }
}
