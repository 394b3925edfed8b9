//! Kinds that a cluster may be without.

use apiserver::{Action, Fault, Verb};

use super::*;

const SHORT: Duration = Duration::from_millis(100);

fn import(name: &str) -> Value {
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceImport",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"type": "ClusterSetIP", "ips": ["10.112.0.1"], "ports": [{"port": 80}]},
    })
}

fn cluster_id(id: &str) -> Value {
    json!({
        "apiVersion": "about.k8s.io/v1beta1",
        "kind": "ClusterProperty",
        "metadata": {"name": "cluster.clusterset.k8s.io"},
        "spec": {"value": id},
    })
}

fn applies_import(event: &Event) -> bool {
    matches!(event, Event::Import(Change::Apply(_)))
}

fn applies_cluster_id(event: &Event) -> bool {
    matches!(event, Event::ClusterId(Change::Apply(id)) if id.get().is_some())
}

/// Both kinds answer with this code, however they are asked.
fn refuse(api: &Handle, code: u16) {
    for resource in ["serviceimports", "clusterproperties"] {
        for verb in [Verb::List, Verb::Watch] {
            api.misbehave(Fault::on(verb, resource, Action::refuse(code)));
        }
    }
}

#[tokio::test]
async fn imports_and_the_clusters_id_are_followed() {
    let (server, api) = server();
    api.apply_all([import("web"), cluster_id("east")]).unwrap();
    let mut watching = Watching::start(&server).await;
    let events = watching.listed().await;
    assert!(events.iter().any(applies_import));
    assert!(events.iter().any(applies_cluster_id));
    api.delete("serviceimports", "default", "web").unwrap();
    let id = ServiceId::new("default", "web").import();
    watching
        .until(|event| *event == Event::Import(Change::Delete(id.clone())))
        .await;
    api.delete("clusterproperties", "", "cluster.clusterset.k8s.io")
        .unwrap();
    watching
        .until(|event| *event == Event::ClusterId(Change::Delete(())))
        .await;
    assert_eq!(*watching.problems.lock().unwrap(), []);
}

#[tokio::test]
async fn a_cluster_without_these_kinds_is_complete_without_them() {
    for code in [404, 403] {
        let (server, api) = server();
        api.apply(service("web", "10.96.0.1")).unwrap();
        refuse(&api, code);
        let mut watching = Watching::start(&server).await;
        let events = watching.listed().await;
        assert_eq!(applied_services(&events), ["web".to_owned()].into());
        assert!(!events.iter().any(applies_import), "{code}");
    }
}

#[tokio::test]
async fn kinds_that_come_later_are_found() {
    for code in [404, 403] {
        let (server, api) = server();
        refuse(&api, code);
        let mut watching = Watching::start_looking(&server, SHORT).await;
        watching.listed().await;
        api.behave();
        api.apply_all([import("web"), cluster_id("east")]).unwrap();
        let events = watching.until(applies_import).await;
        // They are looked for at times of their own.
        if !events.iter().any(applies_cluster_id) {
            watching.until(applies_cluster_id).await;
        }
    }
}

#[tokio::test]
async fn a_kind_that_is_gone_leaves_an_empty_list() {
    let (server, api) = server();
    api.apply(import("web")).unwrap();
    let mut watching = Watching::start_looking(&server, SHORT).await;
    watching.until(applies_import).await;
    let listed = |event: &Event| *event == Event::Import(Change::Listed);
    watching.until(listed).await;
    refuse(&api, 404);
    api.cut_watches();
    let events = watching.until(listed).await;
    assert!(!events.iter().any(applies_import));
}

/// The test API server knows no older version, which does not matter to what is asked for.
#[tokio::test]
async fn where_the_new_version_is_not_served_the_old_one_is() {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&asked);
    let api = tower::service_fn(move |request: hyper::Request<kube::client::Body>| {
        let path = request.uri().path().to_owned();
        let import = import("web").to_string();
        seen.lock().unwrap().push(path.clone());
        async move {
            let (code, body) = if path.contains("v1alpha1/serviceimports") {
                let end = json!({"type": "BOOKMARK", "object": {
                    "apiVersion": "multicluster.x-k8s.io/v1alpha1",
                    "kind": "ServiceImport",
                    "metadata": {
                        "resourceVersion": "1",
                        "annotations": {"k8s.io/initial-events-end": "true"},
                    },
                }});
                (
                    200,
                    format!("{{\"type\":\"ADDED\",\"object\":{import}}}\n{end}\n"),
                )
            } else {
                (404, "404 page not found\n".to_owned())
            };
            let response = hyper::Response::builder().status(code);
            response.body(kube::client::Body::from(body.into_bytes()))
        }
    });
    let (sender, events) = unbounded_channel();
    let client = Client::new(api, "default");
    let task = tokio::spawn(async move {
        run(client, "east-1", |event| drop(sender.send(event)), |_| {}).await;
    });
    let mut watching = Watching {
        events,
        problems: Arc::default(),
        unknown: Arc::default(),
        task,
    };
    watching.until(applies_import).await;
    let asked = asked.lock().unwrap();
    let new = "/apis/multicluster.x-k8s.io/v1beta1/serviceimports";
    assert!(asked.iter().any(|path| path == new), "{asked:?}");
}
