//! The node's own tools, for what netlink does not reach: legacy iptables and ipsets. Only this
//! command calls them, never the agent.

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use super::iptables;

/// Under these names a node may have iptables, and what one of them shows another may not.
const IPTABLES: [&str; 6] = [
    "iptables",
    "ip6tables",
    "iptables-legacy",
    "ip6tables-legacy",
    "iptables-nft",
    "ip6tables-nft",
];
/// The tables of kube-proxy's mode nftables.
const TABLES: [[&str; 2]; 2] = [["ip", "kube-proxy"], ["ip6", "kube-proxy"]];

/// Takes out what kube-proxy left, in any of its modes. Returns a line for each thing that was.
pub fn remove() -> Result<Vec<String>> {
    let mut done = Vec::new();
    for name in IPTABLES {
        // A kernel without these tables has nothing in them.
        let saved = output(&format!("{name}-save"), &[]).unwrap_or_else(|error| {
            eprintln!("spillway: passed over: {error:#}");
            None
        });
        let Some(saved) = saved else { continue };
        if let Some(script) = iptables::removal(&saved) {
            let restore = format!("{name}-restore");
            // It waits for whoever holds the lock, as kube-proxy does.
            feed(&restore, &["--noflush", "--wait", "5"], &script)?;
            let chains = script
                .lines()
                .filter(|line| line.starts_with("-X "))
                .count();
            done.push(format!("{chains} chains of {name}"));
        }
    }
    let sets = output("ipset", &["list", "-name"])?.unwrap_or_default();
    let sets: Vec<&str> = sets
        .lines()
        .filter(|name| name.starts_with("KUBE-"))
        .collect();
    for set in &sets {
        output("ipset", &["destroy", set])?;
    }
    if !sets.is_empty() {
        done.push(format!("{} sets of ipset", sets.len()));
    }
    let tables = output("nft", &["list", "tables"])?.unwrap_or_default();
    for [family, table] in TABLES {
        if tables
            .lines()
            .any(|line| line == format!("table {family} {table}"))
        {
            output("nft", &["delete", "table", family, table])?;
            done.push(format!("table {family} {table}"));
        }
    }
    Ok(done)
}

/// What a tool prints; none if the node does not have it.
fn output(tool: &str, arguments: &[&str]) -> Result<Option<String>> {
    let output = match Command::new(tool).args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output.with_context(|| format!("{tool} cannot be run"))?,
    };
    check(tool, arguments, &output)?;
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn feed(tool: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{tool} cannot be run"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("{tool} does not listen"))?;
    }
    let output = child.wait_with_output()?;
    check(tool, arguments, &output)
}

/// A tool that fails says why.
fn check(tool: &str, arguments: &[&str], output: &Output) -> Result<()> {
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{tool} {}: {}", arguments.join(" "), error.trim());
    }
    Ok(())
}
