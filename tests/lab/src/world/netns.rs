//! A network namespace: made, entered for the length of a closure, and given up.
//!
//! It lives as long as this value and whatever was opened in it (sockets keep theirs). Its name
//! under `/run/netns` is for people (`ip netns exec east-1 …`); nothing here looks it up, so a
//! name left behind by a killed run is simply replaced.

use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Where `ip netns` looks for names.
const NAMES: &str = "/run/netns";
/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace that this process made.
#[derive(Debug)]
pub struct Netns {
    file: File,
    name: PathBuf,
}

impl Netns {
    /// Makes an empty namespace and names it under `/run/netns`.
    pub fn create(name: &str) -> io::Result<Self> {
        fs::create_dir_all(NAMES)?;
        let name = Path::new(NAMES).join(name);
        let file = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            // While another namespace has the name, it is no file that could be made anew.
            let _ = umount2(&name, MntFlags::MNT_DETACH);
            File::create(&name)?;
            mount(
                Some(OWN),
                &name,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )?;
            File::open(OWN)
        })?;
        Ok(Self { file, name })
    }

    /// Runs `work` on a thread inside the namespace. Sockets opened there stay in the namespace
    /// wherever they are used later.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
    }

    /// The open namespace, to hand to the kernel.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The name may have been taken over by a later run: nothing to do about that here.
        let _ = umount2(&self.name, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&self.name);
    }
}

/// Runs `work` on a thread of its own, so that the caller's namespace never changes.
fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)?
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}
