//! The virtual machine: QEMU with an emulated processor, which needs no rights and no `/dev/kvm`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::folder::Folder;
use super::initramfs::{self, ROOT_SHARE};
use super::kernel::Kernel;
use super::tied::killed_with_the_lab;

/// Names the share of the run's folder.
pub const FOLDER_SHARE: &str = "folder";

/// The job's way out of the machine, for a person.
const TERMINAL: [&str; 4] = [
    "-chardev",
    "stdio,id=job,signal=off",
    "-device",
    "virtconsole,chardev=job",
];

/// The job's way out of the machine, for the lab. Not `stdio`: when the input ends, that one takes
/// nothing out any more.
const STREAM: [&str; 4] = [
    "-chardev",
    "file,id=job,path=/dev/stdout",
    "-device",
    "virtserialport,chardev=job",
];

/// The command that boots a machine for the job at `job`, which talks through the command's
/// standard input and output. The kernel keeps the serial console to itself: its messages never
/// end up in the middle of the job's.
pub fn command(
    kernel: &Kernel,
    folder: &Folder,
    job: &Path,
    interactive: bool,
) -> anyhow::Result<Command> {
    let initramfs = folder.path().join("initramfs");
    fs::write(
        &initramfs,
        initramfs::build(kernel, &std::env::current_exe()?, job)?,
    )?;

    let mut command = killed_with_the_lab("qemu-system-x86_64");
    command
        .args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "2G",
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(&initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .arg("-serial")
        .arg(option("file:", &folder.console(), ""))
        .args(["-device", "virtio-serial-pci"])
        .args(if interactive { TERMINAL } else { STREAM })
        .arg("-virtfs")
        .arg(share(
            ROOT_SHARE,
            Path::new("/"),
            ",readonly=on,multidevs=remap",
        ))
        .arg("-virtfs")
        .arg(share(FOLDER_SHARE, folder.path(), ""))
        .stderr(File::create(folder.complaints())?);
    Ok(command)
}

fn share(tag: &str, path: &Path, more: &str) -> OsString {
    let more = format!(",mount_tag={tag},security_model=none{more}");
    option("local,path=", path, &more)
}

/// QEMU separates options by commas, and reads two of them as one.
fn option(before: &str, path: &Path, after: &str) -> OsString {
    let path = path.display().to_string().replace(',', ",,");
    format!("{before}{path}{after}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_does_not_end_it() {
        assert_eq!(
            share("root", Path::new("/a,b"), ",readonly=on"),
            "local,path=/a,,b,mount_tag=root,security_model=none,readonly=on"
        );
    }
}
