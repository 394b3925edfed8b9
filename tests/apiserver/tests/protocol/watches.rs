use std::time::Duration;

use apiserver::{Config, Server};
use futures_util::{StreamExt, TryStreamExt};
use kube::api::{Api, ListParams, PartialObjectMetaExt, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_watcher_lists_then_follows_in_either_mode() -> anyhow::Result<()> {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let (_server, api) = server()?;
        api.apply_all([service("a"), service("b")])?;
        let mut watching = Watching::start(services(&api)?, config);
        watching.expect(&["init", "has a", "has b", "synced"]).await;
        api.apply(service("c"))?;
        api.patch(
            "services",
            "",
            "a",
            json!({ "spec": { "type": "ClusterIP" } }),
        )?;
        api.delete("services", "", "b")?;
        watching.expect(&["+c", "+a", "-b"]).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_list_in_pages_shows_one_moment() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply_all(["a", "b", "c", "d", "e"].map(service))?;
    let services = services(&api)?;
    let page = async |token: &str| {
        let mut params = ListParams::default().limit(2);
        params.continue_token = Some(token.to_owned()).filter(|token| !token.is_empty());
        let list = services.list(&params).await?;
        let names: Vec<_> = list
            .items
            .into_iter()
            .filter_map(|s| s.metadata.name)
            .collect();
        let version = list.metadata.resource_version.unwrap_or_default();
        anyhow::Ok((
            names.join(","),
            list.metadata.continue_.unwrap_or_default(),
            version,
        ))
    };
    let (first, token, version) = page("").await?;
    assert_eq!(first, "a,b");
    api.delete("services", "", "c")?;
    api.apply(service("aa"))?;
    api.apply(service("dd"))?;
    let (second, token, same) = page(&token).await?;
    assert_eq!((second.as_str(), same), ("c,d", version));
    let (third, token, _) = page(&token).await?;
    assert_eq!((third.as_str(), token.as_str()), ("e", ""));
    Ok(())
}

#[tokio::test]
async fn a_page_after_compaction_is_gone() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply_all(["a", "b", "c"].map(service))?;
    let services = services(&api)?;
    let first = services.list(&ListParams::default().limit(1)).await?;
    api.compact();
    let token = first.metadata.continue_.unwrap_or_default();
    let rest = ListParams::default().limit(1).continue_token(&token);
    assert_eq!(code(services.list(&rest).await), 410);
    Ok(())
}

#[tokio::test]
async fn a_watch_of_the_compacted_past_gets_an_error_event_and_relists() -> anyhow::Result<()> {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let (_server, api) = server()?;
        api.apply(service("a"))?;
        let mut watching = Watching::start(services(&api)?, config);
        watching.expect(&["init", "has a", "synced"]).await;
        api.apply(service("b"))?;
        watching.expect(&["+b"]).await;
        api.compact();
        api.cut_watches();
        watching
            .expect(&["error event 410", "init", "has a", "has b", "synced"])
            .await;
    }
    Ok(())
}

#[tokio::test]
async fn a_compaction_leaves_watches_under_way_alone() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let mut watching = Watching::start(services(&api)?, watcher::Config::default());
    watching.expect(&["init", "synced"]).await;
    api.apply(service("a"))?;
    watching.expect(&["+a"]).await;
    api.compact();
    api.apply(service("b"))?;
    watching.expect(&["+b"]).await;
    Ok(())
}

#[tokio::test]
async fn a_cut_watch_resumes_where_it_was() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("a"))?;
    let mut watching = Watching::start(services(&api)?, watcher::Config::default());
    watching.expect(&["init", "has a", "synced"]).await;
    api.apply(service("b"))?;
    watching.expect(&["+b"]).await;
    api.cut_watches();
    api.apply(service("c"))?;
    watching.expect(&["+c"]).await;
    Ok(())
}

#[tokio::test]
async fn objects_enter_and_leave_a_watch_as_their_labels_change() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply_all([service("a"), service("b")])?;
    let config = watcher::Config::default()
        .labels("!hidden")
        .fields("spec.clusterIP!=None");
    let mut watching = Watching::start(services(&api)?, config);
    watching.expect(&["init", "has a", "has b", "synced"]).await;
    let hidden = |value: Value| json!({ "metadata": { "labels": { "hidden": value } } });
    api.patch("services", "", "a", hidden("yes".into()))?;
    api.patch(
        "services",
        "",
        "a",
        json!({ "spec": { "type": "NodePort" } }),
    )?;
    api.patch(
        "services",
        "",
        "b",
        json!({ "spec": { "clusterIP": "None" } }),
    )?;
    api.patch("services", "", "a", hidden(Value::Null))?;
    watching.expect(&["-a", "-b", "+a"]).await;
    Ok(())
}

#[tokio::test]
async fn bookmarks_carry_versions_of_other_kinds_and_end_a_timed_watch() -> anyhow::Result<()> {
    let config = Config {
        bookmark_interval: Duration::from_millis(50),
        ..Config::default()
    };
    let server = Server::bind("127.0.0.1:0", config)?;
    let api = server.handle();
    let services = services(&api)?;
    api.apply_yaml("{apiVersion: v1, kind: Node, metadata: {name: east-1}}")?;
    let params = WatchParams::default().timeout(1);
    let events: Vec<_> = services.watch(&params, "1").await?.try_collect().await?;
    assert!(
        events.len() > 2,
        "the interval brings some, the end brings one"
    );
    for event in events {
        let WatchEvent::Bookmark(bookmark) = event else {
            panic!("{event:?}")
        };
        assert_eq!(
            bookmark.metadata.resource_version,
            api.version().to_string()
        );
    }
    Ok(())
}

#[tokio::test]
async fn metadata_is_served_alone_where_asked_for() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("a"))?;
    let services = services(&api)?;
    let list = services.list_metadata(&ListParams::default()).await?;
    let expected = json!({ "app": "a" });
    assert_eq!(json!(list.items[0].metadata.labels), expected);
    let one = services.get_metadata("a").await?;
    assert_eq!(one.types.unwrap_or_default().kind, "PartialObjectMetadata");

    let partial: Api<kube::core::PartialObjectMeta<Service>> =
        Api::default_namespaced(client(&api)?);
    let stream = partial.watch_metadata(&WatchParams::default(), "0").await?;
    let event = stream.boxed().try_next().await?;
    let Some(WatchEvent::Added(seen)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(
        seen.metadata,
        one.metadata.into_request_partial::<Service>().metadata
    );
    Ok(())
}

#[tokio::test]
async fn a_server_without_watch_list_refuses_initial_events() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.serve_watch_list(false);
    let params = WatchParams::default().initial_events();
    assert_eq!(
        code(services(&api)?.watch(&params, "0").await.map(|_| ())),
        422
    );
    Ok(())
}

#[tokio::test]
async fn ten_watchers_follow_a_bulk_load() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    // One client for all: each new one reads the system's root certificates.
    let services = services(&api)?;
    let mut watchers = Vec::new();
    for _ in 0..10 {
        let mut watching = Watching::start(services.clone(), watcher::Config::default());
        watching.expect(&["init", "synced"]).await;
        watchers.push(watching);
    }
    let names: Vec<_> = (0..5000).map(|number| format!("s{number:04}")).collect();
    assert_eq!(api.apply_all(names.iter().map(|name| service(name)))?, 5000);
    for watching in &mut watchers {
        for name in &names {
            assert_eq!(watching.next().await, format!("+{name}"));
        }
    }
    Ok(())
}
