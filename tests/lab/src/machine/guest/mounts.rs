//! The file systems of the guest.

use std::fs;
use std::path::Path;

use anyhow::Context;
use nix::mount::{MsFlags, mount};

use crate::machine::job::Job;
use crate::machine::qemu::FOLDER_SHARE;

/// Where programs leave what nobody needs after them.
const SCRATCH: [&str; 2] = ["/tmp", "/run"];

/// Mounts what a virtual machine needs on top of the shared file system.
pub fn of_virtual_machine(job: &Job) -> anyhow::Result<()> {
    mounted("proc", Path::new("/proc"), "")?;
    mounted("sysfs", Path::new("/sys"), "")?;
    mounted("devtmpfs", Path::new("/dev"), "")?;
    mounted("devpts", Path::new("/dev/pts"), "ptmxmode=0666")?;
    mounted("tmpfs", Path::new("/dev/shm"), "")?;
    scratch(job)?;
    let options = "trans=virtio,version=9p2000.L,msize=512000,cache=none";
    mount_at(FOLDER_SHARE, "9p", &job.folder, options)?;

    let modules = Path::new("/lib/modules");
    fs::create_dir_all(modules)?;
    mount(
        Some(&job.modules),
        modules,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .context("mount the kernel modules")
}

/// Mounts what must not be shared with the rest of this machine.
pub fn of_namespaces(job: &Job) -> anyhow::Result<()> {
    // It shows the network namespace that it was mounted in.
    mounted("sysfs", Path::new("/sys"), "")?;
    scratch(job)
}

fn scratch(job: &Job) -> anyhow::Result<()> {
    for path in SCRATCH.map(Path::new) {
        // The checkout must stay visible wherever it is.
        if !job.folder.starts_with(path) && !job.task.directory.starts_with(path) {
            mounted("tmpfs", path, "mode=1777")?;
        }
    }
    Ok(())
}

fn mounted(kind: &str, path: &Path, options: &str) -> anyhow::Result<()> {
    fs::create_dir_all(path)?;
    mount_at(kind, kind, path, options)
}

fn mount_at(source: &str, kind: &str, path: &Path, options: &str) -> anyhow::Result<()> {
    mount(
        Some(source),
        path,
        Some(kind),
        MsFlags::empty(),
        Some(options),
    )
    .with_context(|| format!("mount {source} at {}", path.display()))
}
