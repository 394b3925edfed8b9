//! The agent's health, in kube-proxy's words.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::model::Family;

/// How Go writes a time that is not known.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, by the clock that people read and by the one that nobody sets: what is told is of the first,
/// and what has been waiting for how long is of the second.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time of day.
    pub clock: SystemTime,
    /// The time since some past moment.
    pub steady: Instant,
}

impl Now {
    /// What the system says.
    pub fn read() -> Self {
        Self {
            clock: SystemTime::now(),
            steady: Instant::now(),
        }
    }
}

/// What the agent loop says of itself, and what is made of it for those who ask.
///
/// - healthy: no change has been waiting for the kernel for too long.
/// - `/livez`: 200 if healthy. For a liveness probe: says that a restart may help.
/// - `/healthz`: 200 if healthy, the kernel has been programmed completely at least once, and the
///   node is eligible. For load balancers: says that new connections may come.
#[derive(Debug)]
pub struct Health {
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    families: BTreeMap<Family, Progress>,
    programmed: bool,
    eligible: bool,
}

#[derive(Debug, Default)]
struct Progress {
    /// When the oldest change came that still waits.
    waiting: Option<Instant>,
    updated: Option<SystemTime>,
}

/// The body of an answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    last_updated: String,
    current_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
    status: BTreeMap<String, FamilyStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FamilyStatus {
    last_updated: String,
    healthy: bool,
}

impl Health {
    /// Health that ends when a change has been waiting for `patience`.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            state: Mutex::default(),
        }
    }

    /// A change of a family waits for the kernel.
    pub fn queued(&self, family: Family, now: Instant) {
        self.update(|state| {
            let progress = state.families.entry(family).or_default();
            progress.waiting.get_or_insert(now);
        });
    }

    /// The kernel has taken all changes of a family, but for single Services that it refuses.
    pub fn synced(&self, family: Family, now: SystemTime) {
        self.update(|state| {
            let progress = state.families.entry(family).or_default();
            progress.waiting = None;
            progress.updated = Some(now);
        });
    }

    /// The kernel has been programmed completely, for the first time.
    pub fn first_sync_done(&self) {
        self.update(|state| state.programmed = true);
    }

    /// Whether load balancers may steer new connections to the node. Not before it is known.
    pub fn node_eligible(&self, eligible: bool) {
        self.update(|state| state.eligible = eligible);
    }

    /// Whether to answer 200 on `/healthz`, and the body.
    pub(crate) fn healthz(&self, now: Now) -> (bool, String) {
        self.update(|state| {
            let (programmed, eligible) = (state.programmed, state.eligible);
            let body = state.body(now, self.patience, programmed, Some(eligible));
            (body.healthy && eligible, body.json(now.clock, eligible))
        })
    }

    /// Whether new connections are served as the cluster wants it, whatever becomes of the node.
    pub(super) fn is_serving(&self, now: Now) -> bool {
        self.update(|state| {
            let programmed = state.programmed;
            state.body(now, self.patience, programmed, None).healthy
        })
    }

    /// Whether to answer 200 on `/livez`, and the body.
    pub(super) fn livez(&self, now: Now) -> (bool, String) {
        self.update(|state| {
            let body = state.body(now, self.patience, true, None);
            (body.healthy, body.json(now.clock, true))
        })
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // A panic while it was locked cannot have left it half-changed.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn body(
        &self,
        now: Now,
        patience: Duration,
        programmed: bool,
        node_eligible: Option<bool>,
    ) -> Body {
        let status: BTreeMap<_, _> = self
            .families
            .iter()
            .map(|(family, progress)| {
                let waited = |since| now.steady.saturating_duration_since(since);
                let status = FamilyStatus {
                    last_updated: text(progress.updated),
                    healthy: progress
                        .waiting
                        .is_none_or(|since| waited(since) < patience),
                };
                (family.to_string(), status)
            })
            .collect();
        let updated = self
            .families
            .values()
            .filter_map(|progress| progress.updated);
        Body {
            last_updated: text(updated.max()),
            current_time: text(Some(now.clock)),
            node_eligible,
            healthy: programmed && status.values().all(|family| family.healthy),
            status,
        }
    }
}

impl Body {
    /// The body as JSON. Who is well is up to date as of now, as kube-proxy has it.
    fn json(mut self, now: SystemTime, eligible: bool) -> String {
        if self.healthy && eligible {
            self.last_updated = text(Some(now));
        }
        // Strings and truth values always have a form in JSON.
        serde_json::to_string(&self).unwrap_or_default()
    }
}

fn text(time: Option<SystemTime>) -> String {
    let timestamp = time.and_then(|time| Timestamp::try_from(time).ok());
    timestamp.map_or_else(|| NEVER.to_owned(), |timestamp| timestamp.to_string())
}
