//! What `cargo lab` can do.

pub mod bench;
mod cargo;
mod host;
mod report;
pub mod shell;
mod stream;
pub mod test;

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use cargo::{Built, Workspace};

use crate::machine::Machine;
use crate::machine::job::{Notice, Program, Task};
use crate::machine::packages::install_missing;

/// What tests compare the kernel's state with, and what people look around with.
const TOOLS: [(&str, &str); 7] = [
    ("ip", "iproute2"),
    ("ipvsadm", "ipvsadm"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("ipset", "ipset"),
    ("curl", "curl"),
];

/// What all of it has in common.
pub struct Options {
    /// Whether to run on this machine's own kernel.
    pub native: bool,
    /// Whether to show the kernel's console and the output of tests that pass.
    pub verbose: bool,
    /// The longest that the machine may run.
    pub limit: Duration,
}

impl Options {
    fn machine(&self, workspace: &Workspace) -> anyhow::Result<Machine> {
        install_missing(&TOOLS)?;
        Machine::prepare(
            &workspace.lab_folder(),
            self.native,
            self.verbose,
            self.limit,
        )
    }
}

/// Prints what a program in the machine prints.
fn show(line: &str) {
    match Notice::in_line(line) {
        Some(("", _)) => {}
        Some((text, _)) => println!("{text}"),
        None => println!("{line}"),
    }
}

/// What programs in the machine may know of the environment here. Not `RUST_BACKTRACE`: reading
/// debug information takes seconds on an emulated processor.
const ENVIRONMENT: [&str; 6] = [
    "PATH",
    "HOME",
    "TERM",
    "LANG",
    "RUST_LOG",
    lab::harness::LIMIT,
];

/// Where programs find Spillway's own binary.
const SPILLWAY: &str = "SPILLWAY_BIN";

fn task(workspace: &Workspace, built: &[Built], programs: Vec<Program>) -> Task {
    let mut environment: BTreeMap<String, String> = ENVIRONMENT
        .iter()
        .filter_map(|&name| Some((name.to_owned(), env::var(name).ok()?)))
        .collect();
    environment.insert(lab::harness::IN_LAB.to_owned(), "1".to_owned());
    let spillway = built
        .iter()
        .find(|built| built.kind == "bin" && built.name == "spillway" && !built.is_test);
    if let Some(spillway) = spillway {
        environment.insert(SPILLWAY.to_owned(), spillway.path.display().to_string());
    }
    Task {
        programs,
        directory: workspace.root.clone(),
        environment,
    }
}
