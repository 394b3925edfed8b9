//! What the lab needs of Debian: a few installed packages, and a few only downloaded and unpacked.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::unistd::Uid;

use super::step::step;

/// Installs the packages whose program is not there yet. Each is given as (program, package).
pub fn install_missing(needed: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|&(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    update_lists()?;
    step(&format!("installing {}", missing.join(", ")), || {
        let install = ["install", "--yes", "--no-install-recommends"];
        output_of(apt_get_as_root().args(install).args(&missing))
            .map(drop)
            .with_context(|| format!("the lab needs the packages {missing:?}"))
    })
}

/// Reads the newest package lists; a fresh machine may have none.
pub fn update_lists() -> anyhow::Result<()> {
    step("reading Debian's package lists", || {
        output_of(apt_get_as_root().arg("update")).map(drop)
    })
}

/// Downloads a package into `folder` and unpacks it there without installing it.
pub fn unpack(package: &str, folder: &Path) -> anyhow::Result<()> {
    let size: u64 = field(package, "Size")?.parse().context("package size")?;
    let label = format!("downloading {package}, {} MB", size.div_ceil(1_000_000));
    step(&label, || {
        let download = folder.join("download");
        std::fs::create_dir_all(&download)?;
        let mut apt_get = Command::new("apt-get");
        output_of(apt_get.args(["download", package]).current_dir(&download))?;
        for archive in std::fs::read_dir(&download)? {
            let mut dpkg = Command::new("dpkg");
            output_of(dpkg.arg("--extract").arg(archive?.path()).arg(folder))?;
        }
        Ok(std::fs::remove_dir_all(&download)?)
    })
}

/// The first package that `package` depends on.
pub fn dependency(package: &str) -> anyhow::Result<String> {
    let depends = field(package, "Depends")?;
    let first = depends.split([',', ' ', '|']).next();
    Ok(first.unwrap_or_default().to_owned())
}

/// One field of the newest version of a package.
fn field(package: &str, name: &str) -> anyhow::Result<String> {
    let record = output_of(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
    record
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(str::to_owned)
        .with_context(|| format!("package {package} has no field {name}"))
}

/// Whether a program is found where root finds its programs.
fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

/// `apt-get` with root's rights, asking nothing.
fn apt_get_as_root() -> Command {
    let mut command = if Uid::effective().is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--non-interactive", "env"]);
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

/// Runs a command to its end; its standard output, or an error with all that it printed.
pub fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let described = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {described}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{described}: {}\n{text}{errors}", output.status);
    }
    Ok(text)
}
