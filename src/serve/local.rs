//! The local socket: HTTP for whoever is root on this node, answered from the core.

mod socket;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tracing::info;

use super::ask::Ask;
use super::http::{self, Answer, JSON, answer};
use super::near::{near, parse};
use crate::model::ServiceId;

/// The path of the routes.
pub const ROUTES: &str = "/v1/routes";

/// How long the core may take to get round to a question: at the start it programs a whole cluster
/// and looks at its inbox only between two rounds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Services that the core is asked for at a time.
const SOME: usize = 64;

/// Why there is no answer, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoRoutes {
    /// What is wrong.
    pub error: String,
    /// Names that may have been meant.
    #[serde(default)]
    pub near: Vec<String>,
}

/// The socket, taken but not served yet.
#[derive(Debug)]
pub struct Local {
    listener: UnixListener,
}

impl Local {
    /// Takes the socket at a path, in place of one that a dead agent left. To be called within an
    /// async runtime.
    ///
    /// # Errors
    /// `AddrInUse` if another agent answers there: two of them would undo each other's work. Others
    /// if the path cannot be had.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = socket::bind(path)?;
        info!(path = %path.display(), "answering `spillway routes` and `spillway why`");
        Ok(Self { listener })
    }

    /// Answers for ever; `ask` hands a question to the core.
    pub async fn serve(self, ask: impl Fn(Ask) + Send + Sync + 'static) {
        let ask = Arc::new(ask);
        http::serve(self.listener, move |request| {
            let (uri, ask) = (request.uri().clone(), Arc::clone(&ask));
            async move { local_answer(&uri, &*ask).await }
        })
        .await;
    }
}

/// What the socket answers.
pub(super) async fn local_answer(uri: &Uri, ask: &(impl Fn(Ask) + Sync)) -> Answer {
    if uri.path() != ROUTES {
        return http::not_found();
    }
    let answers = routes(uri.query().unwrap_or_default(), ask);
    match tokio::time::timeout(PATIENCE, answers).await {
        Ok(answer) => answer,
        Err(_) => busy(),
    }
}

async fn routes(query: &str, ask: &impl Fn(Ask)) -> Answer {
    let wanted = match selection(query) {
        Ok(wanted) => wanted,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error, Vec::new()),
    };
    let Some(names) = asked(ask, Ask::Names).await else {
        return busy();
    };
    if let Some(wanted) = wanted.as_ref().filter(|wanted| !names.contains(wanted)) {
        let error = format!("this node knows no service {wanted}");
        return refusal(StatusCode::NOT_FOUND, error, near(wanted, &names));
    }
    let wanted = wanted.map_or(names, |wanted| vec![wanted]);
    let mut found = Vec::new();
    for some in wanted.chunks(SOME) {
        let question = |reply| Ask::Routes(some.to_vec(), reply);
        let Some(mut routes) = asked(ask, question).await else {
            return busy();
        };
        found.append(&mut routes);
    }
    json(StatusCode::OK, &found)
}

/// Asks the core; none if it has ended.
async fn asked<T>(
    ask: &impl Fn(Ask),
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    ask(question(reply));
    answer.await.ok()
}

/// The service that a query names, if it names one.
fn selection(query: &str) -> Result<Option<ServiceId>, String> {
    let mut wanted = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            // A name has no other characters that clients encode.
            Some(("service", name)) => {
                let name = name.replace("%2F", "/").replace("%40", "@");
                wanted = Some(parse(&name)?);
            }
            _ => {
                return Err(format!(
                    "{part:?} is not known here: service=NAMESPACE/NAME"
                ));
            }
        }
    }
    Ok(wanted)
}

fn busy() -> Answer {
    let error = "the agent has no time to answer: it is programming the kernel, or ending";
    refusal(StatusCode::SERVICE_UNAVAILABLE, error.into(), Vec::new())
}

fn refusal(status: StatusCode, error: String, near: Vec<String>) -> Answer {
    json(status, &NoRoutes { error, near })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Strings, numbers and lists always have a form in JSON.
    answer(status, JSON, serde_json::to_vec(body).unwrap_or_default())
}

#[cfg(test)]
mod tests;
