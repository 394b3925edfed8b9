//! Runs the programs of a job one after the other.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use anyhow::Context;

use crate::machine::job::{Job, Notice, Program};

/// What a program's exit code is taken for if a signal killed it.
const KILLED: u8 = 101;

/// Runs the programs with `channel` as their standard input, output and error. Returns the exit
/// code of the first that failed, or 0.
pub fn run(job: &Job, mut channel: File) -> anyhow::Result<u8> {
    let mut code = 0;
    tell(job, &mut channel, &Notice::Up)?;
    for program in &job.task.programs {
        let name = program.name.clone();
        tell(
            job,
            &mut channel,
            &Notice::Started {
                program: name.clone(),
            },
        )?;
        let status = command(job, program, &channel)?
            .status()
            .with_context(|| format!("start {}", program.path.display()))?;
        let notice = Notice::Ended {
            program: name,
            status: in_words(status),
        };
        tell(job, &mut channel, &notice)?;
        if code == 0 && !status.success() {
            code = status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(KILLED);
        }
    }
    Ok(code)
}

fn command(job: &Job, program: &Program, channel: &File) -> anyhow::Result<Command> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .current_dir(&job.task.directory)
        .env_clear()
        .envs(&job.task.environment)
        .env(lab::harness::FOLDER, &job.folder)
        .stdin(channel.try_clone()?)
        .stdout(channel.try_clone()?)
        .stderr(channel.try_clone()?);
    if !job.interactive {
        command.stdin(std::process::Stdio::null());
    }
    Ok(command)
}

/// Notices are for the lab, not for people.
fn tell(job: &Job, channel: &mut File, notice: &Notice) -> anyhow::Result<()> {
    if !job.interactive {
        channel.write_all(format!("{}\n", serde_json::to_string(notice)?).as_bytes())?;
    }
    Ok(())
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "done".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
