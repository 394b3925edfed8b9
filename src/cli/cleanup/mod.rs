//! `spillway cleanup`: a node without a service proxy's traces.

mod iptables;
mod servers;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::config::{self, Overrides, Settings};
use crate::kernel::ipvs::ServiceKey;
use crate::kernel::link::Link;
use crate::kernel::nft::Table;

const EXAMPLE: &str = "\
Example: on a node that has come from kube-proxy, while Spillway's agent runs:
  spillway cleanup --only kube-proxy --patience 3600

Example: on a node that has gone back to kube-proxy, while that runs:
  spillway cleanup --only spillway --patience 3600

Example: on a node that gets another proxy, as root, after its own has ended:
  spillway cleanup";

/// Takes everything of Spillway's and of kube-proxy's out of this node's kernel.
///
/// Of Spillway: the table and the virtual servers in its mark range. Of kube-proxy in mode ipvs,
/// iptables or nftables: its virtual servers, chains, sets and tables, with the node's own iptables,
/// ipset and nft, as far as it has them. Of both: the link kube-ipvs0 with the virtual addresses.
///
/// kube-proxy's virtual servers are all that have an address instead of a mark, but those in
/// excludeCIDRs: it tolerates no others itself. Where another program has some, name its range there.
///
/// Connections through Services end. Sysctls stay as they are, and so does what is another
/// program's. Stop a proxy before you take its things, or it will put them back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The agent's KubeProxyConfiguration file, if it sets a mark range of its own or excludeCIDRs
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Leave the other proxy its things, and the link, which both use
    #[arg(long, value_enum, value_name = "PROXY")]
    only: Option<Proxy>,

    /// How long connections through the virtual servers may take to end by themselves
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    patience: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxy {
    Spillway,
    KubeProxy,
}

pub fn run(args: &Args) -> Result<()> {
    let (settings, _) = config::load(args.config.as_deref(), &Overrides::default())?;
    let patience = Duration::from_secs(args.patience);
    match args.only {
        Some(Proxy::Spillway) => spillway(&settings, patience),
        Some(Proxy::KubeProxy) => kube_proxy(&settings, patience),
        None => both(&settings, patience),
    }
}

/// Takes out everything at once.
pub fn all(settings: &Settings) -> Result<()> {
    both(settings, Duration::ZERO)
}

fn both(settings: &Settings, patience: Duration) -> Result<()> {
    kube_proxy(settings, patience)?;
    spillway(settings, patience)?;
    Link::delete().context("the link kube-ipvs0 cannot be removed")?;
    println!("removed the link kube-ipvs0");
    Ok(())
}

fn kube_proxy(settings: &Settings, patience: Duration) -> Result<()> {
    // Rules first: those of its virtual servers that drain need none of them, since what was
    // translated once is translated for as long as its connection is tracked.
    for line in tools::remove()? {
        println!("kube-proxy: removed {line}");
    }
    let exclude = &settings.exclude_cidrs;
    let servers = servers::remove(|key| servers::is_kube_proxys(key, exclude), patience)?;
    println!("kube-proxy: removed {servers} virtual servers");
    Ok(())
}

fn spillway(settings: &Settings, patience: Duration) -> Result<()> {
    Table::delete().context("the nftables table cannot be removed")?;
    let is_ours = |key: &ServiceKey| matches!(key, ServiceKey::Mark { mark, .. } if settings.marks.mark(*mark).is_some());
    let servers = servers::remove(is_ours, patience)?;
    println!("Spillway: removed the table and {servers} virtual servers");
    Ok(())
}
