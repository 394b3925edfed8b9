//! What the first process of a virtual machine does before and after the work.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use lab::harness::namespace::raise_loopback;
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::setsid;

use super::{modules, mounts};
use crate::machine::job::Job;

/// Messages of this level and worse go to the console (`KERN_WARNING`).
const CONSOLE_LEVEL: &str = "5";

/// How long the channel's device may take to appear, and how often to look.
const CHANNEL_TRIES: u32 = 500;
const CHANNEL_PAUSE: Duration = Duration::from_millis(10);

/// Makes the machine ready for programs.
pub fn up(job: &Job) -> anyhow::Result<()> {
    mounts::of_virtual_machine(job)?;
    fs::write("/proc/sys/kernel/printk", CONSOLE_LEVEL)?;
    fs::write("/proc/sys/kernel/hostname", "lab")?;
    modules::load()?;
    raise_loopback()
}

/// The way out of the machine: the terminal of a person, or a plain stream.
pub fn channel(job: &Job) -> anyhow::Result<File> {
    let device = if job.interactive {
        // The first terminal that the leader of a new session opens controls the session.
        setsid().context("begin a session")?;
        Path::new("/dev/hvc0")
    } else {
        Path::new("/dev/vport0p1")
    };
    for _ in 0..CHANNEL_TRIES {
        match File::options().read(true).write(true).open(device) {
            Ok(channel) => return Ok(channel),
            // QEMU announces it a moment after the driver is loaded.
            Err(error) if error.kind() == ErrorKind::NotFound => thread::sleep(CHANNEL_PAUSE),
            Err(error) => return Err(error).context("open the channel"),
        }
    }
    bail!("{} did not appear", device.display())
}

/// Switches the machine off. QEMU ends instead of starting it again.
pub fn down() -> anyhow::Result<()> {
    reboot(RebootMode::RB_AUTOBOOT).context("switch off")?;
    Ok(())
}
