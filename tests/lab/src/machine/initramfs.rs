//! The file system that the kernel starts with: just enough to mount the real one.
//!
//! The real one is this machine's own, shared read-only by 9p, under a layer in memory: the guest
//! may write anywhere, and all of it vanishes with the guest.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::cpio::Archive;
use super::kernel::Kernel;

/// Names the share of this machine's file system.
pub const ROOT_SHARE: &str = "root";

/// Needed before there is a file system to load modules from, and for the job's channel.
const MODULES: [&str; 5] = [
    "virtio_pci",
    "9pnet_virtio",
    "9p",
    "overlay",
    "virtio_console",
];

/// An archive that mounts the root file system and becomes `program`, with the arguments `guest
/// boot JOB`.
pub fn build(kernel: &Kernel, program: &Path, job: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "modules", "lower", "layer", "root"] {
        archive.folder(folder);
    }
    let busybox = kernel.busybox();
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    archive.file("bin/busybox", &read(&busybox)?);

    let mut names = Vec::new();
    for file in kernel.module_files(&MODULES)? {
        let name = file
            .file_name()
            .context("a module is a file")?
            .to_string_lossy()
            .into_owned();
        archive.file(&format!("modules/{name}"), &read(&file)?);
        names.push(name);
    }
    archive.file("init", script(&names, program, job).as_bytes());
    Ok(archive.finish())
}

/// If a step fails the script ends, which makes the kernel panic and the machine stop.
fn script(modules: &[String], program: &Path, job: &Path) -> String {
    let (program, job) = (quoted(program), quoted(job));
    let modules = modules.join(" ");
    format!(
        "#!/bin/busybox sh
set -e
B=/bin/busybox
for module in {modules}; do $B insmod /modules/$module; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro {ROOT_SHARE} /lower
$B mount -t tmpfs layer /layer
$B mkdir /layer/upper /layer/work
$B mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work root /root
exec $B switch_root /root {program} guest boot {job}
"
    )
}

/// A path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_reach_the_program_as_they_are() {
        let script = script(&[], Path::new("/my code/it's/lab"), Path::new("/job"));
        assert!(
            script.ends_with("switch_root /root '/my code/it'\\''s/lab' guest boot '/job'\n"),
            "{script}"
        );
    }
}
