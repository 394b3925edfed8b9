use std::time::Duration;

use apiserver::{Action, Fault, Match, Verb};
use http_body_util::Full;
use hyper::body::Bytes;
use kube::api::{ListParams, WatchParams};

use super::*;

#[tokio::test]
async fn the_next_requests_are_refused_and_then_no_more() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let services = services(&api)?;
    for refused in [410, 429, 500, 503] {
        let action = Action::Refuse {
            code: refused,
            retry_after: Some(7),
        };
        api.misbehave(Fault::on(Verb::List, "services", action).times(2));
        for _ in 0..2 {
            let result = services.list(&ListParams::default()).await;
            let Err(kube::Error::Api(status)) = result else {
                panic!("{result:?}")
            };
            assert_eq!(status.code, refused);
            assert_eq!(
                status.details.map(|details| details.retry_after_seconds),
                Some(7)
            );
        }
        services.list(&ListParams::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_fault_strikes_only_what_it_matches() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("web"))?;
    let services = services(&api)?;
    api.misbehave(Fault::on(Verb::Watch, "services", Action::refuse(500)));
    services.get("web").await?;
    for _ in 0..3 {
        assert_eq!(
            code(
                services
                    .watch(&WatchParams::default(), "0")
                    .await
                    .map(|_| ())
            ),
            500
        );
    }
    api.behave();
    drop(services.watch(&WatchParams::default(), "0").await?);
    let matching = Match {
        name: Some("other".to_owned()),
        ..Match::default()
    };
    api.misbehave(Fault {
        matching,
        ..Fault::always(Action::refuse(503))
    });
    services.get("web").await?;
    assert_eq!(code(services.get("other").await), 503);
    Ok(())
}

#[tokio::test]
async fn the_client_comes_again_after_the_time_it_is_told() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let retrying = kube::Client::try_from(kube::Config::new(api.url().parse()?))?;
    let action = Action::Refuse {
        code: 429,
        retry_after: Some(1),
    };
    api.misbehave(Fault::always(action).times(1));
    let start = Instant::now();
    Api::<Service>::all(retrying)
        .list(&ListParams::default())
        .await?;
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn requests_are_delayed_dropped_or_never_answered() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let services = services(&api)?;
    let delay = Duration::from_millis(200);
    api.misbehave(Fault::always(Action::delay(delay)).times(1));
    let start = Instant::now();
    services.list(&ListParams::default()).await?;
    assert!(start.elapsed() >= delay);

    api.misbehave(Fault::always(Action::Drop).times(1));
    let dropped = services.list(&ListParams::default()).await;
    assert!(
        !matches!(dropped, Ok(_) | Err(kube::Error::Api(_))),
        "{dropped:?}"
    );

    api.misbehave(Fault::always(Action::Hang).times(1));
    let hung = services.clone();
    let hung = tokio::spawn(async move { hung.list(&ListParams::default()).await });
    until(|| api.requests().len() == 3).await;
    services.list(&ListParams::default()).await?;
    assert!(!hung.is_finished());
    let statuses: Vec<_> = api
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [Some(200), None, None, Some(200)]);
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_on_its_port() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("a"))?;
    let mut watching = Watching::start(services(&api)?, watcher::Config::default());
    watching.expect(&["init", "has a", "synced"]).await;
    for name in ["b", "c"] {
        api.stop()?;
        let address = api.url().trim_start_matches("http://").to_owned();
        let error = tokio::net::TcpStream::connect(&address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(watching.next().await, "failure");
        api.apply(service(name))?;
        api.resume()?;
        watching.skip_to(&format!("+{name}")).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_lost_its_state_makes_watchers_list_again() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("old"))?;
    let mut watching = Watching::start(services(&api)?, watcher::Config::default());
    watching.expect(&["init", "has old", "synced"]).await;
    api.stop()?;
    api.forget();
    api.apply(service("new"))?;
    api.resume()?;
    watching.skip_to("init").await;
    watching.expect(&["has new", "synced"]).await;
    Ok(())
}

#[tokio::test]
async fn another_process_misbehaves_it_by_http() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("a"))?;
    let mut watching = Watching::start(services(&api)?, watcher::Config::default());
    watching.expect(&["init", "has a", "synced"]).await;

    let fault = r#"{"matching":{"verb":"list"},"action":{"refuse":{"code":503}},"times":1}"#;
    assert_eq!(admin(&api, "POST", "faults", fault).await?, 200);
    assert_eq!(
        code(services(&api)?.list(&ListParams::default()).await),
        503
    );
    assert_eq!(
        admin(&api, "POST", "faults", r#"{"matching":{"verbs":1}}"#).await?,
        400
    );

    assert_eq!(admin(&api, "POST", "compact", "").await?, 200);
    assert_eq!(admin(&api, "POST", "cut-watches", "").await?, 200);
    watching
        .expect(&["error event 410", "init", "has a", "synced"])
        .await;

    assert_eq!(admin(&api, "DELETE", "requests", "").await?, 200);
    assert!(api.requests().is_empty());
    let stopped = admin(&api, "POST", "stop?seconds=1", "").await;
    assert!(
        matches!(stopped, Ok(200) | Err(_)),
        "its own connection may be dropped"
    );
    watching.skip_to("failure").await;
    api.apply(service("b"))?;
    watching.skip_to("+b").await;
    Ok(())
}

/// Sends a request to the admin path and returns the status code.
async fn admin(api: &Handle, method: &str, path: &str, body: &str) -> anyhow::Result<u16> {
    let address = api.url().trim_start_matches("http://").to_owned();
    let stream = tokio::net::TcpStream::connect(&address).await?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("/admin/{path}"))
        .header("host", &address)
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
    Ok(sender.send_request(request).await?.status().as_u16())
}
