//! What cargo knows of the workspace, and what it builds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::machine::packages::output_of;
use crate::machine::tied::tied;

/// The workspace.
#[derive(Deserialize)]
pub struct Workspace {
    /// The folder of the root package.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<PackageMetadata>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    lab: Option<LabMetadata>,
}

/// `[package.metadata.lab]`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LabMetadata {
    #[serde(default)]
    host_benches: Vec<String>,
}

#[derive(Clone, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|own| own == kind)
    }
}

/// A program that cargo has built.
pub struct Built {
    /// The target's name.
    pub name: String,
    /// The target's kind: `lib`, `bin`, `test`, `bench`.
    pub kind: String,
    /// The file.
    pub path: PathBuf,
    /// The folder of its package.
    pub directory: PathBuf,
    /// Whether it is a test program rather than the thing itself.
    pub is_test: bool,
}

/// A message of `--message-format=json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Workspace {
    /// The workspace that this is called in.
    pub fn find() -> anyhow::Result<Self> {
        let metadata = output_of(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
        Ok(serde_json::from_str(&metadata)?)
    }

    /// Where the lab keeps its files.
    pub fn lab_folder(&self) -> PathBuf {
        self.target_directory.join("lab")
    }

    /// The names of the root package's targets of a kind: `test`, `bench`.
    pub fn root_targets(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.root_package()
            .flat_map(|package| &package.targets)
            .filter(move |target| target.is(kind))
            .map(|target| target.name.as_str())
    }

    /// Whether a benchmark of the root package needs no kernel, by its manifest.
    pub fn is_host_bench(&self, name: &str) -> bool {
        self.root_package()
            .filter_map(|package| package.metadata.as_ref()?.lab.as_ref())
            .any(|lab| lab.host_benches.iter().any(|own| own == name))
    }

    fn root_package(&self) -> impl Iterator<Item = &Package> {
        let manifest = self.root.join("Cargo.toml");
        self.packages
            .iter()
            .filter(move |package| package.manifest_path == manifest)
    }

    /// Builds by `cargo ARGUMENTS` and tells what came out of it. Compiler messages go to standard
    /// error.
    pub fn build(&self, arguments: &[&str]) -> anyhow::Result<Vec<Built>> {
        let output = cargo()
            .args(arguments)
            .arg("--message-format=json-render-diagnostics")
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("start cargo")?;
        ensure!(
            output.status.success(),
            "cargo {} failed",
            arguments.join(" ")
        );
        String::from_utf8(output.stdout)?
            .lines()
            .filter_map(built)
            .collect()
    }
}

/// What a line of cargo's output says was built, if anything that runs.
fn built(line: &str) -> Option<anyhow::Result<Built>> {
    let message: Message = match serde_json::from_str(line) {
        Ok(message) => message,
        Err(error) => return Some(Err(error).context("read cargo's output")),
    };
    if message.reason != "compiler-artifact" {
        return None;
    }
    let target = message.target?;
    Some(Ok(Built {
        kind: target.kind.first()?.clone(),
        name: target.name,
        path: message.executable?,
        directory: message
            .manifest_path
            .as_deref()
            .and_then(Path::parent)?
            .to_owned(),
        is_test: message.profile?.test,
    }))
}

/// Cargo, as if the lab had been started without it.
///
/// `cargo run` describes the lab's own package in the environment. Some build scripts ask to run
/// again when that changes, and with them everything that depends on them would.
fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = tied("TERM", program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_told_from_what_it_tests() {
        let line = |test| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"/w/Cargo.toml",
                "target":{{"name":"spillway","kind":["bin"],"src_path":"/w/src/main.rs"}},
                "profile":{{"opt_level":"1","test":{test}}},"executable":"/t/spillway"}}"#
            )
            .replace('\n', "")
        };
        for test in [true, false] {
            let built = built(&line(test)).expect("a program").expect("readable");
            assert_eq!(built.is_test, test);
            assert_eq!(built.kind, "bin");
            assert_eq!(built.path, Path::new("/t/spillway"));
            assert_eq!(built.directory, Path::new("/w"));
        }
    }

    #[test]
    fn the_manifest_says_which_benchmarks_need_no_kernel() {
        let metadata = r#"{"workspace_root": "/w", "target_directory": "/w/target", "packages": [
            {"manifest_path": "/w/Cargo.toml", "targets": [],
             "metadata": {"lab": {"host-benches": ["plan"]}}},
            {"manifest_path": "/w/tests/lab/Cargo.toml", "targets": [], "metadata": null}]}"#;
        let workspace: Workspace = serde_json::from_str(metadata).expect("metadata");
        assert!(workspace.is_host_bench("plan"));
        assert!(!workspace.is_host_bench("cold_sync"));
    }

    #[test]
    fn what_does_not_run_is_left_out() {
        let library = r#"{"reason":"compiler-artifact","manifest_path":"/w/Cargo.toml",
            "target":{"name":"x","kind":["lib"]},"profile":{"test":false},"executable":null}"#;
        assert!(built(&library.replace('\n', "")).is_none());
        assert!(built(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
