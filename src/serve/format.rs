//! The two text formats of metrics: `OpenMetrics`, and that of Prometheus which was before it, for
//! clients that do not ask for the other.
//!
//! Their samples are the same. What differs is the name under which a counter is described: in that of
//! Prometheus it is that of its samples, in `OpenMetrics` the same without the ending `_total`.

use std::fmt::Write;

use hyper::HeaderMap;
use hyper::header::ACCEPT;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    Open,
}

impl Format {
    /// What a client with these headers gets.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT).iter();
        let open = |value: &str| value.contains("application/openmetrics-text");
        if values.any(|value| value.to_str().is_ok_and(open)) {
            Self::Open
        } else {
            Self::Prometheus
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Metrics in this format.
    pub fn of(self, open: String) -> String {
        match self {
            Self::Prometheus => prometheus(&open),
            Self::Open => open,
        }
    }
}

fn prometheus(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            // Written with the type, which follows: the name depends on it.
            (_, help) = described.split_once(' ').unwrap_or_default();
        } else if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap_or_default();
            let (ending, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "# HELP {name}{ending} {help}\n# TYPE {name}{ending} {kind}"
            );
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_for_those_who_accept_them() {
        for (accepted, format) in [
            (&[] as &[&str], Format::Prometheus),
            (&["*/*"], Format::Prometheus),
            (
                &["text/plain;version=0.0.4;q=0.5,*/*;q=0.1"],
                Format::Prometheus,
            ),
            (
                &["text/plain;q=0.3,application/openmetrics-text;version=1.0.0"],
                Format::Open,
            ),
            (
                &["text/plain", "application/openmetrics-text"],
                Format::Open,
            ),
        ] {
            let headers = accepted.iter().map(|it| (ACCEPT, it.parse().unwrap()));
            let headers: HeaderMap = headers.collect();
            assert_eq!(Format::accepted(&headers), format, "{accepted:?}");
        }
    }

    #[test]
    fn a_counter_is_described_under_the_name_of_its_samples() {
        let open = "\
# HELP a_seconds Time that passed.
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{kind=\"# TYPE a\"} 1.5
# HELP b Now.
# TYPE b gauge
b 7
# HELP c Of what.
# TYPE c info
c_info{version=\"1\"} 1
# EOF
";
        let prometheus = "\
# HELP a_seconds_total Time that passed.
# TYPE a_seconds_total counter
a_seconds_total{kind=\"# TYPE a\"} 1.5
# HELP b Now.
# TYPE b gauge
b 7
# HELP c_info Of what.
# TYPE c_info gauge
c_info{version=\"1\"} 1
";
        assert_eq!(Format::Prometheus.of(open.to_owned()), prometheus);
        assert_eq!(Format::Open.of(open.to_owned()), open);
    }
}
