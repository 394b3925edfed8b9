//! Asking the agent of this node over its local socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::config::Settings;
use crate::model::ServiceId;
use crate::serve::routes::PortRoutes;
use crate::serve::{NoRoutes, ROUTES};

/// Longer than the agent takes to say that it has no time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the agent is.
#[derive(Debug, clap::Args)]
pub struct Socket {
    /// The agent's socket, if it was started with another --socket
    #[arg(long = "socket", value_name = "PATH", default_value = Settings::SOCKET)]
    path: PathBuf,
}

impl Socket {
    /// The routes of one service or of all, in the order of their names.
    pub fn routes(&self, service: Option<&ServiceId>) -> anyhow::Result<Vec<PortRoutes>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let path = match service {
            Some(service) => format!("{ROUTES}?service={service}"),
            None => ROUTES.to_owned(),
        };
        let (status, body) = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, get(&self.path, &path))
                .await
                .map_err(|_| anyhow!("the agent does not answer within {PATIENCE:?}"))?
        })?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .context("the agent's answer makes no sense; is it of another version?");
        }
        let no: NoRoutes = serde_json::from_slice(&body)
            .with_context(|| format!("the agent answers {status}; is it of another version?"))?;
        bail!(refusal(&no))
    }
}

/// Why there are no routes, for people.
fn refusal(no: &NoRoutes) -> String {
    match no.near.as_slice() {
        [] => no.error.clone(),
        [one] => format!("{}; did you mean {one}?", no.error),
        names => format!("{}; did you mean one of {}?", no.error, names.join(", ")),
    }
}

async fn get(socket: &Path, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| anyhow!(unreachable(socket, &error)))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "spillway")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

fn unreachable(socket: &Path, error: &std::io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        ErrorKind::NotFound => format!(
            "no agent on this node has a socket at {socket}: it is not running, or runs with \
             another --socket (give the same here), or in a container whose /run/spillway is not \
             the host's (ask within: kubectl exec)"
        ),
        ErrorKind::ConnectionRefused => {
            format!("the agent that made {socket} is not running any more")
        }
        ErrorKind::PermissionDenied => format!("only root may use {socket}"),
        _ => format!("{socket}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: PathBuf) -> String {
        let error = Socket { path }.routes(None).unwrap_err();
        format!("{error:#}")
    }

    #[test]
    fn without_an_agent_the_error_says_where_it_was_looked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let error = at(path.clone());
        assert!(error.contains("it is not running"), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = at(path);
        assert!(error.contains("not running any more"), "{error}");
    }

    #[test]
    fn names_that_may_have_been_meant_are_listed() {
        let mut no = NoRoutes {
            error: "this node knows no service default/wbe".into(),
            near: vec!["default/web".into()],
        };
        assert!(refusal(&no).ends_with("default/wbe; did you mean default/web?"));
        no.near.push("shop/web".into());
        assert!(refusal(&no).ends_with("did you mean one of default/web, shop/web?"));
        no.near.clear();
        assert_eq!(refusal(&no), no.error);
    }
}
