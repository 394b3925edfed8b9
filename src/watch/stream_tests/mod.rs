//! The watches against an API server.

mod multicluster;
mod objects;
mod outages;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver::{Config, Handle, Recorded, Server};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::*;
use crate::model::ServiceId;

/// Long enough for a busy machine. Nothing here waits for that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Watches under way, and what they have said.
struct Watching {
    events: UnboundedReceiver<Event>,
    problems: Arc<Mutex<Vec<Problem>>>,
    unknown: Arc<Mutex<Vec<&'static str>>>,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watching {
    async fn start(server: &Server) -> Self {
        Self::start_looking(server, LOOK).await
    }

    /// With so much time between looks for kinds that are not there.
    async fn start_looking(server: &Server, look: Duration) -> Self {
        Self::by(client(&server.url(), None).await, look)
    }

    fn by(client: Client, look: Duration) -> Self {
        let (sender, events) = unbounded_channel();
        let problems = Arc::<Mutex<Vec<Problem>>>::default();
        let unknown = Arc::<Mutex<Vec<&'static str>>>::default();
        let sinks = (Arc::clone(&problems), Arc::clone(&unknown));
        let task = tokio::spawn(async move {
            let events = |event| drop(sender.send(event));
            let findings = |finding: Finding| match finding {
                Finding::Problem(problem) => sinks.0.lock().unwrap().push(problem.clone()),
                Finding::Unknown(kind) => sinks.1.lock().unwrap().push(kind),
            };
            run_looking(client, "east-1", look, events, findings).await;
        });
        Self {
            events,
            problems,
            unknown,
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
        let found = tokio::time::timeout(PATIENCE, search).await;
        assert!(found.is_ok(), "not among {events:#?}");
        events
    }

    /// The events until the lists of all kinds are complete.
    async fn listed(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..6 {
            let listed = |event: &Event| {
                matches!(
                    event,
                    Event::Service(Change::Listed)
                        | Event::Import(Change::Listed)
                        | Event::Slice(Change::Listed)
                        | Event::Node(Change::Listed)
                        | Event::Neighbour(Change::Listed)
                        | Event::ClusterId(Change::Listed)
                )
            };
            events.extend(self.until(listed).await);
        }
        events
    }
}

/// A client, through a kubeconfig file as the agent's.
async fn client(url: &str, token: Option<&str>) -> Client {
    let file = kubeconfig(url, token);
    let client = crate::watch::client(Some(&file), None).await.unwrap();
    std::fs::remove_file(file).unwrap();
    client
}

/// A client that gives the server less time than the agent's, which gives it 75 s.
async fn impatient_client(url: &str, silence: Duration) -> Client {
    let file = kubeconfig(url, None);
    let client = crate::watch::client::client_with(Some(&file), silence)
        .await
        .unwrap();
    std::fs::remove_file(file).unwrap();
    client
}

fn kubeconfig(url: &str, token: Option<&str>) -> std::path::PathBuf {
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
    file
}

fn server() -> (Server, Handle) {
    started(Config::default())
}

/// One that streams lists, or one that does not.
fn streaming(watch_list: bool) -> (Server, Handle) {
    started(Config {
        watch_list,
        ..Config::default()
    })
}

fn started(config: Config) -> (Server, Handle) {
    let server = Server::bind("127.0.0.1:0", config).unwrap();
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
