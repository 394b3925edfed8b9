//! The watches themselves: one per kind, each going on for ever.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future, pin_mut};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tracing::{debug, info, warn};

use super::absence::{Absence, Refusal};
use super::attempts::{Attempts, Before};
use super::event::{Change, Event, Finding};
use super::kinds::{Kind, applied};
use super::names::Names;
use super::newer::Newer;
use super::objects::{
    ClusterProperty, EndpointSlice, Neighbour, Node, Service, ServiceCidr, ServiceImport,
};
use super::parse::Problem;
use super::retry::{Retry, spread, status};

/// How long the API server lets a watch run, in seconds. A connection that died in silence is
/// noticed at the latest 5 s after that.
pub(super) const WATCH_SECONDS: u32 = 60;
/// Objects per page where lists come in pages: a page is held in memory as a whole.
const PAGE: u32 = 250;
/// How long to wait after a list that the API server ended early without a word.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a kind is looked for that the cluster does not have.
const LOOK: Duration = Duration::from_mins(1);
/// Problems of one object that get a line in the log; the others are only counted.
const LOGGED: usize = 3;

/// Watches Services, `ServiceImports`, `EndpointSlices`, the Node called `node`, those Nodes that all
/// agents shall know, the property that holds the cluster's id and `ServiceCIDRs`, and hands every
/// change to `events` and what is odd about an object to `findings`.
///
/// Never returns: whatever the API server does, it is asked again.
pub async fn run(client: Client, node: &str, events: impl Fn(Event), findings: impl Fn(Finding)) {
    run_looking(client, node, LOOK, events, findings).await;
}

/// The same with another time between looks for a kind that is not there.
async fn run_looking(
    client: Client,
    node: &str,
    look: Duration,
    events: impl Fn(Event),
    findings: impl Fn(Finding),
) {
    let sink = Sink {
        events,
        findings,
        look,
    };
    // Each on the heap: together they are too large to be moved about.
    future::join3(
        Box::pin(watch::<Neighbour>(&client, node, &sink)),
        Box::pin(watch::<ServiceCidr>(&client, node, &sink)),
        future::join5(
            Box::pin(watch::<Service>(&client, node, &sink)),
            Box::pin(watch::<ServiceImport>(&client, node, &sink)),
            Box::pin(watch::<EndpointSlice>(&client, node, &sink)),
            Box::pin(watch::<Node>(&client, node, &sink)),
            Box::pin(watch::<ClusterProperty>(&client, node, &sink)),
        ),
    )
    .await;
}

/// Where the findings go.
struct Sink<E, F> {
    events: E,
    findings: F,
    look: Duration,
}

/// How the full list is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// As the beginning of the watch (KEP-3157), object by object.
    Streamed,
    /// By list requests, page by page: for API servers that refuse the other way.
    Paged,
}

/// What is remembered from one watch of a kind to the next.
struct Progress {
    names: Names,
    retry: Retry,
    listing: Listing,
    absence: Absence,
    newer: Newer,
}

/// Why a watch is over.
enum End {
    /// It has to be started in this way.
    Anew(Listing),
    /// The cluster is without the kind, or seems so.
    Refused(Refusal),
}

async fn watch<K: Kind>(
    client: &Client,
    node: &str,
    sink: &Sink<impl Fn(Event), impl Fn(Finding)>,
) {
    let mut progress = Progress {
        names: Names::default(),
        retry: Retry::default(),
        listing: Listing::Streamed,
        absence: Absence::default(),
        newer: Newer::default(),
    };
    loop {
        let mut refusal = Refusal::NotServed;
        for version in K::VERSIONS {
            let api = Api::<K>::all_with(client.clone(), version);
            refusal = attend(&api, node, &mut progress, sink).await;
            // What is allowed is so in all versions.
            if refusal == Refusal::Forbidden {
                break;
            }
        }
        let verdict = progress.absence.refused(refusal);
        if verdict.is_news {
            tell_absence(K::NAME, refusal, sink.look);
        }
        if verdict.is_empty {
            (sink.events)(K::event(Change::Listing));
            (sink.events)(K::event(Change::Listed));
        }
        // An API server that is starting may forbid everything until it knows its roles.
        let soon = verdict.is_news && refusal == Refusal::Forbidden;
        let look = if soon { sink.look / 12 } else { sink.look };
        tokio::time::sleep(spread(look)).await;
    }
}

fn tell_absence(kind: &str, refusal: Refusal, look: Duration) {
    match refusal {
        Refusal::NotServed => {
            info!(kind, look_again = ?look, "this cluster has no such kind and does without");
        }
        Refusal::Forbidden => warn!(
            kind,
            look_again = ?look,
            "the agent may not list and watch these, and does without; \
             apply the ClusterRole of daemonset/rbac.yaml"
        ),
    }
}

/// Follows one watch after the other for as long as the kind is served.
async fn attend<K: Kind>(
    api: &Api<K>,
    node: &str,
    progress: &mut Progress,
    sink: &Sink<impl Fn(Event), impl Fn(Finding)>,
) -> Refusal {
    loop {
        let selection = K::selection(node).timeout(WATCH_SECONDS);
        let config = match progress.listing {
            Listing::Streamed => selection.streaming_lists(),
            Listing::Paged => selection.page_size(PAGE),
        };
        match follow(api, config, progress, sink).await {
            End::Anew(listing) => progress.listing = listing,
            End::Refused(refusal) => return refusal,
        }
    }
}

/// Follows one watch to its end.
async fn follow<K: Kind>(
    api: &Api<K>,
    config: watcher::Config,
    progress: &mut Progress,
    sink: &Sink<impl Fn(Event), impl Fn(Finding)>,
) -> End {
    let kind = K::NAME;
    let listing = progress.listing;
    let stream = watcher(api.clone(), config);
    pin_mut!(stream);
    let mut attempts = Attempts::default();
    while let Some(next) = stream.next().await {
        let event = match next {
            Ok(event) => event,
            Err(error) => {
                attempts.failed();
                let code = status(&error).map(|status| status.code);
                let refusal = code.and_then(Refusal::of).filter(|_| K::OPTIONAL);
                if let Some(refusal) = refusal {
                    debug!(kind, "{}", brief(&error));
                    return End::Refused(refusal);
                }
                let wait = progress.retry.failed(&error, Instant::now());
                if listing == Listing::Streamed && matches!(code, Some(400 | 422)) {
                    info!(
                        kind,
                        "the API server does not stream lists; asking for pages"
                    );
                    return End::Anew(Listing::Paged);
                }
                if wait.tell {
                    warn!(kind, retry_in = ?wait.duration, "{}", brief(&error));
                } else {
                    debug!(kind, retry_in = ?wait.duration, "{}", brief(&error));
                }
                tokio::time::sleep(wait.duration).await;
                // The watcher goes back to the list for a 410 within a watch, but not for one in
                // answer to its start.
                if code == Some(410) && matches!(error, watcher::Error::WatchStartFailed(_)) {
                    return End::Anew(listing);
                }
                continue;
            }
        };
        // A list begins before the API server has answered, so its beginning proves nothing.
        if !matches!(event, watcher::Event::Init) {
            progress.retry.succeeded();
        }
        let change = match event {
            watcher::Event::Init => {
                match attempts.begins(Instant::now()) {
                    // An API server that knows nothing of streamed lists never says that one is
                    // complete.
                    Before::Never if listing == Listing::Streamed => {
                        info!(
                            kind,
                            "the API server did not complete streamed lists; asking for pages"
                        );
                        return End::Anew(Listing::Paged);
                    }
                    Before::Early => tokio::time::sleep(PAUSE).await,
                    Before::Well | Before::Never => {}
                }
                Change::Listing
            }
            watcher::Event::InitDone => {
                attempts.done();
                if progress.absence.listed() {
                    info!(kind, "this cluster has the kind now");
                }
                Change::Listed
            }
            watcher::Event::Delete(object) => Change::Delete(object.id(&mut progress.names)),
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                tell_unknown(&object, &mut progress.newer, &sink.findings);
                let (event, problems) = applied(object, &mut progress.names);
                report(&problems, &sink.findings);
                (sink.events)(event);
                continue;
            }
        };
        (sink.events)(K::event(change));
    }
    End::Anew(listing)
}

/// Each field that is not known gets one line for all objects that have it, and each object counts.
fn tell_unknown<K: Kind>(object: &K, newer: &mut Newer, sink: impl Fn(Finding)) {
    let unknown = newer.look(object);
    for _ in 0..unknown.fields {
        sink(Finding::Unknown(K::NAME));
    }
    for field in unknown.news {
        info!("{field}");
    }
}

fn report(problems: &[Problem], sink: impl Fn(Finding)) {
    for (index, problem) in problems.iter().enumerate() {
        sink(Finding::Problem(problem));
        if index < LOGGED {
            warn!("{problem}");
        }
    }
    if let (Some(problem), true) = (problems.first(), problems.len() > LOGGED) {
        let more = problems.len() - LOGGED;
        warn!(
            "{} {}: {more} more like these",
            problem.kind, problem.object
        );
    }
}

/// An error in words. The API server's own are shown as they are: `kube` adds the whole answer.
fn brief(error: &watcher::Error) -> String {
    if let Some(status) = status(error) {
        return format!("the API server says: {} ({})", status.message, status.code);
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
#[path = "stream_tests/mod.rs"]
mod tests;
