//! How full the levels of each service are.
//!
//! Only of services that have a capacity: the others cannot be full, and a series for every level
//! of ten thousand services is more than a Prometheus wants of every node. The core hands over all
//! numbers at once, so that what is gone shows no more, and a scrape never waits for the core.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Metrics;
use crate::model::{Family, Level, ServicePortId};

/// The numbers of one level of one family of a service port.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelCount {
    /// The service port.
    pub port: ServicePortId,
    /// The family.
    pub family: Family,
    /// The level.
    pub level: Level,
    /// The other cluster, where the level is one.
    pub cluster: Option<Arc<str>>,
    /// The endpoints that can take connections.
    pub endpoints: u64,
    /// The connections that this node may have at them; none: any number.
    pub budget: Option<u64>,
    /// Open connections of this node; of UDP, flows.
    pub active: u64,
    /// Connections since the agent started or the service got a capacity, whichever is later.
    pub new_connections: u64,
    /// Those of them that came here only because a nearer level was full.
    pub spilled: u64,
    /// For how long the level has been saturated since then.
    pub saturated_seconds: f64,
}

/// The latest numbers of all levels.
#[derive(Clone, Debug, Default)]
pub struct Levels(Arc<Mutex<Arc<[LevelCount]>>>);

#[derive(Debug, EncodeLabelSet)]
struct Labels {
    namespace: String,
    service: String,
    port: String,
    protocol: String,
    ip_family: String,
    level: &'static str,
    cluster: String,
}

impl Labels {
    fn of(count: &LevelCount) -> Self {
        let id = &count.port;
        // A ServiceImport may have the name of a Service, which is another series.
        let name = id.service.to_string();
        let (_, service) = name.split_once('/').unwrap_or_default();
        Self {
            namespace: id.service.namespace.to_string(),
            service: service.to_owned(),
            port: id.port.to_string(),
            protocol: id.protocol.to_string(),
            ip_family: count.family.to_string(),
            level: count.level.name(),
            cluster: count.cluster.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl Metrics {
    /// These are the levels of all services that have a capacity, now.
    pub fn levels(&self, counts: Vec<LevelCount>) {
        let counts: Arc<[LevelCount]> = counts.into();
        let mut latest = self.levels.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = counts;
    }
}

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Held only for as long as the pointer is copied.
        let counts = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut put = |name: &str, help: &str, kind, value: Value| {
            put(&mut encoder, &counts, name, help, kind, value)
        };
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        put(
            "spillway_level_endpoints",
            "Endpoints of a level that can take connections",
            gauge,
            |count, metric| metric.encode_gauge(&signed(count.endpoints)),
        )?;
        put(
            "spillway_level_budget",
            "Connections that this node may have at a level's endpoints",
            gauge,
            |count, metric| match count.budget {
                Some(budget) => metric.encode_gauge(&signed(budget)),
                None => Ok(()),
            },
        )?;
        put(
            "spillway_level_active",
            "Connections that this node has at a level's endpoints",
            gauge,
            |count, metric| metric.encode_gauge(&signed(count.active)),
        )?;
        put(
            "spillway_level_new_connections",
            "Connections to a level's endpoints",
            counter,
            |count, metric| {
                metric.encode_counter::<NoLabelSet, _, u64>(&count.new_connections, None)
            },
        )?;
        put(
            "spillway_level_spilled_connections",
            "Connections that came to a level because a nearer one was full",
            counter,
            |count, metric| metric.encode_counter::<NoLabelSet, _, u64>(&count.spilled, None),
        )?;
        put(
            "spillway_level_saturated_seconds",
            "For how long a level has been at its budget",
            counter,
            |count, metric| {
                metric.encode_counter::<NoLabelSet, _, u64>(&count.saturated_seconds, None)
            },
        )
    }
}

type Value = fn(&LevelCount, &mut MetricEncoder<'_>) -> fmt::Result;

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    counts: &[LevelCount],
    name: &str,
    help: &str,
    kind: MetricType,
    value: Value,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for count in counts {
        let labels = Labels::of(count);
        value(count, &mut metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Protocol, ServiceId};

    fn count(level: Level, cluster: Option<&str>) -> LevelCount {
        LevelCount {
            port: ServicePortId {
                service: ServiceId::new("shop", "web"),
                port: "http".into(),
                protocol: Protocol::Tcp,
            },
            family: Family::V4,
            level,
            cluster: cluster.map(Into::into),
            endpoints: 2,
            budget: Some(50),
            active: 49,
            new_connections: 1000,
            spilled: 7,
            saturated_seconds: 1.5,
        }
    }

    fn lines(metrics: &Metrics) -> Vec<String> {
        let text = metrics.encode();
        let ours = text
            .lines()
            .filter(|line| line.starts_with("spillway_level"));
        ours.map(str::to_owned).collect()
    }

    #[test]
    fn a_level_shows_its_numbers_under_its_labels() {
        let metrics = Metrics::default();
        assert!(lines(&metrics).is_empty());
        metrics.levels(vec![count(Level::Node, None)]);
        let labels = "{namespace=\"shop\",service=\"web\",port=\"http\",protocol=\"TCP\",\
                      ip_family=\"IPv4\",level=\"node\",cluster=\"\"}";
        let wanted = [
            ("endpoints", "2"),
            ("budget", "50"),
            ("active", "49"),
            ("new_connections_total", "1000"),
            ("spilled_connections_total", "7"),
            ("saturated_seconds_total", "1.5"),
        ]
        .map(|(name, value)| format!("spillway_level_{name}{labels} {value}"));
        assert_eq!(lines(&metrics), wanted);
    }

    #[test]
    fn another_cluster_an_import_and_no_budget_show_too() {
        let metrics = Metrics::default();
        let mut west = count(Level::Remote, Some("west"));
        west.port.service = west.port.service.import();
        west.budget = None;
        metrics.levels(vec![west]);
        let lines = lines(&metrics);
        assert_eq!(lines.len(), 5, "{lines:#?}");
        for part in ["service=\"web@clusterset\"", "cluster=\"west\""] {
            assert!(lines.iter().all(|line| line.contains(part)), "{lines:#?}");
        }
    }

    #[test]
    fn what_is_gone_shows_no_more() {
        let metrics = Metrics::default();
        metrics.levels(vec![count(Level::Node, None), count(Level::Zone, None)]);
        assert_eq!(lines(&metrics).len(), 12);
        metrics.levels(vec![count(Level::Zone, None)]);
        assert_eq!(lines(&metrics).len(), 6);
        metrics.levels(Vec::new());
        assert!(lines(&metrics).is_empty());
    }
}
