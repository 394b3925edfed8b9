//! The connection to the API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{ClientBuilder, ConfigExt};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tower::{BoxError, ServiceBuilder};

use super::stream::WATCH_SECONDS;

/// How long a connection may take to come about. Short, because a server that comes back does not
/// know of the packets sent before.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the server may be silent: a watch is over by then, so it must have said so.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);
/// How often an idle connection is probed: a server that was restarted, or whose address moved to
/// another machine, is noticed at the next probe.
const PROBE: Duration = Duration::from_secs(5);
/// How many probes in a row may be lost.
const PROBES: u32 = 3;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig file is of no use.
    #[error("{path}: {source}; check its clusters, users and current-context")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// There is no kubeconfig file and this is no pod.
    #[error("{0}; give --kubeconfig")]
    InCluster(#[from] kube::config::InClusterError),
    /// The client could not be made.
    #[error("{0}; check the certificates and tokens of the kubeconfig file")]
    Build(#[from] kube::Error),
}

/// A client for the API server of a kubeconfig file, or without one that of the pod's cluster.
///
/// Must be called within a Tokio runtime. Does not connect yet.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    client_with(kubeconfig, SILENCE).await
}

/// The same for a server that may be silent for so long.
pub(super) async fn client_with(
    kubeconfig: Option<&Path>,
    silence: Duration,
) -> Result<Client, ClientError> {
    let config = match kubeconfig {
        Some(path) => read(path).await.map_err(|source| ClientError::Kubeconfig {
            path: path.into(),
            source,
        })?,
        None => Config::incluster()?,
    };
    Ok(build(&config, silence)?)
}

async fn read(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}

/// Builds a client as `kube` does, with two differences: connections are probed, and failed
/// requests are not repeated in secret (for up to 1000 s) but reported to the watch, which knows
/// how long to wait.
fn build(config: &Config, silence: Duration) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_keepalive_retries(Some(PROBES));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_read_timeout(Some(silence));
    connector.set_write_timeout(Some(silence));
    connector.set_reset_reader_on_write(true);
    let http = hyper_util::client::legacy::Builder::new(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, &*config.default_namespace).build())
}
