//! Kubernetes Events: what people see in `kubectl describe` and `kubectl get events`.
//!
//! They are a courtesy. Whoever has something to tell hands it over and goes on; if it cannot be
//! told it is counted and forgotten.
//!
//! **Few, however many nodes there are.** All nodes see the same bad annotation, and in a rush all
//! of them spill the same service. So Events are the cluster's and not a node's:
//!
//! - An Event has the same name on every node, made of the object, the reason and a period of ten
//!   minutes. The first node to create it is the one that it quotes; the others are told that it
//!   exists, which costs the API server a look-up and no write, and stay silent for the period. So
//!   a service has at most one Event for each reason and port in ten minutes, with 5 nodes or
//!   5,000.
//! - A node waits before it tells, for a time that depends on its name and on the number of nodes,
//!   so that all of them together send 20 requests a second at most (`FLEET_RATE`): 5,000 nodes take
//!   250 s for it. What is over by then is never told: a spill of a few seconds costs nothing.
//!
//! Choosing some nodes by lot would be cheaper still, but if only one node of 5,000 spills, which
//! is worth knowing, the lot would almost never be its.

mod pace;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;

use super::Metrics;
use crate::model::{Origin, ServiceId};
use crate::watch::Problem;
pub use write::Writer;

/// What may wait to be told.
const QUEUE: usize = 1024;

/// A Kubernetes object that Events are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty for a Node.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid, without which `kubectl describe` does not find the Event of a namespaced object
    /// (`kubectl get events` and `kubectl events --for` do).
    pub uid: Option<Arc<str>>,
}

impl Subject {
    /// A Node.
    pub fn node(name: &str) -> Self {
        Self {
            kind: "Node",
            namespace: "".into(),
            name: name.into(),
            uid: None,
        }
    }

    /// A Service or `ServiceImport`.
    pub fn service(id: &ServiceId, uid: Option<Arc<str>>) -> Self {
        Self {
            kind: match id.origin {
                Origin::Service => "Service",
                Origin::Import => "ServiceImport",
            },
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            uid,
        }
    }

    fn api_version(&self) -> &'static str {
        match self.kind {
            "EndpointSlice" => "discovery.k8s.io/v1",
            "ServiceImport" => "multicluster.x-k8s.io/v1beta1",
            _ => "v1",
        }
    }
}

/// Why there is an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// An annotation means nothing.
    BadAnnotation,
    /// A service has begun to send connections farther than its nearest level.
    Spilling,
    /// Every level of a service is at its budget.
    Saturated,
    /// The nearest level takes all connections again.
    SpillEnded,
    /// Nobody answers at the health-check node port of a Service.
    FailedToStartServiceHealthcheck,
    /// Nobody answers at the address of `/healthz`.
    FailedToStartProxierHealthcheck,
    /// Nobody answers at the address of `/metrics`.
    FailedToStartMetricServer,
    /// A firewall of the node drops by default what services need.
    FirewallDropsByDefault,
    /// The agent of a node has started.
    Starting,
}

impl Reason {
    /// Whether somebody should do something.
    fn is_warning(self) -> bool {
        match self {
            Self::Spilling | Self::SpillEnded | Self::Starting => false,
            Self::BadAnnotation
            | Self::Saturated
            | Self::FirewallDropsByDefault
            | Self::FailedToStartServiceHealthcheck
            | Self::FailedToStartProxierHealthcheck
            | Self::FailedToStartMetricServer => true,
        }
    }

    /// What was done, in Kubernetes' sense of an Event's `action`.
    fn action(self) -> &'static str {
        match self {
            Self::BadAnnotation | Self::FirewallDropsByDefault => "Configure",
            Self::Spilling | Self::Saturated | Self::SpillEnded => "Route",
            Self::FailedToStartServiceHealthcheck => "Listen",
            // kube-proxy's words.
            Self::Starting
            | Self::FailedToStartProxierHealthcheck
            | Self::FailedToStartMetricServer => "StartKubeProxy",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The object that it is about.
    pub subject: Subject,
    /// The service port with its family, like `http/TCP over IPv4`; empty for what is about the
    /// object as a whole.
    pub port: String,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub note: String,
}

impl Happening {
    /// The Event for a part of an object that means nothing; none unless that is an annotation of
    /// ours: for the rest, the API server has its own words.
    pub fn of(problem: &Problem) -> Option<Self> {
        if !problem.field.contains("spillway.io/") {
            return None;
        }
        let object = &problem.object;
        Some(Self {
            subject: Subject {
                kind: problem.kind,
                namespace: object.namespace.as_str().into(),
                name: object.name.as_str().into(),
                uid: Some(object.uid.as_str().into()).filter(|uid: &Arc<str>| !uid.is_empty()),
            },
            port: String::new(),
            reason: Reason::BadAnnotation,
            note: format!("{}: {}; {}", problem.field, problem.wrong, problem.remedy),
        })
    }
}

/// Where happenings are handed over.
#[derive(Clone, Debug)]
pub struct Teller {
    queue: mpsc::Sender<Happening>,
    nodes: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
}

/// The other end, which the [`Writer`] reads.
#[derive(Debug)]
pub struct Told {
    queue: mpsc::Receiver<Happening>,
    nodes: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
}

#[cfg(test)]
impl Told {
    /// The next of what is to be told, without telling it.
    pub async fn next(&mut self) -> Option<Happening> {
        self.queue.recv().await
    }
}

impl Teller {
    /// A teller, and what the writer needs.
    pub fn new(metrics: Arc<Metrics>) -> (Self, Told) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let nodes = Arc::<AtomicU32>::default();
        let told = Told {
            queue: receiver,
            nodes: nodes.clone(),
            metrics: metrics.clone(),
        };
        let teller = Self {
            queue: sender,
            nodes,
            metrics,
        };
        (teller, told)
    }

    /// Has it told, perhaps. Never waits.
    pub fn tell(&self, happening: Happening) {
        if self.queue.try_send(happening).is_err() {
            self.metrics.event_lost();
        }
    }

    /// The cluster has so many nodes with an agent, each of which may want to tell the same.
    pub fn nodes(&self, nodes: u32) {
        self.nodes.store(nodes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
