//! Service level indicators, as every component of Kubernetes has them (`component-base`,
//! `metrics/prometheus/slis`): what health checks said when they were last asked, and how often.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Metrics, add};

/// The indicators, which have a page of their own.
#[derive(Debug)]
pub struct Slis {
    registry: Registry,
    last: Family<Check, Gauge>,
    all: Family<Outcome, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    name: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    name: &'static str,
    r#type: &'static str,
    status: &'static str,
}

impl Default for Slis {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("kubernetes");
        Self {
            last: add(
                &mut registry,
                "healthcheck",
                "This metric records the result of a single healthcheck",
            ),
            all: add(
                &mut registry,
                "healthchecks",
                "This metric records the results of all healthcheck",
            ),
            registry,
        }
    }
}

impl Metrics {
    /// A health check of this name has been asked at the path `/kind`.
    pub fn health_checked(&self, name: &'static str, kind: &'static str, healthy: bool) {
        let check = Check { name, r#type: kind };
        self.slis.last.get_or_create(&check).set(healthy.into());
        let outcome = Outcome {
            name,
            r#type: kind,
            status: if healthy { "success" } else { "error" },
        };
        self.slis.all.get_or_create(&outcome).inc();
    }

    /// The indicators in the `OpenMetrics` text format.
    pub fn encode_slis(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail, and neither do the metrics.
        let _ = encode(&mut text, &self.slis.registry);
        text
    }
}
