//! `cargo lab shell` and `cargo lab demo`: a look around in the machine.

use std::env;

use anyhow::ensure;

use super::cargo::{Built, Workspace};
use super::{Options, show, task};
use crate::machine::job::Program;
use crate::machine::terminal;

/// Opens a shell in the machine, or runs one command of the shell's; the exit code.
pub fn shell(options: &Options, command: &[String]) -> anyhow::Result<u8> {
    if !command.is_empty() {
        let arguments = ["guest", "shell"].map(str::to_owned);
        return say(options, [&arguments[..], &[command.join(" ")]].concat());
    }
    ensure!(
        terminal::is_there(),
        "a shell needs a terminal; to run a command: cargo lab shell -- COMMAND"
    );
    let size = terminal::size().map_or_else(String::new, |size| format!("stty {size}; "));
    let script = format!("{size}exec bash");
    let arguments = ["guest", "shell", &script].map(str::to_owned).to_vec();
    let workspace = Workspace::find()?;
    let machine = options.machine(&workspace)?;
    let built = build(&workspace)?;
    machine
        .session()?
        .attach(task(&workspace, &built, vec![itself(arguments)?]))
}

/// Runs the demo in the machine; its exit code.
pub fn demo(options: &Options) -> anyhow::Result<u8> {
    say(options, ["guest", "demo"].map(str::to_owned).to_vec())
}

/// Runs the lab's own binary in the machine and prints what it says.
fn say(options: &Options, arguments: Vec<String>) -> anyhow::Result<u8> {
    let workspace = Workspace::find()?;
    let machine = options.machine(&workspace)?;
    let built = build(&workspace)?;
    let task = task(&workspace, &built, vec![itself(arguments)?]);
    machine.session()?.run(task, options.limit, show)
}

/// Spillway's own binary, as the tests have it: other ways to build it build all libraries again.
fn build(workspace: &Workspace) -> anyhow::Result<Vec<Built>> {
    workspace.build(&["test", "--workspace", "--no-run", "--test", "kernel"])
}

fn itself(arguments: Vec<String>) -> anyhow::Result<Program> {
    Ok(Program {
        name: "lab".to_owned(),
        path: env::current_exe()?,
        arguments,
    })
}
