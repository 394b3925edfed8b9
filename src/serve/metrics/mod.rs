//! Metrics: kube-proxy's own names where they apply, and ours.
//!
//! A metric of kube-proxy that would always be zero here is left out: it would be a lie.

mod levels;
mod own;
mod proxy;
mod slis;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

use super::process::Process;
pub use levels::LevelCount;
use levels::Levels;
use own::Own;
use proxy::Proxy;
use slis::Slis;

/// All metrics of an agent.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    proxy: Proxy,
    own: Own,
    levels: Levels,
    slis: Slis,
}

/// Registers a metric and hands it back.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    add_metric(registry, name, help, M::default())
}

fn add_metric<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let proxy = Proxy::new(registry.sub_registry_with_prefix("kubeproxy"));
        let own = Own::new(registry.sub_registry_with_prefix("spillway"));
        let levels = Levels::default();
        registry.register_collector(Box::new(levels.clone()));
        registry.register_collector(Box::new(Process));
        Self {
            registry,
            proxy,
            own,
            levels,
            slis: Slis::default(),
        }
    }
}

impl Metrics {
    /// All metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail, and neither do the metrics.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
