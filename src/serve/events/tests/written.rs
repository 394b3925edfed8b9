//! Events as the API server sees them.

use apiserver::{Config, Handle, Server};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use super::*;

fn client(server: &Server) -> Client {
    Client::try_from(kube::Config::new(server.url().parse().unwrap())).unwrap()
}

fn server() -> (Server, Handle) {
    let server = Server::bind("127.0.0.1:0", Config::default()).unwrap();
    let api = server.handle();
    (server, api)
}

fn events(api: &Handle) -> Vec<Value> {
    api.list("events.events.k8s.io")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_323_400 + second).unwrap()
}

#[tokio::test]
async fn an_event_has_what_kubectl_shows() {
    let (server, api) = server();
    let metrics = Arc::<Metrics>::default();
    let mut writer = Writer::new(client(&server), "east-1", metrics);
    writer
        .write(&spill(Reason::Saturated, "all full"), at(0))
        .await;
    let events = events(&api);
    assert_eq!(events.len(), 1);
    let event = &events[0];
    for (field, wanted) in [
        ("/metadata/namespace", "shop"),
        ("/type", "Warning"),
        ("/reason", "Saturated"),
        ("/action", "Route"),
        ("/note", "all full"),
        ("/reportingController", "spillway"),
        ("/reportingInstance", "east-1"),
    ] {
        assert_eq!(event.pointer(field), Some(&json!(wanted)), "{field}");
    }
    let regarding = json!({
        "apiVersion": "v1", "kind": "Service", "namespace": "shop", "name": "web", "uid": "u-1",
    });
    assert_eq!(event["regarding"], regarding);
}

#[tokio::test]
async fn a_node_has_its_events_where_kubectl_looks() {
    let (server, api) = server();
    let mut writer = Writer::new(client(&server), "east-1", Arc::default());
    writer.write(&bad("Node", "east-1", "routing"), at(0)).await;
    let events = events(&api);
    assert_eq!(events[0]["metadata"]["namespace"], "default");
    let regarding = json!({"apiVersion": "v1", "kind": "Node", "name": "east-1", "uid": "east-1"});
    assert_eq!(events[0]["regarding"], regarding);
}

#[tokio::test]
async fn the_same_again_is_counted_and_later_is_another() {
    let (server, api) = server();
    let mut writer = Writer::new(client(&server), "east-1", Arc::default());
    for second in [0, 60, 120] {
        writer
            .write(&bad("Service", "shop/web", "routing"), at(second))
            .await;
    }
    let found = events(&api);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["series"]["count"], 3);
    writer
        .write(&bad("Service", "shop/web", "levels"), at(120))
        .await;
    assert_eq!(events(&api).len(), 2);
    writer
        .write(&bad("Service", "shop/web", "routing"), at(700))
        .await;
    assert_eq!(events(&api).len(), 3);
}

/// As the agent does it: what is due is written, and nothing else.
#[tokio::test]
async fn a_spill_that_comes_again_is_counted_on_its_event() {
    let (server, api) = server();
    let metrics = Arc::<Metrics>::default();
    let mut writer = Writer::new(client(&server), "east-1", metrics.clone());
    let (mut pace, start) = (first(), Instant::now());
    // It spills for ten seconds of every twenty, of which half a minute allows every other; how
    // full it was differs each time.
    for second in 0..75_i64 {
        let now = start + seconds(second.unsigned_abs());
        let reason = match second % 20 {
            0 => Some(Reason::Spilling),
            10 => Some(Reason::SpillEnded),
            _ => None,
        };
        if let Some(reason) = reason {
            let happening = spill(reason, &format!("{second} of 75"));
            pace.take(happening, 5, now).unwrap();
        }
        for happening in pace.due(now) {
            writer.write(&happening, at(second)).await;
        }
    }
    let mut told: Vec<(Value, Value)> = events(&api)
        .into_iter()
        .map(|event| (event["reason"].clone(), event["series"]["count"].clone()))
        .collect();
    told.sort_by_key(|(reason, _)| reason.to_string());
    assert_eq!(
        told,
        [
            (json!("SpillEnded"), json!(2)),
            (json!("Spilling"), json!(2)),
        ]
    );
    let requests = api.requests();
    let verbs = |verb: &str| requests.iter().filter(|one| one.verb == verb).count();
    assert_eq!((verbs("create"), verbs("patch")), (2, 2));
    assert!(
        metrics
            .encode()
            .contains("spillway_events_written_total 4\n")
    );
}

#[tokio::test]
async fn all_nodes_together_write_one_event() {
    let (server, api) = server();
    let metrics = Arc::<Metrics>::default();
    for number in 0..5 {
        let node = format!("east-{number}");
        let mut writer = Writer::new(client(&server), &node, metrics.clone());
        for second in [0, 60] {
            let words = format!("{node} is full");
            writer
                .write(&spill(Reason::Spilling, &words), at(second))
                .await;
        }
    }
    let events = events(&api);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["note"], "east-0 is full");
    assert_eq!(events[0]["series"]["count"], 2);
    let creates = api.requests();
    let creates = creates.iter().filter(|one| one.verb == "create").count();
    assert_eq!(creates, 5, "each node asks once");
    assert!(metrics.encode().contains("spillway_events_lost_total 0\n"));
}

#[tokio::test]
async fn an_event_that_is_refused_is_counted_as_lost() {
    use apiserver::{Action, Fault, Verb};
    let (server, api) = server();
    api.misbehave(Fault::on(Verb::Create, "events", Action::refuse(403)));
    let metrics = Arc::<Metrics>::default();
    let mut writer = Writer::new(client(&server), "east-1", metrics.clone());
    writer.write(&bad("Node", "east-1", "routing"), at(0)).await;
    assert!(metrics.encode().contains("spillway_events_lost_total 1\n"));
    assert!(
        metrics
            .encode()
            .contains("spillway_events_written_total 0\n")
    );
}

/// Of this node's own Node, which nothing holds back: the note must not depend on how many of its
/// problems the writer has heard of.
#[tokio::test]
async fn what_is_wrong_with_the_node_at_once_is_one_event_too() {
    let (server, api) = server();
    let (teller, told) = Teller::new(Arc::default());
    let keys: Vec<String> = (0..20).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        teller.tell(bad("Node", "east-1", key));
    }
    let found = until_written(&server, &api, told).await;
    drop(teller);
    assert_eq!(found.len(), 1, "{found:#?}");
    let note = found[0]["note"].to_string();
    assert!(note.contains("key-0]") && note.contains("key-9]"), "{note}");
}

#[tokio::test]
async fn whoever_tells_never_waits() {
    let metrics = Arc::<Metrics>::default();
    let (teller, told) = Teller::new(metrics.clone());
    for _ in 0..2000 {
        teller.tell(bad("Node", "east-1", "routing"));
    }
    assert!(
        metrics
            .encode()
            .contains("spillway_events_lost_total 976\n")
    );
    let (server, api) = server();
    until_written(&server, &api, told).await;
    drop(teller);
}

/// Lets a writer work until it has written something.
async fn until_written(server: &Server, api: &Handle, told: Told) -> Vec<Value> {
    let writer = Writer::new(client(server), "east-1", Arc::default()).run(told);
    let written = async {
        while events(api).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = writer => panic!("the teller is still there"),
        () = written => {}
        () = tokio::time::sleep(seconds(30)) => panic!("nothing is written"),
    }
    events(api)
}
