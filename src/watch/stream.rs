//! The watches themselves: one per kind, each going on for ever.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future, pin_mut};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tracing::{debug, info, warn};

use super::attempts::{Attempts, Before};
use super::event::{Change, Event};
use super::kinds::{Kind, applied};
use super::names::Names;
use super::objects::{EndpointSlice, Node, Service};
use super::parse::Problem;
use super::retry::{Retry, status};

/// How long the API server lets a watch run, in seconds. A connection that died in silence is
/// noticed at the latest 5 s after that.
pub(super) const WATCH_SECONDS: u32 = 60;
/// Objects per page where lists come in pages: a page is held in memory as a whole.
const PAGE: u32 = 250;
/// How long to wait after a list that the API server ended early without a word.
const PAUSE: Duration = Duration::from_millis(500);
/// Problems of one object that get a line in the log; the others are only counted.
const LOGGED: usize = 3;

/// Watches Services, `EndpointSlices` and the Node called `node`, and hands every change to
/// `events` and every part of an object that has to be left out to `problems`.
///
/// Never returns: whatever the API server does, it is asked again.
pub async fn run(client: Client, node: &str, events: impl Fn(Event), problems: impl Fn(&Problem)) {
    let sink = Sink { events, problems };
    future::join3(
        watch::<Service>(&client, node, &sink),
        watch::<EndpointSlice>(&client, node, &sink),
        watch::<Node>(&client, node, &sink),
    )
    .await;
}

/// Where the findings go.
struct Sink<E, P> {
    events: E,
    problems: P,
}

/// How the full list is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// As the beginning of the watch (KEP-3157), object by object.
    Streamed,
    /// By list requests, page by page: for API servers that refuse the other way.
    Paged,
}

async fn watch<K: Kind>(
    client: &Client,
    node: &str,
    sink: &Sink<impl Fn(Event), impl Fn(&Problem)>,
) {
    let api = Api::<K>::all(client.clone());
    let mut names = Names::default();
    let mut retry = Retry::default();
    let mut listing = Listing::Streamed;
    loop {
        let selection = K::selection(node).timeout(WATCH_SECONDS);
        let config = match listing {
            Listing::Streamed => selection.streaming_lists(),
            Listing::Paged => selection.page_size(PAGE),
        };
        listing = follow(&api, config, listing, &mut names, &mut retry, sink).await;
    }
}

/// Follows one watch until it has to be started in another way, which is returned.
async fn follow<K: Kind>(
    api: &Api<K>,
    config: watcher::Config,
    listing: Listing,
    names: &mut Names,
    retry: &mut Retry,
    sink: &Sink<impl Fn(Event), impl Fn(&Problem)>,
) -> Listing {
    let kind = K::kind(&());
    let stream = watcher(api.clone(), config);
    pin_mut!(stream);
    let mut attempts = Attempts::default();
    while let Some(next) = stream.next().await {
        let event = match next {
            Ok(event) => event,
            Err(error) => {
                attempts.failed();
                let wait = retry.failed(&error, Instant::now());
                let code = status(&error).map(|status| status.code);
                if listing == Listing::Streamed && matches!(code, Some(400 | 422)) {
                    info!(%kind, "the API server does not stream lists; asking for pages");
                    return Listing::Paged;
                }
                if wait.tell {
                    warn!(%kind, retry_in = ?wait.duration, "{}", brief(&error));
                } else {
                    debug!(%kind, retry_in = ?wait.duration, "{}", brief(&error));
                }
                tokio::time::sleep(wait.duration).await;
                // The watcher goes back to the list for a 410 within a watch, but not for one in
                // answer to its start.
                if code == Some(410) && matches!(error, watcher::Error::WatchStartFailed(_)) {
                    return listing;
                }
                continue;
            }
        };
        // A list begins before the API server has answered, so its beginning proves nothing.
        if !matches!(event, watcher::Event::Init) {
            retry.succeeded();
        }
        let change = match event {
            watcher::Event::Init => {
                match attempts.begins(Instant::now()) {
                    // An API server that knows nothing of streamed lists never says that one is
                    // complete.
                    Before::Never if listing == Listing::Streamed => {
                        info!(%kind, "the API server did not complete streamed lists; asking for pages");
                        return Listing::Paged;
                    }
                    Before::Early => tokio::time::sleep(PAUSE).await,
                    Before::Well | Before::Never => {}
                }
                Change::Listing
            }
            watcher::Event::InitDone => {
                attempts.done();
                Change::Listed
            }
            watcher::Event::Delete(object) => Change::Delete(object.id(names)),
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                let (event, problems) = applied(object, names);
                report(&problems, &sink.problems);
                (sink.events)(event);
                continue;
            }
        };
        (sink.events)(K::event(change));
    }
    listing
}

fn report(problems: &[Problem], sink: impl Fn(&Problem)) {
    for (index, problem) in problems.iter().enumerate() {
        sink(problem);
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
