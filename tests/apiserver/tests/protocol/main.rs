//! The server as the `kube` client sees it.

mod access;
mod misbehaviour;
mod objects;
mod watches;

use std::pin::Pin;
use std::time::{Duration, Instant};

use apiserver::{Config, Handle, Server};
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Service;
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that demands nothing, with its handle.
fn server() -> anyhow::Result<(Server, Handle)> {
    let server = Server::bind("127.0.0.1:0", Config::default())?;
    let api = server.handle();
    Ok((server, api))
}

/// A client that shows a token and reports every failure at once.
fn client_with(url: &str, token: Option<&str>) -> anyhow::Result<Client> {
    let mut config = kube::Config::new(url.parse()?);
    config.default_retry = false;
    config.auth_info.token = token.map(|token| token.to_owned().into());
    Ok(Client::try_from(config)?)
}

fn client(api: &Handle) -> anyhow::Result<Client> {
    client_with(&api.url(), None)
}

fn services(api: &Handle) -> anyhow::Result<Api<Service>> {
    Ok(Api::default_namespaced(client(api)?))
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "clusterIP": "10.0.0.1" },
    })
}

/// The code of the Status that a request was refused with.
fn code<T>(result: kube::Result<T>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("not a Status: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

/// A watcher that shows its events as short words.
struct Watching(Pin<Box<dyn Stream<Item = String> + Send>>);

impl Watching {
    fn start(services: Api<Service>, config: watcher::Config) -> Self {
        let name = |service: &Service| service.metadata.name.clone().unwrap_or_default();
        Self(Box::pin(watcher(services, config).map(
            move |event| match event {
                Ok(watcher::Event::Init) => "init".to_owned(),
                Ok(watcher::Event::InitApply(service)) => format!("has {}", name(&service)),
                Ok(watcher::Event::InitDone) => "synced".to_owned(),
                Ok(watcher::Event::Apply(service)) => format!("+{}", name(&service)),
                Ok(watcher::Event::Delete(service)) => format!("-{}", name(&service)),
                Err(watcher::Error::WatchError(status)) => format!("error event {}", status.code),
                Err(_) => "failure".to_owned(),
            },
        )))
    }

    async fn next(&mut self) -> String {
        let event = tokio::time::timeout(PATIENCE, self.0.next()).await;
        event.expect("no event came").expect("the watch ended")
    }

    /// Lets events pass up to and including this one.
    async fn skip_to(&mut self, event: &str) {
        let reached = async { while self.next().await != event {} };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .expect("the event did not come");
    }

    async fn expect(&mut self, events: &[&str]) {
        for expected in events {
            assert_eq!(self.next().await, *expected);
        }
    }
}

/// Waits until the server has recorded what is looked for: requests arrive when they like.
async fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it never came to pass");
        tokio::task::yield_now().await;
    }
}
