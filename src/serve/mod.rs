//! What the agent tells others over HTTP: its health, to load balancers and the kubelet, that of
//! Services which have a port for it, and its metrics; where it sends connections and why, over a
//! local socket; and what people should know, as Events on the objects that it is about. Decides
//! nothing.

mod ask;
mod checks;
pub mod events;
mod format;
mod health;
mod http;
mod listen;
mod local;
mod metrics;
pub mod near;
mod process;
pub mod routes;

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::StatusCode;

pub use ask::{Ask, Knows};
pub use checks::{Check, Checks};
pub use health::{Health, Now};
pub use local::{Local, NoRoutes, ROUTES};
pub use metrics::{LevelCount, Metrics};

use format::Format;
use http::{Answer, JSON, answer};

/// Serves `/healthz` and `/livez` at an address (`[::]` stands for all addresses of both families).
/// `told` hears of the first attempt that fails.
///
/// # Errors
/// Only if the address cannot be had and `hard_fail` is set; else it is tried again for ever.
pub async fn healthz(
    address: SocketAddr,
    hard_fail: bool,
    told: impl FnOnce(&io::Error),
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> io::Result<()> {
    let listener = listen::bind(address, hard_fail, told).await?;
    http::serve(listener, move |request| {
        let path = request.uri().path();
        ready(health_answer(path, &health, &metrics, Now::read()))
    })
    .await;
    Ok(())
}

/// Serves `/metrics`, `/metrics/slis`, `/healthz`, `/proxyMode` and `/configz` at an address; `configuration` is what
/// is in effect, as a file of it would say it. `told` hears of the first attempt that fails.
///
/// # Errors
/// Only if the address cannot be had and `hard_fail` is set; else it is tried again for ever.
pub async fn metrics(
    address: SocketAddr,
    hard_fail: bool,
    told: impl FnOnce(&io::Error),
    metrics: Arc<Metrics>,
    configuration: impl Fn() -> serde_json::Value + Send + Sync + 'static,
) -> io::Result<()> {
    let listener = listen::bind(address, hard_fail, told).await?;
    http::serve(listener, move |request| {
        let format = Format::accepted(request.headers());
        let path = request.uri().path();
        ready(metrics_answer(path, format, &metrics, &configuration))
    })
    .await;
    Ok(())
}

fn health_answer(path: &str, health: &Health, metrics: &Metrics, now: Now) -> Answer {
    let (healthy, body) = match path {
        "/healthz" => health.healthz(now),
        "/livez" => health.livez(now),
        _ => return http::not_found(),
    };
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let kind = if path == "/healthz" {
        metrics.healthz(status.as_u16());
        "healthz"
    } else {
        metrics.livez(status.as_u16());
        "livez"
    };
    metrics.health_checked("proxy", kind, healthy);
    answer(status, JSON, body)
}

fn metrics_answer(
    path: &str,
    format: Format,
    metrics: &Metrics,
    configuration: &impl Fn() -> serde_json::Value,
) -> Answer {
    let in_format = |text| answer(StatusCode::OK, format.content_type(), format.of(text));
    match path {
        "/metrics" => in_format(metrics.encode()),
        "/metrics/slis" => in_format(metrics.encode_slis()),
        "/healthz" => {
            // Under the name that it has in kube-proxy.
            metrics.health_checked("ping", "healthz", true);
            answer(StatusCode::OK, http::TEXT, "ok")
        }
        "/configz" => {
            // Under the name of its group, as in every component of Kubernetes.
            let body = serde_json::json!({"kubeproxy.config.k8s.io": configuration()});
            answer(StatusCode::OK, JSON, body.to_string())
        }
        "/proxyMode" => answer(StatusCode::OK, http::TEXT, "ipvs"),
        _ => http::not_found(),
    }
}

#[cfg(test)]
mod tests;
