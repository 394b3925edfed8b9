//! Modules: what a request needs and is not loaded, the kernel loads itself.

use std::fs;
use std::process::Command as Process;

use anyhow::{Context, Result, ensure};
use spillway::kernel::ipvs::{Client, Command, Name, Service, ServiceKey};
use spillway::model::Family;

/// The lab does not load this one beforehand, and no other test uses it.
const SCHEDULER: &str = "dh";
const MODULE: &str = "ip_vs_dh";

pub fn a_module_that_is_missing_is_loaded_by_the_kernel_on_request() -> Result<()> {
    if is_loaded()? {
        // By an earlier run on this machine's own kernel.
        let removed = Process::new("/sbin/modprobe")
            .args(["--remove", MODULE])
            .status()?;
        ensure!(removed.success(), "{MODULE} cannot be removed: {removed}");
    }
    ensure!(!is_loaded()?, "{MODULE} is still loaded");
    let key = ServiceKey::Mark {
        family: Family::V4,
        mark: 1,
    };
    let scheduler = Name::new(SCHEDULER).context("a name")?;
    Client::connect()?.submit(&[Command::NewService(Service::new(key, scheduler))])?;
    ensure!(is_loaded()?, "the service works without {MODULE}");
    Ok(())
}

fn is_loaded() -> Result<bool> {
    let modules = fs::read_to_string("/proc/modules")?;
    let is_it = |line: &str| line.split(' ').next() == Some(MODULE);
    Ok(modules.lines().any(is_it))
}
