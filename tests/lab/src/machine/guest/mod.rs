//! The inside of the machine: the lab's own binary is its first process.

mod boot;
mod modules;
mod mounts;
mod programs;
pub mod shell;

use std::fs;
use std::io::stdout;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use lab::harness::namespace::raise_loopback;

use super::folder::EXIT;
use super::job::Job;

/// Runs the job at `path` as the first process of a virtual machine, then switches it off.
pub fn boot(path: &Path) -> anyhow::Result<()> {
    let outcome = read(path).and_then(|job| {
        boot::up(&job)?;
        finish(&job, programs::run(&job, boot::channel(&job)?)?)
    });
    if let Err(error) = outcome {
        // The console is what the lab shows of a machine that ended early.
        eprintln!("lab: {error:?}");
    }
    boot::down()
}

/// Runs the job at `path` in the namespaces that the process was started in.
pub fn native(path: &Path) -> anyhow::Result<()> {
    let job = read(path)?;
    modules::load()?;
    mounts::of_namespaces(&job)?;
    raise_loopback()?;
    // A terminal can be read from as well as written to, whichever of the three it is.
    let channel = stdout().as_fd().try_clone_to_owned()?;
    finish(&job, programs::run(&job, channel.into())?)
}

fn read(path: &Path) -> anyhow::Result<Job> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

fn finish(job: &Job, code: u8) -> anyhow::Result<()> {
    fs::write(job.folder.join(EXIT), code.to_string()).context("leave the exit code")
}
