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

mod bulletin;
mod core;
mod firewall;
mod ground;
mod inbox;
mod lacking;
mod pace;
mod prepare;
mod reload;
mod reporter;
mod routes;
mod served;
mod status;

use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::capacity::Pace;
use crate::config::Settings;
use crate::model::Node;
use crate::plan::Here;
use crate::reports::{self, Keys};
use crate::serve::events::{Happening, Reason, Teller, Told, Writer};
use crate::serve::{Checks, Health, Local, Metrics};
use crate::sync::{Linux, Syncer};
use crate::watch::{self, Finding};
pub use core::{Core, Observer, Report};
use ground::Ground;
pub use inbox::{Defaults, Feed, Inbox};
pub use lacking::Policy;
pub use pace::Pacer;
use reload::Current;
pub use reload::Source;
pub use reporter::Reporter;
use served::Served;
use status::Status;

/// How long the reason why an agent ends may take to become an Event.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Sets up the node as far as that needs more rights than the agent itself: sysctls and time-outs.
///
/// # Errors
/// If the kernel lacks something.
pub fn init(settings: &Settings) -> anyhow::Result<()> {
    prepare::node(settings)?;
    prepare::timeouts(settings)
}

/// Runs an agent with these settings against the API server of its kubeconfig file or command line, or
/// without one against that of the pod's cluster, until SIGTERM or SIGINT.
///
/// # Errors
/// If the kernel lacks something, or there is no way to reach an API server. An API server that
/// does not answer is no error: it is asked again for ever.
pub fn run(settings: &Settings, source: &Source) -> anyhow::Result<()> {
    prepare::spare(settings);
    prepare::node(settings)?;
    let ground = Ground::new(settings);
    // Of the Node and the cluster nothing is known yet.
    let base = ground.base(&Node::default(), Vec::new());
    let platform = Linux::open(base.clone()).map_err(|trouble| anyhow!(trouble))?;
    prepare::timeouts_or_warn(settings);
    let syncer = Syncer::new(platform, settings.marks, settings.drain)
        .map_err(|trouble| anyhow!(trouble))
        .context("what a previous run left in the kernel cannot be read")?;

    let health = Arc::new(Health::new(settings.patience));
    let metrics = Arc::new(Metrics::default());
    let (teller, told) = Teller::new(metrics.clone());
    let served = Served {
        checks: Arc::new(Checks::new(health.clone())),
        health,
        metrics,
        teller,
    };
    let status = Status::new(
        served.health.clone(),
        served.checks.clone(),
        served.metrics.clone(),
        served.teller.clone(),
    );
    let here = Here {
        node: settings.node.as_str().into(),
        weights: settings.weights,
        scheduler: settings.scheduler,
        cluster: settings.cluster_id.as_deref().unwrap_or_default().into(),
        defaults: settings.defaults.clone(),
        without_external_ips: !settings.external_ips,
        without_ipv6: prepare::lacks_ipv6(settings),
        ips: settings.bind.into_iter().collect(),
        ..Here::default()
    };

    let pacer = Pacer::new(
        Pace {
            tick: settings.tick,
            slow_start: settings.slow_start,
            ..Pace::default()
        },
        &settings.node,
    );
    let (reporter, exchange) = reports(settings)?.unzip();
    let (feed, inbox) = Feed::new();
    let core = thread::Builder::new()
        .name("core".into())
        .spawn(move || {
            Core::new(syncer, pacer, here, status)
                .with_reporter(reporter)
                .with_ground(ground, base)
                .run(&inbox);
        })
        .context("the core thread cannot be started")?;
    let ended = serve_and_watch(settings, source, &feed, exchange, &served, told);
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
    let (give, given) = tokio::sync::watch::channel(reports::Local::default());
    let (tell, told) = mpsc::sync_channel(WAITING);
    let node: Arc<str> = settings.node.as_str().into();
    let reporter = Reporter::new(node.clone(), wanted.service.clone(), give, told);
    Ok(Some((reporter, reports::run(node, keys, given, tell))))
}

#[tokio::main(flavor = "current_thread")]
async fn serve_and_watch(
    settings: &Settings,
    source: &Source,
    feed: &Feed,
    exchange: Option<impl Future<Output = ()>>,
    served: &Served,
    told: Told,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let local = local(settings.socket.as_deref())?;
    let Served {
        checks,
        metrics,
        teller,
        ..
    } = served;
    let current = Current::new(settings.clone());
    let client = watch::client(kubeconfig(settings, source), source.master.as_deref())
        .await
        .context("no API server")?;
    info!(node = settings.node, "watching");

    let writer = Writer::new(client.clone(), &settings.node, metrics.clone());
    let mut events = pin!(writer.run(told));
    served.tell(
        settings,
        Reason::Starting,
        "",
        "the service proxy has started",
    );
    let found = metrics.clone();
    let problem_teller = teller.clone();
    let watches = watch::run(
        client,
        &settings.node,
        |event| feed.send(event),
        move |finding| match finding {
            Finding::Problem(problem) => {
                found.problem(problem.kind);
                if let Some(happening) = Happening::of(problem) {
                    problem_teller.tell(happening);
                }
            }
            Finding::Unknown(kind) => found.unknown_field(kind),
        },
    );
    let asked = async {
        match local {
            Some(local) => {
                let feed = feed.clone();
                local.serve(move |ask| feed.ask(ask)).await;
            }
            None => std::future::pending().await,
        }
    };
    let exchanged = async {
        if let Some(exchange) = exchange {
            exchange.await;
        }
        std::future::pending::<()>().await;
    };
    let waits = |waits| metrics.restart_needed(waits);
    let followed = reload::follow(source, &current, waits, |new| {
        feed.defaults(Defaults {
            weights: new.weights,
            scheduler: new.scheduler,
            tuning: new.defaults.clone(),
            ground: Ground::new(&new),
            external_ips: new.external_ips,
        });
        if let Err(error) = init(&new) {
            warn!("not all of the new configuration has taken effect: {error:#}");
        }
    });
    let ended = tokio::select! {
        () = followed => Err(anyhow!("nobody looks after the configuration file")),
        () = checks.clone().serve(teller.clone()) => Err(anyhow!("the health checks have ended")),
        () = exchanged => Ok(()),
        () = firewall::watch(settings, served) => Err(anyhow!("nobody looks after firewalls")),
        () = watches => Err(anyhow!("the watches have ended")),
        () = &mut events => Err(anyhow!("the writer of Events has ended")),
        () = asked => Err(anyhow!("the local socket has ended")),
        ended = served.health(settings) => ended,
        ended = served.metrics(settings, current.clone()) => ended,
        _ = terminate.recv() => {
            stopping("SIGTERM");
            Ok(())
        }
        _ = interrupt.recv() => {
            stopping("SIGINT");
            Ok(())
        }
        () = feed.closed() => Err(anyhow!("the core thread has ended")),
    };
    if ended.is_err() {
        // Nobody says when it is written, and a process that ends in an error is in no hurry.
        let _ = tokio::time::timeout(LAST_WORD, events).await;
    }
    ended
}

/// The kubeconfig file: that of the command line, or that of the configuration file. Where that one
/// does not exist, as in a pod that has kube-proxy's file without its mounts, the pod's own account
/// has to do.
fn kubeconfig<'a>(settings: &'a Settings, source: &'a Source) -> Option<&'a Path> {
    if let Some(path) = &source.kubeconfig {
        return Some(path);
    }
    let path = settings.kubeconfig.as_deref()?;
    if path.exists() {
        return Some(path);
    }
    let path = path.display();
    let instead = match &source.master {
        Some(url) => format!("{url} is asked without saying who asks"),
        None => "the pod's service account is used".to_owned(),
    };
    warn!("clientConnection.kubeconfig: there is no {path}; {instead}");
    None
}

/// Takes the local socket. Only another agent there is a reason not to run: connections matter more
/// than a window on them.
fn local(path: Option<&Path>) -> anyhow::Result<Option<Local>> {
    let Some(path) = path else { return Ok(None) };
    match Local::bind(path) {
        Ok(local) => Ok(Some(local)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error.into()),
        Err(error) => {
            warn!("no `spillway routes` and `spillway why` on this node: {error}");
            Ok(None)
        }
    }
}

fn stopping(signal: &str) {
    warn!(signal, "stopping; the kernel goes on serving as it is");
}
