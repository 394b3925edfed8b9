//! `spillway cleanup`: a node without a service proxy's traces.

mod iptables;
mod servers;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::config::{self, Overrides, Settings};
use crate::kernel::ipvs::{Client, Command, ServiceKey};
use crate::kernel::link::Link;
use crate::kernel::nft::Table;
use servers::Addresses;

const EXAMPLE: &str = "\
Example: on a node that goes back to kube-proxy, as root, after its agent has ended:
  spillway cleanup
  ipvsadm --list    # what is left is not Spillway's

Example: on a node that has come from kube-proxy, while Spillway's agent runs:
  spillway cleanup --kube-proxy --patience 3600";

/// Takes everything of Spillway's and of kube-proxy's out of this node's kernel.
///
/// Of Spillway: the table, the virtual servers in its mark range, and the link kube-ipvs0 with the
/// virtual addresses. Of kube-proxy in mode ipvs, iptables or nftables: its virtual servers, chains,
/// sets and tables, with the node's own iptables, ipset and nft, as far as it has them.
///
/// Connections through Services end. Sysctls stay as they are, and so does what is another program's.
/// Stop the proxies first, or they will put everything back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The agent's KubeProxyConfiguration file, if it sets a mark range of its own or excludeCIDRs.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only what kube-proxy left; Spillway goes on.
    #[arg(long)]
    kube_proxy: bool,

    /// How long connections through kube-proxy's virtual servers may take to end by themselves
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    patience: u64,
}

pub fn run(args: &Args) -> Result<()> {
    let (settings, _) = config::load(args.config.as_deref(), &Overrides::default())?;
    let patience = Duration::from_secs(args.patience);
    if args.kube_proxy {
        kube_proxy(&settings, patience)
    } else {
        // While the link still tells what is kube-proxy's.
        kube_proxy(&settings, patience)?;
        spillway(&settings)
    }
}

/// Takes out everything at once.
pub fn all(settings: &Settings) -> Result<()> {
    kube_proxy(settings, Duration::ZERO)?;
    spillway(settings)
}

fn kube_proxy(settings: &Settings, patience: Duration) -> Result<()> {
    let addresses = Addresses::read()?;
    // Rules first: those of its virtual servers that drain need none of them, since what was
    // translated once is translated for as long as its connection is tracked.
    for line in tools::remove()? {
        println!("kube-proxy: removed {line}");
    }
    let servers = servers::remove(&addresses, &settings.exclude_cidrs, patience)?;
    println!("kube-proxy: removed {servers} virtual servers");
    Ok(())
}

fn spillway(settings: &Settings) -> Result<()> {
    Table::delete().context("the nftables table cannot be removed")?;
    let mut ipvs = Client::connect()?;
    let is_ours = |key: &ServiceKey| matches!(key, ServiceKey::Mark { mark, .. } if settings.marks.mark(*mark).is_some());
    let ours: Vec<Command> = ipvs
        .services()?
        .iter()
        .map(|entry| entry.service.key)
        .filter(is_ours)
        .map(Command::DelService)
        .collect();
    ipvs.submit(&ours)
        .context("the virtual servers cannot be removed")?;
    Link::delete().context("the link kube-ipvs0 cannot be removed")?;
    println!(
        "removed the table, {} virtual servers and the link",
        ours.len()
    );
    Ok(())
}
