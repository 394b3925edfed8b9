//! The agent: wires the rooms together and runs until it is told to stop.
//!
//! ```text
//! async thread: watches, reports, health and metrics servers, signals
//!      │ events, summaries   ▲ demand
//!      ▼                     │
//! core thread: snapshot ─► plan ─► sync ─► kernel
//! ```
//!
//! At the end everything stays in the kernel as it is; the next agent takes it over.

mod core;
mod pace;
mod prepare;
mod reporter;
mod status;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::capacity::Pace;
use crate::config::Settings;
use crate::plan::Here;
use crate::reports::{self, Keys, Local};
use crate::serve::{self, Health, Metrics};
use crate::sync::{Linux, Syncer};
use crate::watch;
pub use core::{Core, Feed, Inbox, Observer, Report};
pub use pace::Pacer;
pub use reporter::Reporter;
use status::Status;

/// Runs an agent with these settings against the API server of a kubeconfig file, or without one
/// against that of the pod's cluster, until SIGTERM or SIGINT.
///
/// # Errors
/// If the kernel lacks something, or there is no way to reach an API server. An API server that
/// does not answer is no error: it is asked again for ever.
pub fn run(settings: &Settings, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    prepare::node(settings)?;
    let platform = Linux::open(prepare::base(settings)).map_err(|trouble| anyhow!(trouble))?;
    prepare::timeouts(settings)?;
    let syncer = Syncer::new(platform, settings.marks, settings.drain)
        .map_err(|trouble| anyhow!(trouble))
        .context("what a previous run left in the kernel cannot be read")?;

    let health = Arc::new(Health::default());
    let metrics = Arc::new(Metrics::default());
    let status = Status::new(health.clone(), metrics.clone());
    let here = Here {
        node: settings.node.as_str().into(),
        weights: settings.weights,
        scheduler: settings.scheduler,
        cluster: settings.cluster_id.as_deref().unwrap_or_default().into(),
        defaults: settings.defaults.clone(),
        ..Here::default()
    };

    let pacer = Pacer::new(Pace {
        tick: settings.tick,
        slow_start: settings.slow_start,
        ..Pace::default()
    });
    let (reporter, exchange) = reports(settings)?.unzip();
    let (feed, inbox) = Feed::new();
    let core = thread::Builder::new()
        .name("core".into())
        .spawn(move || {
            Core::new(syncer, pacer, here, status)
                .with_reporter(reporter)
                .run(&inbox);
        })
        .context("the core thread cannot be started")?;
    let ended = serve_and_watch(settings, kubeconfig, &feed, exchange, &health, &metrics);
    feed.stop();
    let panicked = core.join().is_err();
    if panicked {
        Err(anyhow!("the core thread has panicked"))
    } else {
        ended
    }
}

/// The two ends of the exchange of reports; none if it is off.
fn reports(settings: &Settings) -> anyhow::Result<Option<(Reporter, impl Future<Output = ()>)>> {
    /// Summaries come a few times a second, and the core takes them as often.
    const WAITING: usize = 16;
    let Some(wanted) = &settings.reports else {
        return Ok(None);
    };
    let keys = match &wanted.key_file {
        Some(path) => Keys::read(path)
            .with_context(|| format!("spillway.reports.keyFile: {}", path.display()))?,
        None => Keys::default(),
    };
    let (give, given) = tokio::sync::watch::channel(Local::default());
    let (tell, told) = mpsc::sync_channel(WAITING);
    let node: Arc<str> = settings.node.as_str().into();
    let reporter = Reporter::new(node.clone(), wanted.service.clone(), give, told);
    Ok(Some((reporter, reports::run(node, keys, given, tell))))
}

#[tokio::main(flavor = "current_thread")]
async fn serve_and_watch(
    settings: &Settings,
    kubeconfig: Option<&Path>,
    feed: &Feed,
    exchange: Option<impl Future<Output = ()>>,
    health: &Arc<Health>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let client = watch::client(kubeconfig).await.context("no API server")?;
    info!(node = settings.node, "watching");

    let problems = metrics.clone();
    let watches = watch::run(
        client,
        &settings.node,
        |event| feed.send(event),
        move |problem| problems.problem(problem.kind),
    );
    let hard = settings.bind_hard_fail;
    let probed = async {
        match settings.healthz {
            Some(at) => serve::healthz(at, hard, health.clone(), metrics.clone())
                .await
                .context("healthz"),
            None => std::future::pending().await,
        }
    };
    let scraped = async {
        match settings.metrics {
            Some(at) => serve::metrics(at, hard, metrics.clone())
                .await
                .context("metrics"),
            None => std::future::pending().await,
        }
    };
    let exchanged = async {
        if let Some(exchange) = exchange {
            exchange.await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = exchanged => Ok(()),
        () = watches => Err(anyhow!("the watches have ended")),
        ended = probed => ended,
        ended = scraped => ended,
        _ = terminate.recv() => {
            stopping("SIGTERM");
            Ok(())
        }
        _ = interrupt.recv() => {
            stopping("SIGINT");
            Ok(())
        }
        () = feed.closed() => Err(anyhow!("the core thread has ended")),
    }
}

fn stopping(signal: &str) {
    warn!(signal, "stopping; the kernel goes on serving as it is");
}
