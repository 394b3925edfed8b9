//! The shell that a person gets in the machine.

use std::process::{Command, ExitCode};

use anyhow::Context;

/// Runs a script by the shell while the lab is up; its exit code.
pub fn run(script: &str) -> anyhow::Result<ExitCode> {
    let status = lab::demo::meanwhile(|| {
        Command::new("bash")
            .args(["-c", script])
            .status()
            .context("start bash")
    })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
