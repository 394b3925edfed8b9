//! The kernel that the lab boots: Debian's own, unpacked under `target/lab`, never installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::packages::{dependency, install_missing, output_of, unpack, update_lists};
use super::step::step;
use super::vmlinux;

/// Depends on Debian's present kernel. (The `cloud` flavour has no 9p.)
const KERNEL: &str = "linux-image-amd64";

/// For the few steps before the file system is there; statically linked.
const BUSYBOX: &str = "busybox-static";

/// What boots it, and what its files are unpacked with.
const EMULATOR: [(&str, &str); 3] = [
    ("depmod", "kmod"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("xz", "xz-utils"),
];

/// The unpacked image.
const IMAGE: &str = "boot/vmlinux";

/// A kernel with its modules, and a program to start with.
pub struct Kernel {
    folder: PathBuf,
    release: String,
}

impl Kernel {
    /// The kernel under `lab_folder`; downloads it the first time.
    pub fn prepare(lab_folder: &Path) -> anyhow::Result<Self> {
        install_missing(&EMULATOR)?;
        let folder = lab_folder.join("kernel");
        fs::create_dir_all(lab_folder)?;
        // Another run may be downloading it.
        let lock = File::create(lab_folder.join("kernel.lock"))?;
        lock.lock()?;
        // An older lab may have left a folder without the unpacked image.
        if !folder.join(IMAGE).exists() {
            download(&folder.with_extension("new"))?;
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::rename(folder.with_extension("new"), &folder)?;
        }
        let release = only_entry(&folder.join("lib/modules"))?;
        Ok(Self { folder, release })
    }

    /// The kernel image.
    pub fn image(&self) -> PathBuf {
        self.folder.join(IMAGE)
    }

    /// What belongs at `/lib/modules`.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules")
    }

    /// The statically linked busybox.
    pub fn busybox(&self) -> PathBuf {
        self.folder.join("bin/busybox")
    }

    /// The files of some modules and of those they need, in the order to load them.
    pub fn module_files(&self, names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for name in names {
            let plan = output_of(
                Command::new("/sbin/modprobe")
                    .arg("--dirname")
                    .arg(&self.folder)
                    .args(["--set-version", &self.release, "--show-depends", name]),
            )?;
            for line in plan.lines() {
                // "insmod FILE", or "builtin NAME"
                if let Some(file) = line.strip_prefix("insmod ") {
                    let file = PathBuf::from(file.trim());
                    if !files.contains(&file) {
                        files.push(file);
                    }
                }
            }
        }
        Ok(files)
    }
}

fn download(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    update_lists()?;
    unpack(&dependency(KERNEL)?, folder)?;
    unpack(BUSYBOX, folder)?;
    let release = only_entry(&folder.join("lib/modules"))?;
    let mut depmod = Command::new("/sbin/depmod");
    output_of(depmod.arg("--basedir").arg(folder).arg(&release))?;
    let packed = folder.join(format!("boot/vmlinuz-{release}"));
    step("unpacking the kernel", || {
        vmlinux::unpack(&packed, &folder.join(IMAGE))
    })
}

fn only_entry(folder: &Path) -> anyhow::Result<String> {
    let mut entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let entry = entries
        .next()
        .with_context(|| format!("{} is empty", folder.display()))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
