//! WATCH: the changes of a collection as JSON lines.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, Sleep};

use crate::error::Refusal;
use crate::kinds::Kind;
use crate::object::{Form, Object};
use crate::request::Query;
use crate::selector::Filter;
use crate::shared::{CutOff, Shared, State};
use crate::store::Change;

/// What a watch without `timeoutSeconds` gets: kube-apiserver's `--min-request-timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);
/// Lines are sent together up to this size, in bytes.
const FRAME: usize = 64 * 1024;
/// Changes that are read from the history at a time.
const BATCH: usize = 1024;

/// One line to send.
enum Line {
    Event(&'static str, Arc<Object>),
    Bookmark {
        version: u64,
        ends_initial_events: bool,
    },
    Error(Refusal),
}

/// A watch under way.
pub struct Watch {
    shared: Arc<Shared>,
    kind: &'static Kind,
    filter: Filter,
    form: Form,
    bookmarks: bool,
    /// All changes up to this version are sent or in `lines`.
    version: u64,
    lines: VecDeque<Line>,
    changed: watch::Receiver<u64>,
    cut: watch::Receiver<u64>,
    bookmark: Interval,
    timeout: Pin<Box<Sleep>>,
    ended: bool,
}

impl Watch {
    /// Starts a watch where its parameters say. A version that is compacted becomes an ERROR
    /// event, as in Kubernetes, where the answer's head is sent before the history is looked at.
    pub fn start(
        shared: &Arc<Shared>,
        state: &mut State,
        kind: &'static Kind,
        filter: Filter,
        query: &Query,
        form: Form,
    ) -> Result<Self, Refusal> {
        let timeout = query
            .number("timeoutSeconds")?
            .filter(|seconds| *seconds > 0);
        let every = state.config.bookmark_interval;
        let mut watch = Self {
            kind,
            filter,
            form,
            bookmarks: query.flag("allowWatchBookmarks") == Some(true),
            version: state.store.version(),
            lines: VecDeque::new(),
            changed: state.store.subscribe(kind),
            cut: shared.cut.subscribe(),
            bookmark: tokio::time::interval_at(Instant::now() + every, every),
            timeout: Box::pin(tokio::time::sleep(
                timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
            )),
            ended: false,
            shared: Arc::clone(shared),
        };
        let since = query.number("resourceVersion")?.unwrap_or_default();
        match initial_events(query, state.config.watch_list)? {
            Some(true) => {
                watch.show_all(state);
                watch.bookmark(true);
            }
            None if since == 0 => watch.show_all(state),
            Some(false) if since == 0 => {}
            Some(false) | None => match state.store.check_not_compacted(kind, since) {
                Ok(()) => watch.version = since,
                Err(refusal) => watch.fail(refusal),
            },
        }
        Ok(watch)
    }

    /// The lines as an HTTP body.
    pub fn into_stream(self) -> impl Stream<Item = Result<Frame<Bytes>, CutOff>> {
        stream::unfold(self, |mut watch| async {
            let bytes = watch.next().await.transpose()?;
            Some((bytes.map(Frame::data), watch))
        })
    }

    fn show_all(&mut self, state: &mut State) {
        let objects = state.store.objects(self.kind).iter();
        let matching = objects
            .filter(|(key, object)| self.filter.admits_key(key) && self.filter.admits(object));
        self.lines
            .extend(matching.map(|(_, object)| Line::Event("ADDED", Arc::clone(object))));
    }

    fn bookmark(&mut self, ends_initial_events: bool) {
        if self.bookmarks {
            self.lines.push_back(Line::Bookmark {
                version: self.version,
                ends_initial_events,
            });
        }
    }

    fn fail(&mut self, refusal: Refusal) {
        self.lines.push_back(Line::Error(refusal));
        self.ended = true;
    }

    /// The next bytes; `None` at the proper end of the watch.
    async fn next(&mut self) -> Result<Option<Bytes>, CutOff> {
        loop {
            if !self.lines.is_empty() {
                return Ok(Some(self.frame()));
            }
            if self.ended {
                return Ok(None);
            }
            self.read_changes();
            if self.lines.is_empty() && !self.ended {
                self.wait().await?;
            }
        }
    }

    fn read_changes(&mut self) {
        let mut state = self.shared.state();
        self.changed.borrow_and_update();
        match state.store.changes(self.kind, self.version, BATCH) {
            Ok(changes) => {
                let all_read = changes.len() < BATCH;
                let newest = changes.last().map_or(self.version, |change| change.version);
                // A watch may start at a version to come, and waits for it.
                self.version = if all_read {
                    state.store.version().max(self.version)
                } else {
                    newest
                };
                drop(state);
                let seen = |change: &Arc<Change>| see(change, &self.filter);
                self.lines.extend(changes.iter().filter_map(seen));
            }
            Err(refusal) => {
                drop(state);
                self.fail(refusal);
            }
        }
    }

    async fn wait(&mut self) -> Result<(), CutOff> {
        tokio::select! {
            changed = self.changed.changed() => changed.map_err(|_| CutOff),
            _ = self.cut.changed() => Err(CutOff),
            _ = self.bookmark.tick(), if self.bookmarks => {
                self.read_changes();
                self.bookmark(false);
                Ok(())
            }
            () = self.timeout.as_mut() => {
                self.read_changes();
                self.bookmark(false);
                self.ended = true;
                Ok(())
            }
        }
    }

    fn frame(&mut self) -> Bytes {
        let mut frame = Vec::new();
        while frame.len() < FRAME
            && let Some(line) = self.lines.pop_front()
        {
            let (name, object) = match line {
                Line::Event(name, object) => (name, object.json(self.form).clone()),
                Line::Bookmark {
                    version,
                    ends_initial_events,
                } => (
                    "BOOKMARK",
                    self.bookmark_object(version, ends_initial_events),
                ),
                Line::Error(refusal) => ("ERROR", refusal.status().to_string().into()),
            };
            frame.extend_from_slice(format!(r#"{{"type":"{name}","object":"#).as_bytes());
            frame.extend_from_slice(&object);
            frame.extend_from_slice(b"}\n");
        }
        frame.into()
    }

    fn bookmark_object(&self, version: u64, ends_initial_events: bool) -> Bytes {
        let (kind, api_version) = match self.form {
            Form::Full => (self.kind.kind, self.kind.api_version()),
            Form::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
        };
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if ends_initial_events {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata })
            .to_string()
            .into()
    }
}

/// Checks `sendInitialEvents` as `ValidateListOptions` of k8s.io/apimachinery does.
fn initial_events(query: &Query, watch_list: bool) -> Result<Option<bool>, Refusal> {
    let send = query.flag("sendInitialEvents");
    let not_older_than = query.get("resourceVersionMatch") == Some("NotOlderThan");
    let why = match send {
        None => return Ok(None),
        Some(_) if !watch_list => {
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the \
             WatchList feature gate is enabled"
        }
        Some(_) if !not_older_than => {
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
             resourceVersionMatch to NotOlderThan"
        }
        Some(send) => return Ok(Some(send)),
    };
    Err(Refusal::new(
        422,
        format!("ListOptions.meta.k8s.io \"\" is invalid: {why}"),
    ))
}

/// A change as it looks through a filter: what starts to match is added, what ceases is deleted.
fn see(change: &Arc<Change>, filter: &Filter) -> Option<Line> {
    if !filter.admits_key(&change.key) {
        return None;
    }
    let before = change
        .before
        .as_ref()
        .filter(|object| filter.admits(object));
    let after = change.after.as_ref().filter(|object| filter.admits(object));
    match (before, after) {
        (None, Some(after)) => Some(Line::Event("ADDED", Arc::clone(after))),
        (Some(_), Some(after)) => Some(Line::Event("MODIFIED", Arc::clone(after))),
        (Some(before), None) => Some(Line::Event("DELETED", Arc::clone(change.tombstone(before)))),
        (None, None) => None,
    }
}
