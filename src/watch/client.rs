//! The connection to the API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
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
    /// The URL of the command line is none.
    #[error("--master: found {0:?}; give a URL like https://192.0.2.1:6443")]
    Master(String),
    /// There is no kubeconfig file and this is no pod.
    #[error("{0}; give --kubeconfig")]
    InCluster(#[from] kube::config::InClusterError),
    /// The client could not be made.
    #[error("{0}; check the certificates and tokens of the kubeconfig file")]
    Build(#[from] kube::Error),
}

/// A client for the API server of a kubeconfig file, or without one that of the pod's cluster.
///
/// A `master`, its URL, goes before that of the file. Without a file nobody is told who asks, as by
/// other components of Kubernetes.
///
/// Must be called within a Tokio runtime. Does not connect yet.
pub async fn client(
    kubeconfig: Option<&Path>,
    master: Option<&str>,
) -> Result<Client, ClientError> {
    Ok(build(&config(kubeconfig, master).await?, SILENCE)?)
}

/// The same for a server that may be silent for so long.
#[cfg(test)]
pub(super) async fn client_with(
    kubeconfig: Option<&Path>,
    silence: Duration,
) -> Result<Client, ClientError> {
    Ok(build(&config(kubeconfig, None).await?, silence)?)
}

async fn config(kubeconfig: Option<&Path>, master: Option<&str>) -> Result<Config, ClientError> {
    let url = |text: &str| {
        let url = text.parse::<Uri>().ok();
        let url = url.filter(|url| url.scheme().is_some() && url.host().is_some());
        url.ok_or_else(|| ClientError::Master(text.to_owned()))
    };
    let master = master.map(url).transpose()?;
    match (kubeconfig, master) {
        (Some(path), master) => {
            let read = read(path, master.as_ref()).await;
            read.map_err(|source| ClientError::Kubeconfig {
                path: path.into(),
                source,
            })
        }
        (None, Some(url)) => Ok(Config::new(url)),
        (None, None) => Ok(Config::incluster()?),
    }
}

async fn read(path: &Path, master: Option<&Uri>) -> Result<Config, kube::config::KubeconfigError> {
    let mut kubeconfig = Kubeconfig::read_from(path)?;
    if let Some(url) = master {
        let clusters = kubeconfig.clusters.iter_mut();
        for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(url.to_string());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'https://192.0.2.1:6443'}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
users: [{name: a, user: {token: secret}}]
";

    #[tokio::test]
    async fn the_url_of_the_command_line_goes_before_that_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), FILE).unwrap();
        let url = "http://192.0.2.2:8080";
        for (master, wanted) in [
            (None, "https://192.0.2.1:6443/"),
            (Some(url), "http://192.0.2.2:8080/"),
        ] {
            let config = config(Some(file.path()), master).await.unwrap();
            assert_eq!(config.cluster_url.to_string(), wanted);
            assert!(config.auth_info.token.is_some());
        }
        let nobody = config(None, Some(url)).await.unwrap();
        assert_eq!(nobody.cluster_url.to_string(), "http://192.0.2.2:8080/");
        assert!(nobody.auth_info.token.is_none());
    }

    #[tokio::test]
    async fn what_is_no_url_is_named() {
        for text in ["", "192.0.2.1:6443", "https://"] {
            let error = config(None, Some(text)).await.unwrap_err().to_string();
            assert!(error.starts_with("--master: found "), "{error}");
        }
    }
}
