//! This machine as the lab's machine, where its kernel has IPVS: network, mounts and processes are
//! kept apart in namespaces.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use nix::unistd::Uid;

use super::tied::killed_with_the_lab;

/// The command that runs the job at `job`. The channel is its standard input and output. Killing
/// it kills every process that it started.
pub fn command(job: &Path) -> anyhow::Result<Command> {
    let mut command = killed_with_the_lab("unshare");
    command
        .args(["--net", "--mount", "--propagation", "private"])
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .args(["guest", "native"])
        .arg(job);
    Ok(command)
}

/// Fails unless this machine can be the lab's machine.
pub fn require() -> anyhow::Result<()> {
    ensure!(Uid::effective().is_root(), "--native needs root's rights");
    // Where IPVS is built in there is no module to load; the file tells in both cases.
    let loaded = Command::new("modprobe").arg("ip_vs").output();
    ensure!(
        Path::new("/proc/net/ip_vs").exists(),
        "--native needs a kernel with IPVS: {}",
        String::from_utf8_lossy(&loaded.context("start modprobe")?.stderr)
    );
    Ok(())
}
