//! API servers that are old, gone or unwell.

use apiserver::{Action, Fault, Verb};

use super::*;

#[tokio::test]
async fn a_server_that_does_not_stream_lists_is_asked_for_pages() {
    let config = Config {
        watch_list: false,
        ..Config::default()
    };
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let api = server.handle();
    let name = |number| format!("web-{number}");
    api.apply_all((0..600).map(|number| service(&name(number), "10.96.0.1")))
        .unwrap();
    let mut watching = Watching::start(&server).await;
    let events = watching.listed().await;
    assert_eq!(applied_services(&events), (0..600).map(name).collect());
    let requests = api.requests();
    let pages = queries(&requests, "services");
    let pages = pages
        .iter()
        .filter(|query| query.contains(&format!("limit={PAGE}")));
    assert_eq!(pages.count(), 3);
    api.apply(service("new", "10.96.0.2")).unwrap();
    watching.until(applies_service("new")).await;
}

#[tokio::test]
async fn changes_apply_within_two_seconds_of_the_servers_return() {
    let (server, api) = server();
    api.apply(service("web", "10.96.0.1")).unwrap();
    let mut watching = Watching::start(&server).await;
    watching.listed().await;
    api.stop().unwrap();
    // Longer than all growing waits together.
    tokio::time::sleep(Duration::from_secs(4)).await;
    api.apply(service("new", "10.96.0.2")).unwrap();
    api.resume().unwrap();
    let events = tokio::time::timeout(
        Duration::from_secs(2),
        watching.until(applies_service("new")),
    )
    .await
    .expect("within 2 s");
    let listing = events
        .iter()
        .any(|event| matches!(event, Event::Service(Change::Listing)));
    assert!(!listing, "the watch goes on where it was");
}

#[tokio::test]
async fn a_change_while_the_watch_was_cut_is_not_lost() {
    let (server, api) = server();
    let mut watching = Watching::start(&server).await;
    watching.listed().await;
    for name in ["a", "b", "c"] {
        api.cut_watches();
        api.apply(service(name, "10.96.0.1")).unwrap();
        watching.until(applies_service(name)).await;
    }
}

#[tokio::test]
async fn a_deletion_that_nobody_saw_shows_as_absence_from_the_next_list() {
    let (server, api) = server();
    api.apply_all([service("gone", "10.96.0.1"), service("web", "10.96.0.2")])
        .unwrap();
    let mut watching = Watching::start(&server).await;
    watching.listed().await;
    api.stop().unwrap();
    api.delete("services", "default", "gone").unwrap();
    api.compact();
    api.resume().unwrap();
    let listed = |event: &Event| *event == Event::Service(Change::Listed);
    let events = watching.until(listed).await;
    assert!(events.contains(&Event::Service(Change::Listing)));
    assert_eq!(applied_services(&events), ["web".to_owned()].into());
}

#[tokio::test]
async fn a_server_that_misbehaves_is_asked_again() {
    let (server, api) = server();
    api.apply(service("web", "10.96.0.1")).unwrap();
    for action in [
        Action::refuse(403),
        Action::refuse(429),
        Action::refuse(500),
        Action::refuse(503),
        Action::Drop,
    ] {
        api.misbehave(Fault::on(Verb::Watch, "services", action.clone()).times(2));
        let mut watching = Watching::start(&server).await;
        let events = watching.listed().await;
        assert_eq!(
            applied_services(&events),
            ["web".to_owned()].into(),
            "{action:?}"
        );
        api.behave();
    }
}

#[tokio::test]
async fn a_watch_that_is_refused_as_too_old_starts_with_a_list() {
    let (server, api) = server();
    let mut watching = Watching::start(&server).await;
    watching.listed().await;
    api.misbehave(Fault::on(Verb::Watch, "services", Action::refuse(410)).times(1));
    api.apply(service("new", "10.96.0.2")).unwrap();
    watching.until(applies_service("new")).await;
    api.cut_watches();
    let events = watching
        .until(|event| *event == Event::Service(Change::Listed))
        .await;
    assert_eq!(applied_services(&events), ["new".to_owned()].into());
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let (server, api) = server();
    api.stop().unwrap();
    let mut watching = Watching::start(&server).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    api.apply(service("web", "10.96.0.1")).unwrap();
    api.resume().unwrap();
    watching.until(applies_service("web")).await;
}
