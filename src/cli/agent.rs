use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::cleanup;
use crate::agent::{self, Source};
use crate::config::{self, Overrides, boolean};

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

    /// URL of the API server [default: that of the kubeconfig file]; without a kubeconfig file it is not
    /// told who asks
    #[arg(long, value_name = "URL")]
    master: Option<String>,

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

    /// Write the configuration in effect to a file, and end.
    #[arg(long, value_name = "FILE")]
    write_config_to: Option<PathBuf>,

    /// Set up the node's sysctls and time-outs, and end: the agent itself then needs fewer rights.
    #[arg(long, conflicts_with = "write_config_to", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    init_only: Option<bool>,

    /// The same as `spillway cleanup`
    #[arg(long, conflicts_with_all = ["write_config_to", "init_only"], value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_parser = boolean)]
    cleanup: Option<bool>,

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
    if let Some(path) = &args.write_config_to {
        // JSON is YAML, too.
        let text = format!("{:#}\n", settings.written());
        return std::fs::write(path, text)
            .with_context(|| format!("--write-config-to {}", path.display()));
    }
    if args.init_only == Some(true) {
        return agent::init(&settings);
    }
    if args.cleanup == Some(true) {
        return cleanup::all(&settings);
    }
    let source = Source {
        config: args.config.clone(),
        overrides: args.overrides.clone(),
        kubeconfig: args.kubeconfig.clone(),
        master: args.master.clone(),
    };
    agent::run(&settings, &source)
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
