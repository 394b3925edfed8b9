//! What `cargo lab demo` shows.

use std::fs;

use anyhow::Context;

/// Runs inside of the machine, as root, in its first network namespace.
pub fn run() -> anyhow::Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let servers = fs::read_to_string("/proc/net/ip_vs").context("this kernel has no IPVS")?;
    let ipvs = servers.lines().next().unwrap_or_default();
    println!("Linux {}, {ipvs}", kernel.trim());
    Ok(())
}
