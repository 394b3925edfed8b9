//! What a machine is started for. The host writes it down, the guest reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Programs to run one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    /// The programs.
    pub programs: Vec<Program>,
    /// Their working folder.
    pub directory: PathBuf,
    /// Their whole environment.
    pub environment: BTreeMap<String, String>,
}

/// One program of a task.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// What to call it in reports.
    pub name: String,
    /// The file to run.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A task with what the guest needs to know of the machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// The task.
    pub task: Task,
    /// The run's folder, the only one that outlives the machine.
    pub folder: PathBuf,
    /// Whether a person sits at the other end.
    pub interactive: bool,
    /// The kernel modules to put at `/lib/modules`.
    pub modules: PathBuf,
}

/// How a notice begins.
const NOTICE: &str = r#"{"lab":"#;

/// What the guest says about a job, one a line, amid the output of the programs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lab", rename_all = "lowercase")]
pub enum Notice {
    /// The machine is up.
    Up,
    /// A program starts.
    Started {
        /// Its name.
        program: String,
    },
    /// A program has ended.
    Ended {
        /// Its name.
        program: String,
        /// Its exit code, or the signal that killed it, in words.
        status: String,
    },
}

impl Notice {
    /// The notice at the end of a line, and what a program left before it without ending the line.
    pub fn in_line(line: &str) -> Option<(&str, Self)> {
        let (text, notice) = line.split_at(line.rfind(NOTICE)?);
        Some((text, serde_json::from_str(notice).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_found_behind_an_unfinished_line() {
        let line = serde_json::to_string(&Notice::Up).expect("it is plain data");
        assert_eq!(Notice::in_line(&line), Some(("", Notice::Up)));
        let line = format!("half a line{line}");
        assert_eq!(Notice::in_line(&line), Some(("half a line", Notice::Up)));
        assert_eq!(Notice::in_line(r#"{"lab": true}"#), None);
    }
}
