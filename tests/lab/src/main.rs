//! The `cargo lab` command: builds what is to be tested, boots a machine with a real IPVS kernel
//! and runs it there. `docs/lab.md` tells how.

mod cli;
mod machine;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
