use std::thread;

use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::serve::ask::Knows;
use crate::serve::routes::PortRoutes;
use crate::serve::routes::example::spilling;

/// Knows three services, of which each has the same routes.
struct Core;

impl Knows for Core {
    fn names(&self) -> Vec<ServiceId> {
        let web = ServiceId::new("default", "web");
        vec![ServiceId::new("default", "db"), web.clone(), web.import()]
    }

    fn routes(&mut self, service: &ServiceId) -> Vec<PortRoutes> {
        vec![PortRoutes {
            service: service.name.to_string(),
            ..spilling()
        }]
    }
}

async fn ask(uri: &str, core: impl Fn(Ask) + Sync) -> (u16, Vec<u8>) {
    let answer = local_answer(&uri.parse().unwrap(), &core).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap();
    (status, body.to_bytes().to_vec())
}

/// The names of the services in the answer.
async fn services(uri: &str) -> Vec<String> {
    let (status, body) = ask(uri, |ask| ask.answer(&mut Core)).await;
    assert_eq!(status, 200);
    let routes: Vec<PortRoutes> = serde_json::from_slice(&body).unwrap();
    routes.into_iter().map(|port| port.service).collect()
}

async fn error(uri: &str, core: impl Fn(Ask) + Sync) -> (u16, NoRoutes) {
    let (status, body) = ask(uri, core).await;
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn one_service_or_all() {
    assert_eq!(services("/v1/routes").await, ["db", "web", "web"]);
    assert_eq!(services("/v1/routes?service=default/db").await, ["db"]);
    let encoded = "/v1/routes?service=default%2Fweb%40clusterset";
    assert_eq!(services(encoded).await, ["web"]);
}

#[tokio::test]
async fn what_is_not_there_gets_names_that_are() {
    let known = |ask: Ask| ask.answer(&mut Core);
    let (status, no) = error("/v1/routes?service=default/wbe", known).await;
    assert_eq!(status, 404);
    assert_eq!(no.error, "this node knows no service default/wbe");
    assert_eq!(no.near, ["default/web", "default/web@clusterset"]);
    let (_, no) = error("/v1/routes?service=default/wob", known).await;
    assert_eq!(no.near, ["default/web", "default/web@clusterset"]);
    let (_, no) = error("/v1/routes?service=default/bew", known).await;
    assert!(no.near.is_empty(), "two letters of three are off: {no:?}");
    let (status, no) = error("/v1/routes?service=A", known).await;
    assert_eq!(status, 400);
    assert!(no.error.contains("NAMESPACE/NAME"), "{no:?}");
    assert_eq!(error("/v1/routes?pod=a", known).await.0, 400);
    assert_eq!(ask("/v1", known).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_core_that_is_busy_or_gone_is_no_reason_to_hang() {
    assert_eq!(error("/v1/routes", drop).await.0, 503);
    let held = std::sync::Mutex::new(Vec::new());
    let busy = |ask| held.lock().unwrap().push(ask);
    assert_eq!(error("/v1/routes", busy).await.0, 503);
}

#[test]
fn nothing_is_made_for_who_has_left() {
    struct Nobody;
    impl Knows for Nobody {
        fn names(&self) -> Vec<ServiceId> {
            panic!("asked for nothing")
        }
        fn routes(&mut self, _: &ServiceId) -> Vec<PortRoutes> {
            panic!("asked for nothing")
        }
    }
    let (reply, left) = oneshot::channel();
    drop(left);
    Ask::Names(reply).answer(&mut Nobody);
    let (reply, left) = oneshot::channel();
    drop(left);
    Ask::Routes(vec![ServiceId::new("a", "b")], reply).answer(&mut Nobody);
}

#[tokio::test]
async fn the_socket_answers_while_the_core_is_another_thread() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let (sender, inbox) = std::sync::mpsc::channel::<Ask>();
    let core = thread::spawn(move || inbox.iter().for_each(|ask| ask.answer(&mut Core)));
    let local = Local::bind(&path).unwrap();
    let server = tokio::spawn(local.serve(move |ask| drop(sender.send(ask))));
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream
            .write_all(b"GET /v1/routes?service=default/web HTTP/1.1\r\nHost: n\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body[0]["families"][0]["takes"], "zone");
    server.abort();
    drop(server.await);
    core.join().unwrap();
}
