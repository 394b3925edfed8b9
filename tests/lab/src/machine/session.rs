//! One run of a machine, from its start to its end.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::folder::Folder;
use super::follow::{Patience, follow};
use super::job::{Job, Task};
use super::terminal::Restored;
use super::{Kind, Machine, native, qemu};

/// A machine with nothing else to do is up in six seconds.
const BOOT: Duration = Duration::from_mins(2);

/// How much of the kernel's console to show when something went wrong.
const CONSOLE_LINES: usize = 40;

/// A run and its folder.
pub struct Session<'a> {
    machine: &'a Machine,
    folder: Folder,
}

impl<'a> Session<'a> {
    /// Makes the run's folder.
    pub(super) fn begin(machine: &'a Machine) -> anyhow::Result<Self> {
        let folder = Folder::create(&machine.lab_folder.join("out"))?;
        Ok(Self { machine, folder })
    }

    /// The run's folder, at the same path inside the machine.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a task to its end and hands every line that it prints to `each`. Returns the exit code
    /// of the first program that failed, or 0; fails if the task did not come to its end, or was
    /// silent for as long as `silence`.
    pub fn run(
        &self,
        task: Task,
        silence: Duration,
        mut each: impl FnMut(&str),
    ) -> anyhow::Result<u8> {
        let mut log = File::create(self.folder().join("output.log"))?;
        let mut child = self
            .command(task, false)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the machine")?;
        let patience = Patience {
            first: BOOT,
            silence,
            total: self.machine.limit,
        };
        let outcome = follow(&mut child, patience, |line| {
            // A full disk must not end the run.
            let _ = writeln!(log, "{line}");
            each(line);
        })?;
        if self.machine.verbose {
            eprintln!(
                "lab: the console:\n{}",
                self.folder.console_tail(usize::MAX)
            );
        }
        match outcome {
            Ok(()) => self.exit_code(),
            Err(hang) => bail!("the machine {hang}{}", self.last_words()),
        }
    }

    /// Runs a task with this terminal attached to it; its exit code.
    pub fn attach(&self, task: Task) -> anyhow::Result<u8> {
        let _restored = Restored::later();
        let mut command = self.command(task, true)?;
        command.status().context("start the machine")?;
        self.exit_code()
    }

    fn command(&self, task: Task, interactive: bool) -> anyhow::Result<Command> {
        let job = |modules: PathBuf| {
            self.folder.put_job(&Job {
                task,
                folder: self.folder.path().to_owned(),
                interactive,
                modules,
            })
        };
        match &self.machine.kind {
            Kind::Virtual(kernel) => {
                qemu::command(kernel, &self.folder, &job(kernel.modules())?, interactive)
            }
            Kind::Native => native::command(&job("/lib/modules".into())?),
        }
    }

    fn exit_code(&self) -> anyhow::Result<u8> {
        let code = self.folder.exit_code();
        code.with_context(|| format!("the machine ended before its work{}", self.last_words()))
    }

    fn last_words(&self) -> String {
        match self.folder.console_tail(CONSOLE_LINES).trim() {
            "" => "; its console is empty".to_owned(),
            console => format!("; its console ends with:\n{console}"),
        }
    }
}
