use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver::{Action, Config, Fault, Handle, Recorded, Server, Verb};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::*;
use crate::model::{ServiceId, SliceId};

/// Long enough for a busy machine. Nothing here waits for that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Watches under way, and what they have said.
struct Watching {
    events: UnboundedReceiver<Event>,
    problems: Arc<Mutex<Vec<Problem>>>,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watching {
    async fn start(server: &Server) -> Self {
        let client = client(&server.url(), None).await;
        let (sender, events) = unbounded_channel();
        let problems = Arc::<Mutex<Vec<Problem>>>::default();
        let sink = Arc::clone(&problems);
        let task = tokio::spawn(async move {
            let events = |event| drop(sender.send(event));
            let problems = |problem: &Problem| sink.lock().unwrap().push(problem.clone());
            run(client, "east-1", events, problems).await;
        });
        Self {
            events,
            problems,
            task,
        }
    }

    /// The events up to and with the first that is looked for.
    async fn until(&mut self, found: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        let search = async {
            while let Some(event) = self.events.recv().await {
                let done = found(&event);
                events.push(event);
                if done {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, search).await.is_err() {
            panic!("not among {events:#?}");
        }
        events
    }

    /// The events until all three lists are complete.
    async fn listed(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..3 {
            let listed = |event: &Event| {
                matches!(
                    event,
                    Event::Service(Change::Listed)
                        | Event::Slice(Change::Listed)
                        | Event::Node(Change::Listed)
                )
            };
            events.extend(self.until(listed).await);
        }
        events
    }
}

/// A client, through a kubeconfig file as the agent's.
async fn client(url: &str, token: Option<&str>) -> Client {
    static FILES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = FILES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("spillway-kubeconfig-{}-{number}", std::process::id());
    let file = std::env::temp_dir().join(name);
    let kubeconfig = json!({
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    });
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let client = crate::watch::client(Some(&file)).await.unwrap();
    std::fs::remove_file(file).unwrap();
    client
}

fn server() -> (Server, Handle) {
    let server = Server::bind("127.0.0.1:0", Config::default()).unwrap();
    let api = server.handle();
    (server, api)
}

fn service(name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"clusterIP": ip, "ports": [{"port": 80}]},
    })
}

fn slice(name: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default",
            "name": name,
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}],
        "endpoints": [{"addresses": ["10.1.0.5"]}],
    })
}

fn node(name: &str) -> Value {
    let labels = json!({"topology.kubernetes.io/zone": name});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

fn applies_service(name: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Service(Change::Apply(service)) if &*service.id.name == name)
}

fn deletes_service(name: &'static str) -> impl Fn(&Event) -> bool {
    let id = ServiceId::new("default", name);
    move |event| *event == Event::Service(Change::Delete(id.clone()))
}

/// The names of the Services that are applied.
fn applied_services(events: &[Event]) -> BTreeSet<String> {
    let name = |event: &Event| match event {
        Event::Service(Change::Apply(service)) => Some(service.id.name.to_string()),
        _ => None,
    };
    events.iter().filter_map(name).collect()
}

fn queries<'a>(requests: &'a [Recorded], resource: &str) -> Vec<&'a str> {
    let of = requests
        .iter()
        .filter(|request| request.resource == resource);
    of.map(|request| &*request.query).collect()
}

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
        ("nodes", vec!["fieldSelector=metadata.name%3Deast-1"]),
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
}

#[tokio::test]
async fn the_cluster_role_of_the_manifests_is_enough() {
    let config = Config {
        rbac: true,
        ..Config::default()
    };
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let api = server.handle();
    api.apply_yaml(include_str!("../../daemonset/rbac.yaml"))
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
    let problems = Arc::default();
    Watching {
        events,
        problems,
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
async fn one_malformed_object_costs_nothing_but_itself() {
    for watch_list in [true, false] {
        let config = Config {
            watch_list,
            ..Config::default()
        };
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let api = server.handle();
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
            service("sound", "10.96.0.3"),
            slice("web-1"),
        ])
        .unwrap();
        let mut watching = Watching::start(&server).await;
        let events = watching.listed().await;
        assert_eq!(
            applied_services(&events),
            ["odd".to_owned(), "sound".to_owned()].into()
        );
        let problems: BTreeSet<_> = watching
            .problems
            .lock()
            .unwrap()
            .iter()
            .map(|problem| (problem.kind, problem.object.clone(), problem.field.clone()))
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
