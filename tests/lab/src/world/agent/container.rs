//! Starts a container as its runtime would: on the node's network, with its mounts, its
//! capabilities and nothing else.
//!
//! All of it is done to a thread, which the container's process is then started from and so takes
//! after; nothing has to run between fork and exec. The image is stood in for by this system's own
//! libraries and programs. Not reproduced: seccomp, cgroups, a PID namespace.

use std::fs::{self, File};
use std::os::unix::fs::{chroot, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result};
use caps::CapSet;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;

use super::manifest::{Container, Mount, Source};
use crate::world::netns::Netns;

/// What a small image holds besides the program.
const IMAGE: [&str; 6] = [
    "/bin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
];
/// What container runtimes put into `/dev`, as far as anybody here asks for it.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/random", "/dev/urandom"];

/// Starts a container on a node's network, `binary` being its program. `root` is an empty folder
/// on which its file system is put together, out of sight of everybody else.
pub(super) fn spawn(
    container: &Container,
    binary: &Path,
    node: &Netns,
    root: &Path,
) -> Result<Child> {
    node.enter(|| {
        // Also gives the thread a root and working directory of its own.
        unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
        FileSystem(root).build(container, binary)?;
        chroot(root)?;
        std::env::set_current_dir("/")?;
        restrict(container).context("give up capabilities")?;
        Command::new(&container.program)
            .args(&container.arguments)
            .env_clear()
            .envs(&container.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))
    })?
}

/// Runs a program in the file system and on the network of a process that [`spawn`] started.
pub(super) fn exec(program: &Path, pid: u32, node: &Netns, arguments: &[&str]) -> Result<Output> {
    node.enter(|| {
        // The thread gets a root of its own.
        unshare(CloneFlags::CLONE_FS)?;
        chroot(format!("/proc/{pid}/root")).context("enter the container's file system")?;
        std::env::set_current_dir("/")?;
        Ok(Command::new(program).args(arguments).output()?)
    })?
}

/// The container's file system, at its place outside.
struct FileSystem<'a>(&'a Path);

impl FileSystem<'_> {
    fn build(&self, container: &Container, binary: &Path) -> Result<()> {
        // What is mounted here must not show on the host.
        mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )?;
        mount(
            Some("tmpfs"),
            self.0,
            Some("tmpfs"),
            MsFlags::empty(),
            None::<&str>,
        )?;
        for path in IMAGE.map(Path::new) {
            match fs::read_link(path) {
                Ok(link) => symlink(link, self.at(path))?,
                Err(_) if path.is_dir() => self.bind(path, path, true)?,
                Err(_) => {}
            }
        }
        self.bind(binary, &container.program, true)?;
        for device in DEVICES.map(Path::new) {
            self.bind(device, device, false)?;
        }
        self.kernel("proc", Path::new("/proc"), MsFlags::empty())?;
        self.kernel("sysfs", Path::new("/sys"), MsFlags::MS_RDONLY)?;
        // As runtimes do for all that are not privileged.
        self.bind(Path::new("/proc/sys"), Path::new("/proc/sys"), true)?;
        for mount in &container.mounts {
            self.mount(mount)
                .with_context(|| format!("mount {}", mount.target.display()))?;
        }
        if container.read_only_root {
            seal(self.0)?;
        }
        Ok(())
    }

    fn mount(&self, mount: &Mount) -> Result<()> {
        match &mount.source {
            // The nodes share this machine's /run, where each would have one of its own: a folder
            // of the container's stands in for it, to be seen from outside in /proc/PID/root.
            Source::Host(path) if path.starts_with("/run") => {
                let folder = self.at(&mount.target);
                fs::create_dir_all(&folder)?;
                self.bind(&folder, &mount.target, mount.read_only)
            }
            Source::Host(path) => self.bind(path, &mount.target, mount.read_only),
            Source::Files(files) => {
                let folder = self.at(&mount.target);
                fs::create_dir_all(&folder)?;
                for (name, content) in files {
                    fs::write(folder.join(name), content)?;
                }
                self.bind(&folder, &mount.target, mount.read_only)
            }
        }
    }

    /// Shows a file or folder of the host.
    fn bind(&self, source: &Path, target: &Path, read_only: bool) -> Result<()> {
        let target = self.at(target);
        if source.is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::create_dir_all(target.parent().unwrap_or(self.0))?;
            File::create(&target)?;
        }
        mount(
            Some(source),
            &target,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .with_context(|| format!("bind {} to {}", source.display(), target.display()))?;
        if read_only {
            seal(&target)?;
        }
        Ok(())
    }

    fn kernel(&self, kind: &str, target: &Path, flags: MsFlags) -> Result<()> {
        let target = self.at(target);
        fs::create_dir_all(&target)?;
        mount(Some(kind), &target, Some(kind), flags, None::<&str>)
            .with_context(|| format!("mount {kind}"))
    }

    /// Where a path of the container is outside.
    fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Makes a mount read-only.
fn seal(mounted: &Path) -> Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, mounted, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("make {} read-only", mounted.display()))
}

/// Leaves the thread, and what it starts, the container's capabilities only.
fn restrict(container: &Container) -> Result<()> {
    let allowed = &container.capabilities;
    // The bounding set is what limits a root user's program.
    for capability in caps::read(None, CapSet::Bounding)?.difference(allowed) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, allowed)?;
    caps::set(None, CapSet::Permitted, allowed)?;
    if container.no_new_privileges {
        set_no_new_privs()?;
    }
    Ok(())
}
