//! What others are told, each at a place of its own: health, metrics, and Events of this Node.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;

use super::reload::Current;
use crate::config::Settings;
use crate::serve::events::{Happening, Reason, Subject, Teller};
use crate::serve::{self, Checks, Health, Metrics};

/// What is told.
pub struct Served {
    pub health: Arc<Health>,
    pub checks: Arc<Checks>,
    pub metrics: Arc<Metrics>,
    pub teller: Teller,
}

impl Served {
    /// Has an Event of this Node told.
    pub fn tell(&self, settings: &Settings, reason: Reason, what: &str, note: &str) {
        self.teller.tell(Happening {
            subject: Subject::node(&settings.node),
            port: what.to_owned(),
            reason,
            note: note.to_owned(),
        });
    }

    /// Has an Event told of an address that cannot be had.
    fn taken(
        &self,
        settings: &Settings,
        reason: Reason,
        what: &str,
        at: SocketAddr,
    ) -> impl FnOnce(&io::Error) {
        move |error| {
            let note = format!("cannot listen on {at}: {error}");
            self.tell(settings, reason, what, &note);
        }
    }

    /// Serves health, if it is to be served.
    pub async fn health(&self, settings: &Settings) -> anyhow::Result<()> {
        let Some(at) = settings.healthz else {
            return pending().await;
        };
        let failed = self.taken(
            settings,
            Reason::FailedToStartProxierHealthcheck,
            "healthz",
            at,
        );
        let (health, metrics) = (self.health.clone(), self.metrics.clone());
        serve::healthz(at, settings.bind_hard_fail, failed, health, metrics)
            .await
            .context("healthz")
    }

    /// Serves metrics and the configuration, if they are to be served.
    pub async fn metrics(&self, settings: &Settings, current: Current) -> anyhow::Result<()> {
        let Some(at) = settings.metrics else {
            return pending().await;
        };
        let failed = self.taken(settings, Reason::FailedToStartMetricServer, "metrics", at);
        let written = move || current.get().written();
        let metrics = self.metrics.clone();
        serve::metrics(at, settings.bind_hard_fail, failed, metrics, written)
            .await
            .context("metrics")
    }
}
