//! From happenings to Event objects.
//!
//! `kube::runtime::events::Recorder` is close, but names an Event after the moment, so that every
//! node would make its own, and never knows that another has told; and it repeats the first note
//! of a reason for all later ones. So this writes Events itself: a create, and a patch of `series`
//! (all that events.k8s.io/v1 allows to change) when the same comes again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tracing::debug;

use super::pace::{Pace, fitting};
use super::{Happening, Reason, Told};
use crate::serve::Metrics;

/// The component that reports.
const COMPONENT: &str = "spillway";
/// For how long one Event stands for all that are the same, in seconds.
const PERIOD: i64 = 600;

/// Writes Events for one node.
pub struct Writer {
    client: Client,
    node: Arc<str>,
    pace: Pace,
    /// The Events of this period that are this node's, and how often each has been seen; 0 for
    /// those that another node has written.
    written: BTreeMap<String, i32>,
    period: i64,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A client shows nothing of itself.
        f.debug_struct("Writer")
            .field("node", &self.node)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer for the agent of a node.
    pub fn new(client: Client, node: &str, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            node: node.into(),
            pace: Pace::new(node),
            written: BTreeMap::new(),
            period: 0,
            metrics,
        }
    }

    /// Writes what is told, until every teller is gone.
    pub async fn run(mut self, mut told: Told) {
        loop {
            let next = self.pace.next();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What an object's problems are comes all at once, and is one Event: taken in
                // before the first of them is due, whose note would else be another each time.
                biased;
                happening = told.queue.recv() => {
                    let Some(happening) = happening else { return };
                    let nodes = told.nodes.load(Ordering::Relaxed);
                    if self.pace.take(happening, nodes, now()).is_err() {
                        told.metrics.event_lost();
                    }
                }
                () = due => {
                    for happening in self.pace.due(now()) {
                        self.write(&happening, Timestamp::now()).await;
                    }
                }
            }
        }
    }

    /// Writes one, or loses it.
    pub(super) async fn write(&mut self, happening: &Happening, now: Timestamp) {
        let period = now.as_second().div_euclid(PERIOD);
        if period != self.period {
            self.period = period;
            self.written.clear();
        }
        let event = self.event(happening, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        let count = self.written.get(&name).copied();
        let result = match count {
            Some(0) => return,
            Some(count) => {
                let series = json!({"series": {
                    "count": count + 1,
                    "lastObservedTime": MicroTime(now),
                }});
                let patch = Patch::Merge(series);
                api.patch(&name, &PatchParams::default(), &patch).await
            }
            None => api.create(&PostParams::default(), &event).await,
        };
        match result {
            Ok(_) => {
                self.metrics.event_written();
                self.written.insert(name, count.unwrap_or(0) + 1);
            }
            Err(kube::Error::Api(status)) if count.is_none() && status.code == 409 => {
                debug!(name, "another node has written this Event");
                self.written.insert(name, 0);
            }
            Err(error) => {
                debug!(name, "an Event is lost: {error}");
                self.metrics.event_lost();
            }
        }
    }

    fn event(&self, happening: &Happening, now: Timestamp) -> Event {
        let subject = &happening.subject;
        // Where Kubernetes has the Events of what is in no namespace.
        let namespace = match &*subject.namespace {
            "" => "default",
            namespace => namespace,
        };
        // The kubelet's way: `kubectl describe node` looks for the name in this place.
        let uid = match subject.kind {
            "Node" => Some(subject.name.to_string()),
            _ => subject.uid.as_ref().map(ToString::to_string),
        };
        Event {
            metadata: ObjectMeta {
                name: Some(self.name(happening)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(
                if happening.reason.is_warning() {
                    "Warning"
                } else {
                    "Normal"
                }
                .to_owned(),
            ),
            reason: Some(happening.reason.to_string()),
            action: Some(happening.reason.action().to_owned()),
            note: Some(fitting(&happening.note).to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(subject.api_version().to_owned()),
                kind: Some(subject.kind.to_owned()),
                namespace: (!subject.namespace.is_empty()).then(|| subject.namespace.to_string()),
                name: Some(subject.name.to_string()),
                uid,
                ..ObjectReference::default()
            }),
            reporting_controller: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.node.to_string()),
            ..Event::default()
        }
    }

    /// The same on all nodes for what is the same for the cluster.
    fn name(&self, happening: &Happening) -> String {
        let subject = &happening.subject;
        // Two bad annotations are two things, but how full a level is differs from node to node.
        let note = match happening.reason {
            Reason::BadAnnotation => happening.note.as_str(),
            _ => "",
        };
        let print = fingerprint(&[
            subject.kind,
            subject.uid.as_deref().unwrap_or_default(),
            &happening.port,
            &happening.reason.to_string(),
            note,
            &self.period.to_string(),
        ]);
        // Names have at most 253 characters; a Service's has 63, a Node's may have all of them.
        let name: String = subject.name.chars().take(200).collect();
        let name = name.trim_end_matches(['.', '-']);
        format!("{name}.spillway-{print:08x}")
    }
}

fn now() -> Instant {
    // The runtime's clock, which tests hold.
    tokio::time::Instant::now().into_std()
}

/// A number that is the same in every build on every node (FNV-1a, whose constants these are, and
/// `MurmurHash3`'s last step, so that names that differ in a digit are far apart).
pub fn fingerprint(parts: &[&str]) -> u32 {
    let bytes = parts
        .iter()
        .flat_map(|part| part.bytes().chain(std::iter::once(0)));
    let mut hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
