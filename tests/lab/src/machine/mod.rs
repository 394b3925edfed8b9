//! The machine that has the IPVS kernel: a virtual one, or this one where it has IPVS itself.

mod cpio;
mod folder;
pub mod follow;
pub mod guest;
mod initramfs;
pub mod job;
mod kernel;
mod native;
pub mod packages;
mod qemu;
mod session;
pub mod step;
pub mod terminal;
pub mod tied;
mod vmlinux;

pub use session::Session;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel::Kernel;

/// Where jobs run.
pub struct Machine {
    kind: Kind,
    lab_folder: PathBuf,
    /// Whether to show the kernel's console.
    verbose: bool,
    /// The longest that a job may take.
    limit: Duration,
}

enum Kind {
    Virtual(Kernel),
    Native,
}

impl Machine {
    /// A machine that keeps its files under `lab_folder`: this one if `native`, else a virtual one,
    /// for which it installs and downloads what is missing.
    pub fn prepare(
        lab_folder: &Path,
        native: bool,
        verbose: bool,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let kind = if native {
            native::require()?;
            Kind::Native
        } else {
            Kind::Virtual(Kernel::prepare(lab_folder)?)
        };
        Ok(Self {
            kind,
            lab_folder: lab_folder.to_owned(),
            verbose,
            limit,
        })
    }

    /// Begins a run.
    pub fn session(&self) -> anyhow::Result<Session<'_>> {
        Session::begin(self)
    }
}
