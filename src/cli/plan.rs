use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use super::show;
use crate::config::{self, Overrides};
use crate::plan::{Here, ServicePlan, plan};
use crate::snapshot::Snapshot;
use crate::watch::{Change, Event, read_manifests};

const EXAMPLE: &str = "\
Example: where would east-1 send connections if the cluster were like this?
  kubectl get services,endpointslices,nodes -A -o yaml > cluster.yaml
  spillway plan -f cluster.yaml --node east-1";

/// Shows what an agent would program, from manifests alone.
///
/// Needs neither root nor a kernel with IPVS. Give it the Services, EndpointSlices and (for zones)
/// Nodes of a cluster, for example from `kubectl get services,endpointslices,nodes -A -o yaml`,
/// and in a set of clusters also its ServiceImports and ClusterProperties.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A YAML file or a folder of them; may be given several times.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "MANIFESTS",
        required = true
    )]
    files: Vec<PathBuf>,

    /// The node to plan for, as its Node object is named; in lower case, as all Nodes are.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: String,

    /// The agent's KubeProxyConfiguration file, for its weights, scheduler and other defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How to print the plan.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let overrides = Overrides {
        node: Some(args.node.clone()),
        ..Overrides::default()
    };
    let (settings, warnings) = config::load(args.config.as_deref(), &overrides)?;
    for warning in &warnings {
        eprintln!("spillway: {warning}");
    }
    let (events, problems) = read_manifests(&args.files, &settings.node)?;
    for problem in &problems {
        eprintln!("spillway: {problem}");
    }
    if !events.iter().any(is_node) {
        eprintln!(
            "spillway: the manifests hold no Node {}: its zone is not known, so no endpoint is in \
             it; check --node, or add the Node",
            settings.node
        );
    }

    let cluster = settings.cluster_id.as_deref().map(Arc::from);
    let mut snapshot = Snapshot::of_cluster(cluster).on_node_at(settings.bind);
    for event in events {
        snapshot.apply(event);
    }
    ensure!(
        snapshot.service_count() > 0,
        "the manifests hold no Service that is to be programmed"
    );
    let here = Here {
        node: Arc::from(settings.node.as_str()),
        zone: snapshot.node().zone.clone(),
        ips: snapshot.node().ips.clone(),
        weights: settings.weights,
        scheduler: settings.scheduler,
        cluster: snapshot.cluster_id().cloned().unwrap_or_default(),
        defaults: settings.defaults,
        without_external_ips: !settings.external_ips,
        without_ipv6: false,
        tuning: snapshot.node().tuning.clone(),
        neighbours: snapshot.take_neighbours().unwrap_or_default(),
    };
    let plans: Vec<ServicePlan> = snapshot
        .take_touched()
        .iter()
        .filter_map(|id| Some(plan(snapshot.service(id)?, &snapshot.slices(id), &here)))
        .collect();
    let ports = plans.iter().flatten();
    match args.output {
        Output::Table => print!("{}", show::table(ports)),
        Output::Json => println!(
            "{}",
            show::json(ports).context("the plan cannot be written as JSON")?
        ),
    }
    Ok(())
}

fn is_node(event: &Event) -> bool {
    matches!(event, Event::Node(Change::Apply(_)))
}
