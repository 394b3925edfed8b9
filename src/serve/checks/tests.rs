use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::model::example::*;
use crate::model::{External, TrafficPolicy};
use crate::serve::Metrics;
use crate::serve::events::{Reason, Subject, Teller};

const PORT: u16 = 31_971;

fn web(number: u16) -> Service {
    let mut web = service("web", &["10.96.0.10", "fd00:96::a"]);
    web.external = Some(Box::new(External {
        policy: TrafficPolicy::Local,
        health_port: Some(port(number)),
        ..External::default()
    }));
    web
}

fn health() -> Arc<Health> {
    let health = Arc::new(Health::new(Duration::from_mins(1)));
    health.first_sync_done();
    health
}

/// The checks of a node with so many ready endpoints.
fn checks(health: Arc<Health>, number: u16, endpoints: u8) -> Checks {
    let checks = Checks::new(health);
    let endpoints = (0..endpoints).map(|last| endpoint(&format!("10.1.1.{last}"), "a1", "a"));
    let slice = slice("web-1", "web", endpoints.collect());
    checks.set(
        &id("web"),
        Check::of(&web(number), &[&slice], "a1", &Family::ALL),
    );
    checks
}

fn body(answer: Answer) -> String {
    let collected = futures_util::FutureExt::now_or_never(answer.into_body().collect());
    String::from_utf8(collected.unwrap().unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn the_answer_is_that_of_kube_proxy() {
    let answer = checks(health(), PORT, 2).answer(&id("web"), Family::V4, Now::read());
    assert_eq!(answer.status(), 200);
    let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-load-balancing-endpoint-weight"), "2");
    assert_eq!(
        body(answer),
        "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\
         \t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}"
    );
}

#[test]
fn each_family_needs_endpoints_and_the_proxy_its_health() {
    let now = Now::read();
    let code = |checks: &Checks, family| checks.answer(&id("web"), family, now).status().as_u16();
    let well = checks(health(), PORT, 1);
    assert_eq!(Family::ALL.map(|family| code(&well, family)), [200, 503]);
    // Before the first sync nothing is served, whatever there is.
    let early = checks(Arc::new(Health::new(Duration::from_mins(1))), PORT, 1);
    assert_eq!(code(&early, Family::V4), 503);
    assert!(body(early.answer(&id("web"), Family::V4, now)).contains("Healthy\": false"));
    // A node on its way out still serves, and its own port says that it goes.
    let leaving = health();
    leaving.node_eligible(false);
    assert_eq!(code(&checks(leaving, PORT, 1), Family::V4), 200);
}

#[test]
fn what_counts_are_addresses_of_ready_endpoints_on_this_node() {
    let mut unready = endpoint("10.1.1.2", "a1", "a");
    unready.conditions = UNREADY;
    let mut leaving = endpoint("10.1.1.3", "a1", "a");
    leaving.conditions = TERMINATING;
    let mut nowhere = endpoint("10.1.1.4", "a1", "a");
    nowhere.node = None;
    let near = endpoint("10.1.1.1", "a1", "a");
    let far = endpoint("10.1.3.1", "b1", "b");
    let first = slice(
        "web-1",
        "web",
        vec![near.clone(), unready, leaving, nowhere, far],
    );
    let second = slice("web-2", "web", vec![near.clone()]);
    let mut abroad = slice("web-3", "web", vec![endpoint("10.9.1.1", "a1", "a")]);
    abroad.cluster = Some("b".into());
    let check = Check::of(&web(PORT), &[&first, &second, &abroad], "a1", &Family::ALL).unwrap();
    assert_eq!(
        check.local,
        BTreeMap::from([(Family::V4, 1), (Family::V6, 0)])
    );
    let check = Check::of(&web(PORT), &[&first], "a1", &[Family::V4]).unwrap();
    assert_eq!(check.local.len(), 1, "the node has no IPv6");
    let none = service("web", &["10.96.0.10"]);
    assert_eq!(Check::of(&none, &[&first], "a1", &Family::ALL), None);
}

/// What is answered at a port of this host; none where nobody listens.
async fn ask(number: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", number)).await.ok()?;
    let request = b"GET /whatever HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    Some(text)
}

#[tokio::test]
async fn a_port_is_open_for_as_long_as_it_is_wanted() {
    // One that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let number = free.local_addr().unwrap().port();
    drop(free);
    let checks = Arc::new(checks(health(), number, 1));
    let teller = Teller::new(Arc::<Metrics>::default()).0;
    let served = tokio::spawn(checks.clone().serve(teller));
    let until = async |open: bool| {
        for _ in 0..100 {
            let answer = ask(number).await;
            if answer.is_some() == open {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("port {number}: open is not {open}");
    };
    assert!(until(true).await.unwrap().starts_with("HTTP/1.1 200 OK"));
    checks.set(&id("web"), None);
    assert_eq!(until(false).await, None);
    checks.set(&id("web"), Check::of(&web(number), &[], "a1", &Family::ALL));
    assert!(until(true).await.unwrap().starts_with("HTTP/1.1 503 "));
    served.abort();
}

#[tokio::test]
async fn ports_are_looked_at_when_a_service_has_another_family() {
    let checks = checks(health(), 30_000, 1);
    checks.changed.notified().await;
    let changed = async || {
        let notified = checks.changed.notified();
        tokio::time::timeout(Duration::ZERO, notified).await.is_ok()
    };
    let mut single = web(30_000);
    single.cluster_ips.pop();
    checks.set(&id("web"), Check::of(&single, &[], "a1", &Family::ALL));
    assert!(changed().await);
    checks.set(&id("web"), Check::of(&single, &[], "a1", &Family::ALL));
    assert!(!changed().await, "it is the same");
}

/// The port is tried again when it has been told that somebody else has it.
#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_is_told_and_answered_once_it_is_free() {
    let other = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let number = other.local_addr().unwrap().port();
    let checks = Arc::new(checks(health(), number, 1));
    let (teller, mut told) = Teller::new(Arc::<Metrics>::default());
    let served = tokio::spawn(checks.serve(teller));
    let happening = told.next().await.unwrap();
    assert_eq!(happening.reason, Reason::FailedToStartServiceHealthcheck);
    assert_eq!(happening.subject, Subject::service(&id("web"), None));
    assert!(
        happening.note.contains(&number.to_string()),
        "{}",
        happening.note
    );
    drop(other);
    tokio::time::advance(2 * ports::LOOK).await;
    // From here on real time: sockets do not know of any other.
    tokio::time::resume();
    let answer = async {
        loop {
            if let Some(answer) = ask(number).await {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), answer).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200 OK"));
    served.abort();
}

/// An address that the node got later: nobody can listen there, and that is told.
#[tokio::test(start_paused = true)]
async fn addresses_that_the_node_gets_later_count_too() {
    let checks = Arc::new(checks(health(), PORT, 1));
    checks.at(&["192.0.2.0/24".parse().unwrap()]);
    let later = tokio::time::Instant::now() + 2 * ports::LOOK;
    let own = move || {
        let there = tokio::time::Instant::now() >= later;
        Ok(there.then(|| ip("192.0.2.1")).into_iter().collect())
    };
    let (teller, mut told) = Teller::new(Arc::<Metrics>::default());
    let served = tokio::spawn(checks.serve_at(own, teller));
    let happening = tokio::time::timeout(3 * ports::LOOK, told.next()).await;
    let note = happening.unwrap().unwrap().note;
    assert!(note.contains("192.0.2.1"), "{note}");
    served.abort();
}
