//! What is watched and what becomes of it.

use super::*;
use crate::model::{Capacity, Said, SliceId};

#[tokio::test]
async fn what_is_there_is_listed_and_then_every_change_is_told() {
    let (server, api) = server();
    let objects = [
        service("web", "10.96.0.1"),
        slice("web-1"),
        node("east-1"),
        node("east-2"),
    ];
    api.apply_all(objects).unwrap();
    let mut watching = Watching::start(&server).await;
    let events = watching.listed().await;
    assert_eq!(applied_services(&events), ["web".to_owned()].into());
    let slices = events
        .iter()
        .filter(|event| matches!(event, Event::Slice(Change::Apply(_))));
    assert_eq!(slices.count(), 1);
    let zones: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Node(Change::Apply(node)) => node.zone.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(zones, ["east-1"]);

    api.apply(service("api", "10.96.0.2")).unwrap();
    watching.until(applies_service("api")).await;
    api.delete("services", "default", "web").unwrap();
    watching.until(deletes_service("web")).await;
    api.delete("endpointslices", "default", "web-1").unwrap();
    let id = SliceId {
        namespace: "default".into(),
        name: "web-1".into(),
    };
    watching
        .until(|event| *event == Event::Slice(Change::Delete(id.clone())))
        .await;
    api.delete("nodes", "", "east-1").unwrap();
    watching
        .until(|event| *event == Event::Node(Change::Delete(())))
        .await;
    assert_eq!(*watching.problems.lock().unwrap(), []);
}

#[tokio::test]
async fn only_what_a_proxy_needs_is_asked_for() {
    let (server, api) = server();
    Watching::start(&server).await.listed().await;
    let requests = api.requests();
    for (resource, selectors) in [
        (
            "services",
            vec![
                "labelSelector=%21service.kubernetes.io%2Fservice-proxy-name",
                "fieldSelector=spec.clusterIP%21%3DNone",
            ],
        ),
        (
            "endpointslices",
            vec!["labelSelector=%21service.kubernetes.io%2Fheadless"],
        ),
        ("serviceimports", vec![]),
        (
            "clusterproperties",
            vec!["fieldSelector=metadata.name%3Dcluster.clusterset.k8s.io"],
        ),
    ] {
        let queries = queries(&requests, resource);
        assert!(!queries.is_empty(), "{resource} are asked for");
        for query in queries {
            for selector in &selectors {
                assert!(query.contains(selector), "{resource}: {query}");
            }
            let parts = query.matches("Selector=").count();
            assert_eq!(parts, selectors.len(), "{resource}: {query}");
        }
    }
    let nodes = queries(&requests, "nodes");
    let (own, others): (Vec<&str>, Vec<&str>) = nodes
        .iter()
        .partition(|query| query.contains("fieldSelector=metadata.name%3Deast-1"));
    assert!(!own.is_empty() && !others.is_empty(), "{nodes:?}");
    for query in others {
        assert!(
            query.contains("fieldSelector=metadata.name%21%3Deast-1"),
            "{query}"
        );
        assert!(
            query.contains("labelSelector=spillway.io%2Fknown-to-all%3Dtrue"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn what_other_nodes_say_is_heard_if_they_are_labelled_for_it() {
    let (server, api) = server();
    let node = |name: &str, known: &str, capacity: &str| {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {"spillway.io/known-to-all": known},
                "annotations": {"spillway.io/capacity": capacity},
            },
        })
    };
    let nodes = [
        node("east-1", "true", "10"),
        node("east-2", "true", "20"),
        node("east-3", "false", "30"),
    ];
    api.apply_all(nodes).unwrap();
    let mut watching = Watching::start(&server).await;
    let events = watching.listed().await;
    let heard: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Neighbour(Change::Apply(one)) => Some((&*one.name, one.tuning.pods().capacity)),
            _ => None,
        })
        .collect();
    let twenty = Capacity::Connections(20.try_into().unwrap());
    assert_eq!(heard, [("east-2", Some(twenty))]);

    // What is wrong with it, its own agent tells.
    api.apply(node("east-2", "true", "many")).unwrap();
    watching
        .until(|event| {
            matches!(event, Event::Neighbour(Change::Apply(one))
                if one.tuning.all.capacity == Said::Invalid)
        })
        .await;
    assert_eq!(*watching.problems.lock().unwrap(), []);
}

#[tokio::test]
async fn the_cluster_role_of_the_manifests_is_enough() {
    let config = Config {
        rbac: true,
        ..Config::default()
    };
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let api = server.handle();
    api.apply_yaml(include_str!("../../../daemonset/rbac.yaml"))
        .unwrap();
    api.add_token(
        "secret",
        apiserver::User::service_account("kube-system", "spillway"),
    );
    let client = client(&server.url(), Some("secret")).await;
    let (sender, events) = unbounded_channel();
    let task = tokio::spawn(async move {
        run(client, "east-1", |event| drop(sender.send(event)), |_| {}).await;
    });
    Watching {
        events,
        problems: Arc::default(),
        unknown: Arc::default(),
        task,
    }
    .listed()
    .await;
    let refused: Vec<_> = api
        .requests()
        .into_iter()
        .filter(|request| request.status != Some(200))
        .collect();
    assert_eq!(refused, []);
}

#[tokio::test]
async fn a_service_that_becomes_someone_elses_is_deleted_and_may_come_back() {
    let (server, api) = server();
    api.apply(service("web", "10.96.0.1")).unwrap();
    let mut watching = Watching::start(&server).await;
    watching.listed().await;
    let label = |value: Value| json!({"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": value}}});
    for theirs in [
        label(json!("other")),
        json!({"spec": {"type": "ExternalName"}}),
    ] {
        api.patch("services", "default", "web", theirs).unwrap();
        watching.until(deletes_service("web")).await;
        api.patch("services", "default", "web", label(json!(null)))
            .unwrap();
        api.patch(
            "services",
            "default",
            "web",
            json!({"spec": {"type": null}}),
        )
        .unwrap();
        watching.until(applies_service("web")).await;
    }
}

#[tokio::test]
async fn one_malformed_object_costs_nothing_but_itself() {
    for watch_list in [true, false] {
        let (server, api) = streaming(watch_list);
        let mut odd = service("odd", "10.96.0.1");
        odd["spec"]["ports"] = json!({"port": 80});
        let mut worse = service("worse", "10.96.0.2");
        worse["spec"] = json!(["nothing"]);
        let mut wrong = slice("wrong");
        wrong["endpoints"][0]["addresses"] = json!(["10.1.0"]);
        api.apply_all([
            odd,
            worse,
            wrong,
            service("web", "10.96.0.3"),
            slice("web-1"),
        ])
        .unwrap();
        let mut watching = Watching::start(&server).await;
        let events = watching.listed().await;
        assert_eq!(
            applied_services(&events),
            ["odd".to_owned(), "web".to_owned()].into()
        );
        let problems: BTreeSet<_> = watching
            .problems
            .lock()
            .unwrap()
            .iter()
            .map(|problem| {
                (
                    problem.kind,
                    problem.object.to_string(),
                    problem.field.clone(),
                )
            })
            .collect();
        let problem = |kind, object: &str, field: &str| (kind, object.to_owned(), field.to_owned());
        assert_eq!(
            problems,
            [
                problem(
                    "EndpointSlice",
                    "default/wrong",
                    "endpoints[0].addresses[0]"
                ),
                problem("Service", "default/odd", "spec.ports"),
                problem("Service", "default/worse", "spec"),
            ]
            .into()
        );
    }
}

#[tokio::test]
async fn an_object_with_unknown_fields_is_no_problem_and_they_are_counted() {
    for watch_list in [true, false] {
        let (server, api) = streaming(watch_list);
        let mut newer = service("newer", "10.96.0.1");
        newer["spec"]["colour"] = json!({"front": "blue"});
        newer["spec"]["ports"][0]["shade"] = json!(["dark"]);
        let mut weighted = slice("web-1");
        weighted["endpoints"][0]["weight"] = json!(7);
        api.apply_all([newer, weighted, service("web", "10.96.0.2")])
            .unwrap();
        let mut watching = Watching::start(&server).await;
        let events = watching.listed().await;
        assert_eq!(
            applied_services(&events),
            ["newer".to_owned(), "web".to_owned()].into()
        );
        let mut unknown = watching.unknown.lock().unwrap().clone();
        unknown.sort_unstable();
        assert_eq!(unknown, ["EndpointSlice", "Service", "Service"]);
        assert_eq!(*watching.problems.lock().unwrap(), []);
    }
}
