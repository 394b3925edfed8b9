//! Sysctls of a network namespace. None of this needs IPVS.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use spillway::kernel::sysctl::{KernelVersion, ROOT, Setting, apply, required};

pub fn settings_that_differ_are_written() -> Result<()> {
    let key = "net/ipv4/conf/all/arp_ignore";
    let path = Path::new(ROOT).join(key);
    for value in [1, 2, 2] {
        ensure!(apply(Path::new(ROOT), &[Setting { key, value }]).is_ok());
        ensure!(fs::read_to_string(&path)?.trim() == value.to_string());
    }
    Ok(())
}

pub fn a_setting_that_cannot_be_made_is_named_and_does_not_stop_the_others() -> Result<()> {
    let setting = |key, value| Setting { key, value };
    let absent = setting("net/ipv4/vs/absent", 1);
    let there = setting("net/ipv4/conf/all/arp_announce", 2);
    let Err(failed) = apply(Path::new(ROOT), &[absent, there]) else {
        anyhow::bail!("an absent setting was made");
    };
    let [error] = failed.as_slice() else {
        anyhow::bail!("{failed:?}");
    };
    ensure!(error.setting == absent);
    ensure!(error.source.kind() == ErrorKind::NotFound);
    ensure!(error.to_string().contains("net.ipv4.vs.absent must be 1"));
    let value = fs::read_to_string(Path::new(ROOT).join(there.key))?;
    ensure!(value.trim() == "2");
    Ok(())
}

pub fn the_running_kernel_has_a_version() -> Result<()> {
    let kernel = KernelVersion::running().context("no version")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(release.starts_with(&kernel.to_string()));
    ensure!(!required(false, kernel).is_empty());
    Ok(())
}
