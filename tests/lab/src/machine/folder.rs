//! The folder of one run, at the same path inside the machine and outside of it.
//!
//! It stays after the run, for the curious, until the next run begins.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context;

use super::job::Job;

/// Locked by the run that owns a folder; its lock vanishes with its process.
const LOCK: &str = "lock";

/// A run's folder. No other run touches it as long as this value lives.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a folder under `outs` and removes those of runs that have ended.
    pub fn create(outs: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(outs)?;
        // One at a time: a folder that is not locked yet would look abandoned.
        let turn = File::create(outs.with_extension("lock"))?;
        turn.lock()?;
        for entry in fs::read_dir(outs)? {
            let path = entry?.path();
            let abandoned =
                File::open(path.join(LOCK)).map_or(true, |lock| lock.try_lock().is_ok());
            if abandoned {
                fs::remove_dir_all(&path)?;
            }
        }
        let path = outs.join(process::id().to_string());
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's console, as text.
    pub fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }

    /// What QEMU prints on standard error.
    pub fn complaints(&self) -> PathBuf {
        self.path.join("qemu.log")
    }

    /// Hands a job to the guest; the path that it finds it at.
    pub fn put_job(&self, job: &Job) -> anyhow::Result<PathBuf> {
        let path = self.path.join("job.json");
        fs::write(&path, serde_json::to_vec_pretty(job)?)?;
        Ok(path)
    }

    /// The exit code that the guest left; none if it did not get that far.
    pub fn exit_code(&self) -> Option<u8> {
        fs::read_to_string(self.path.join(EXIT))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// The last lines of the kernel's console, and all that QEMU complained of.
    pub fn console_tail(&self, lines: usize) -> String {
        let read = |path| fs::read(path).unwrap_or_default();
        let bytes = [read(self.console()), read(self.complaints())].concat();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().map(str::trim_end).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// The file with the exit code of a job.
pub const EXIT: &str = "exit";
