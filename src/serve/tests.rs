use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::Family;
use crate::sync::Forgotten;

/// 2026-01-02T03:04:05Z and so many seconds.
fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045 + seconds)
}

/// The same by the clock that nobody sets.
fn steady(seconds: u64) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    Now {
        clock: time(seconds),
        steady: steady(seconds),
    }
}

/// An agent that has not done anything yet.
fn fresh() -> Health {
    Health::new(Duration::from_mins(1))
}

/// A healthy agent that has been programmed at second 0.
fn healthy() -> Health {
    let health = fresh();
    health.node_eligible(true);
    health.synced(Family::V4, time(0));
    health.synced(Family::V6, time(0));
    health.first_sync_done();
    health
}

fn ask(health: &Health, path: &str, seconds: u64) -> (u16, Value) {
    ask_at(health, path, at(seconds))
}

fn ask_at(health: &Health, path: &str, now: Now) -> (u16, Value) {
    let answer = health_answer(path, health, &Metrics::default(), now);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&body(answer)).unwrap())
}

fn body(answer: Answer) -> Vec<u8> {
    let collected = futures_util::FutureExt::now_or_never(answer.into_body().collect());
    collected.unwrap().unwrap().to_bytes().to_vec()
}

fn codes(health: &Health, seconds: u64) -> [u16; 2] {
    ["/healthz", "/livez"].map(|path| ask(health, path, seconds).0)
}

#[test]
fn the_body_is_that_of_kube_proxy() {
    let health = healthy();
    let family = json!({"lastUpdated": "2026-01-02T03:04:05Z", "healthy": true});
    let mut wanted = json!({
        "lastUpdated": "2026-01-02T03:04:15Z",
        "currentTime": "2026-01-02T03:04:15Z",
        "nodeEligible": true,
        "healthy": true,
        "status": {"IPv4": family, "IPv6": family},
    });
    assert_eq!(ask(&health, "/healthz", 10), (200, wanted.clone()));
    wanted.as_object_mut().unwrap().remove("nodeEligible");
    assert_eq!(ask(&health, "/livez", 10), (200, wanted));
}

#[test]
fn before_the_first_sync_the_agent_lives_but_takes_no_connections() {
    let health = fresh();
    health.node_eligible(true);
    assert_eq!(codes(&health, 0), [503, 200]);
    let (_, body) = ask(&health, "/healthz", 0);
    assert_eq!(body["lastUpdated"], "0001-01-01T00:00:00Z");
    assert_eq!(body["healthy"], false);
    health.queued(Family::V4, steady(0));
    health.synced(Family::V4, time(1));
    assert_eq!(codes(&health, 1), [503, 200]);
    health.first_sync_done();
    assert_eq!(codes(&health, 1), [200, 200]);
}

#[test]
fn a_change_that_waits_too_long_is_unhealthy_until_it_is_taken() {
    let health = healthy();
    health.queued(Family::V6, steady(10));
    health.queued(Family::V6, steady(50));
    assert_eq!(codes(&health, 69), [200, 200]);
    assert_eq!(codes(&health, 70), [503, 503]);
    let (_, body) = ask(&health, "/livez", 70);
    assert_eq!(body["lastUpdated"], "2026-01-02T03:04:05Z");
    let families = [
        &body["status"]["IPv4"]["healthy"],
        &body["status"]["IPv6"]["healthy"],
    ];
    assert_eq!(families, [&json!(true), &json!(false)]);
    health.synced(Family::V6, time(71));
    assert_eq!(codes(&health, 1000), [200, 200]);
}

#[test]
fn a_clock_that_is_set_makes_no_change_wait_longer_or_shorter() {
    let health = healthy();
    health.queued(Family::V4, steady(10));
    for (waited, wanted) in [(59, 200), (60, 503)] {
        // Back by a day, and ahead by a year.
        for clock in [time(0) - Duration::from_hours(24), time(31_536_000)] {
            let steady = steady(10 + waited);
            let (code, body) = ask_at(&health, "/livez", Now { clock, steady });
            assert_eq!(code, wanted, "{body}");
        }
    }
}

#[test]
fn a_node_on_its_way_out_takes_no_connections_but_its_agent_lives() {
    let health = healthy();
    health.node_eligible(false);
    assert_eq!(codes(&health, 10), [503, 200]);
    let (_, body) = ask(&health, "/healthz", 10);
    assert_eq!(
        (&body["nodeEligible"], &body["healthy"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(body["lastUpdated"], "2026-01-02T03:04:05Z");
}

#[test]
fn nobody_knows_of_other_paths() {
    for answer in [
        health_answer("/", &healthy(), &Metrics::default(), at(0)),
        metrics_answer(
            "/debug",
            Format::Prometheus,
            &Metrics::default(),
            &Value::default,
        ),
    ] {
        assert_eq!(answer.status(), 404);
        assert_eq!(body(answer), b"404 page not found\n");
    }
}

#[test]
fn the_metrics_port_names_the_mode() {
    for (path, wanted) in [("/proxyMode", "ipvs"), ("/healthz", "ok")] {
        let answer = metrics_answer(
            path,
            Format::Prometheus,
            &Metrics::default(),
            &Value::default,
        );
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers()["content-type"],
            "text/plain; charset=utf-8"
        );
        assert_eq!(body(answer), wanted.as_bytes());
    }
}

#[test]
fn metrics_have_the_names_of_kube_proxy() {
    let metrics = Metrics::default();
    metrics.service_changed();
    metrics.endpoints_changed();
    metrics.changes_taken();
    metrics.endpoints_changed();
    metrics.queued(Family::V4, time(0));
    metrics.synced(Family::V6, Duration::from_millis(3), time(1));
    metrics.programmed(Family::V4, Duration::from_millis(700));
    let look = Forgotten {
        v4: 3,
        looks: 1,
        time: Duration::from_millis(3),
        ..Forgotten::default()
    };
    metrics.forgotten(Forgotten::default(), look);
    metrics.forgotten(look, look);
    metrics.problem("Service");
    metrics.unknown_field("EndpointSlice");
    metrics.kernel_error("ipvs");
    metrics.ipvs_messages(7);
    metrics.cluster(2, 20);
    metrics.failing(3);
    metrics.restart_needed(true);
    metrics.closed_chains("forward", 1);
    metrics.lacking("external", Family::V6, 4);
    let health = healthy();
    health_answer("/healthz", &health, &metrics, at(0));
    health.node_eligible(false);
    health_answer("/healthz", &health, &metrics, at(0));
    health_answer("/livez", &health, &metrics, at(0));
    let answer = metrics_answer("/metrics", Format::Open, &metrics, &Value::default);
    let kind = answer.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text;"), "{kind}");
    let text = String::from_utf8(body(answer)).unwrap();
    let (version, architecture) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let build =
        format!("spillway_build_info{{version=\"{version}\",architecture=\"{architecture}\"}} 1");
    for line in [
        "kubeproxy_network_programming_duration_seconds_bucket{le=\"0.5\",ip_family=\"IPv4\"} 0",
        "kubeproxy_network_programming_duration_seconds_bucket{le=\"1.0\",ip_family=\"IPv4\"} 1",
        "kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family=\"IPv4\"} 3",
        "kubeproxy_conntrack_reconciler_sync_duration_seconds_count 1",
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"external\",ip_family=\"IPv6\"} 4",
        "kubeproxy_sync_proxy_rules_service_changes_total 1",
        "kubeproxy_sync_proxy_rules_service_changes_pending 0",
        "kubeproxy_sync_proxy_rules_endpoint_changes_total 2",
        "kubeproxy_sync_proxy_rules_endpoint_changes_pending 1",
        "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv4\"} 1767323045.0",
        "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv6\"} 1767323046.0",
        "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv6\"} 1",
        "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.002\",ip_family=\"IPv6\"} 0",
        "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.004\",ip_family=\"IPv6\"} 1",
        "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"16.384\",ip_family=\"IPv6\"} 1",
        "kubeproxy_proxy_healthz_total{code=\"200\"} 1",
        "kubeproxy_proxy_healthz_total{code=\"503\"} 1",
        "kubeproxy_proxy_livez_total{code=\"200\"} 1",
        "spillway_object_problems_total{kind=\"Service\"} 1",
        "spillway_unknown_fields_total{kind=\"EndpointSlice\"} 1",
        "spillway_kernel_errors_total{room=\"ipvs\"} 1",
        "spillway_ipvs_messages_total 7",
        "spillway_services 2",
        "spillway_endpoints 20",
        "spillway_failing_objects 3",
        "spillway_restart_needed 1",
        &build,
        "spillway_closed_chains{hook=\"forward\"} 1",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_cpu_seconds counter",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

/// Sends a request over a socket and returns the answer as it came.
async fn over_the_wire(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_server_answers_over_the_wire_and_closes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let metrics = Metrics::default();
    let server = tokio::spawn(http::serve(listener, move |request| {
        let path = request.uri().path();
        ready(health_answer(path, &healthy(), &metrics, at(0)))
    }));
    let answer = over_the_wire(port, "GET /healthz?a=b HTTP/1.1\r\nHost: n\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"lastUpdated\":"), "{answer}");
    let head = over_the_wire(port, "HEAD /healthz HTTP/1.1\r\nHost: n\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_ask_is_sent_away() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(http::serve(listener, |_| ready(http::not_found())));
    let start = tokio::time::Instant::now();
    let answer = over_the_wire(port, "GET /healthz HT").await;
    assert!(!answer.contains("200"), "{answer}");
    // The kubelet's probe and a load balancer's wait no longer than that for their turn.
    assert!(start.elapsed() < Duration::from_secs(2));
    server.abort();
}

#[test]
fn service_level_indicators_are_those_of_every_component() {
    let (health, metrics) = (fresh(), Metrics::default());
    let none = || serde_json::Value::Null;
    let now = Now::read();
    health_answer("/healthz", &health, &metrics, now);
    health.first_sync_done();
    health.node_eligible(true);
    for _ in 0..2 {
        health_answer("/healthz", &health, &metrics, now);
    }
    metrics_answer("/healthz", Format::Prometheus, &metrics, &none);
    let answer = metrics_answer("/metrics/slis", Format::Prometheus, &metrics, &none);
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = metrics.encode_slis();
    for line in [
        "kubernetes_healthcheck{name=\"ping\",type=\"healthz\"} 1",
        "kubernetes_healthcheck{name=\"proxy\",type=\"healthz\"} 1",
        "kubernetes_healthchecks_total{name=\"proxy\",type=\"healthz\",status=\"error\"} 1",
        "kubernetes_healthchecks_total{name=\"proxy\",type=\"healthz\",status=\"success\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!metrics.encode().contains("kubernetes_healthcheck"));
}
