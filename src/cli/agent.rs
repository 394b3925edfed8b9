use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::agent;
use crate::config::{self, Overrides};

const EXAMPLE: &str = "\
Example: on a node, as root, in place of its kube-proxy (the DaemonSet does the same in a pod):
  spillway agent --node east-1 --kubeconfig /var/lib/kube-proxy/kubeconfig.conf \\
      --config /var/lib/kube-proxy/config.conf
  curl localhost:10256/healthz";

/// Programs this node's kernel, and keeps it as the cluster wants it.
///
/// Needs the capability `NET_ADMIN` and, for sysctls, a writable /proc/sys/net. Takes over what a previous run
/// left and cuts no connection. SIGTERM ends it; the kernel then goes on serving as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A kubeconfig file [default: the pod's own service account]
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,

    /// A KubeProxyConfiguration file, v1alpha1; that of a kubeadm cluster's kube-proxy will do.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What to log, as in `info` or `spillway::sync=debug,info`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info,kube_client=error",
        env = "SPILLWAY_LOG"
    )]
    log: String,

    /// How to print log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    start_log(args)?;
    let (settings, warnings) = config::load(args.config.as_deref(), &args.overrides)?;
    for warning in warnings {
        warn!("{warning}");
    }
    agent::run(&settings, args.kubeconfig.as_deref())
}

fn start_log(args: &Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| {
        format!(
            "--log {}: not a filter like info or spillway=debug",
            args.log
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
