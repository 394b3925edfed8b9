use anyhow::Context;

use crate::config::{self, Overrides};
use crate::kernel::ipvs::{Client, Command, ServiceKey};
use crate::kernel::link::Link;
use crate::kernel::nft::Table;

const EXAMPLE: &str = "\
Example: on a node that goes back to kube-proxy, as root, after its agent has ended:
  spillway cleanup
  ipvsadm --list    # what is left is not Spillway's";

/// Takes everything of Spillway's out of this node's kernel: the table, the virtual servers in its
/// mark range, and the link kube-ipvs0 with the virtual addresses.
///
/// Connections through Services end. Sysctls stay as they are, and so does what is not Spillway's.
/// Stop the agent first, or it will put everything back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The agent's KubeProxyConfiguration file, if it sets a mark range of its own.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let (settings, _) = config::load(args.config.as_deref(), &Overrides::default())?;
    Table::delete().context("the nftables table cannot be removed")?;
    let mut ipvs = Client::connect()?;
    let ours: Vec<Command> = ipvs
        .services()?
        .iter()
        .map(|entry| entry.service.key)
        .filter(|key| matches!(key, ServiceKey::Mark { mark, .. } if settings.marks.mark(*mark).is_some()))
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
