//! API servers that are old, gone or unwell.

use apiserver::{Action, Fault, Verb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_server_that_does_not_stream_lists_is_asked_for_pages() {
    let (server, api) = streaming(false);
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
async fn a_watch_goes_on_where_it_was_when_the_server_returns() {
    let (server, api) = server();
    api.apply(service("web", "10.96.0.1")).unwrap();
    let mut watching = Watching::start(&server).await;
    watching.listed().await;
    api.stop().unwrap();
    // Longer than all growing waits together.
    tokio::time::sleep(Duration::from_secs(4)).await;
    api.apply(service("new", "10.96.0.2")).unwrap();
    api.resume().unwrap();
    let events = watching.until(applies_service("new")).await;
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

/// The agent's client gives a server 75 s (a watch and 15 s more); this one 1 s, so that the test
/// need not wait. The three watches hang side by side.
#[tokio::test]
async fn a_server_that_hangs_is_left_when_it_has_been_silent_for_too_long() {
    const SILENCE: Duration = Duration::from_secs(1);
    let (server, api) = server();
    api.apply(service("web", "10.96.0.1")).unwrap();
    for resource in ["services", "endpointslices", "nodes"] {
        api.misbehave(Fault::on(Verb::Watch, resource, Action::Hang).times(2));
    }
    let begin = Instant::now();
    let mut watching = Watching::by(impatient_client(&server.url(), SILENCE).await, LOOK);
    let events = watching.listed().await;
    assert_eq!(applied_services(&events), ["web".to_owned()].into());
    // Twice the silence and two short waits, with time to spare for a busy machine.
    let took = begin.elapsed();
    assert!(took >= 2 * SILENCE, "{took:?}");
    assert!(took < 2 * SILENCE + Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_server_that_is_slow_but_within_its_time_is_waited_for() {
    let (server, api) = server();
    api.apply(service("web", "10.96.0.1")).unwrap();
    let delay = Action::delay(Duration::from_secs(1));
    api.misbehave(Fault::on(Verb::Watch, "services", delay));
    let silence = Duration::from_secs(20);
    let mut watching = Watching::by(impatient_client(&server.url(), silence).await, LOOK);
    let events = watching.listed().await;
    assert_eq!(applied_services(&events), ["web".to_owned()].into());
    assert_eq!(queries(&api.requests(), "services").len(), 1, "asked once");
}

/// Answers every watch with the beginning of a list and this; returns what is asked for.
async fn half_lists(end: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]);
                let line = request.lines().next().unwrap_or_default();
                log.lock().unwrap().push(line.to_owned());
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                            Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
                let object = json!({"type": "ADDED", "object": service("web", "10.96.0.1")});
                let line = format!("{object}\n");
                let answer = format!("{head}{:x}\r\n{line}\r\n{end}", line.len());
                // A client that has gone away needs no answer.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_streamed_list_that_is_cut_short_is_streamed_again() {
    // Cut in the middle, and ended in good order as by a server that is shutting down.
    for end in ["", "0\r\n\r\n"] {
        let (url, asked) = half_lists(end).await;
        let mut watching = Watching::by(client(&url, None).await, LOOK);
        for _ in 0..3 {
            watching.until(applies_service("web")).await;
        }
        let asked = asked.lock().unwrap();
        let services = asked.iter().filter(|line| line.contains("/services?"));
        for line in services {
            assert!(line.contains("sendInitialEvents=true"), "{line}");
        }
    }
}
