//! The same misbehaviour by HTTP, for those in another process. No token is asked for.
//!
//! | request | does |
//! |---|---|
//! | `POST /admin/faults` | adds the [`Fault`] in the body, e.g. `{"matching":{"verb":"list"},"action":{"refuse":{"code":503}},"times":2}` |
//! | `DELETE /admin/faults` | ends all faults |
//! | `POST /admin/cut-watches` | cuts all watches |
//! | `POST /admin/compact` | forgets the past |
//! | `POST /admin/forget` | loses all objects |
//! | `POST /admin/stop?seconds=N` | stops, and resumes after N seconds; drops this connection too |
//! | `GET /admin/requests` | what was asked so far |
//! | `DELETE /admin/requests` | starts the record anew |

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use serde_json::json;

use crate::error::Refusal;
use crate::fault::Fault;
use crate::handle::Handle;
use crate::request::Query;
use crate::server::Command;
use crate::shared::Shared;

/// Carries out a request for `/admin/{path}`.
pub async fn answer(
    shared: &Arc<Shared>,
    path: &str,
    request: Request<Incoming>,
) -> Result<Bytes, Refusal> {
    let bad = |error: String| Refusal::new(400, error);
    let handle = Handle(Arc::clone(shared));
    match (request.method().as_str(), path) {
        ("POST", "faults") => {
            let body = request
                .into_body()
                .collect()
                .await
                .map_err(|e| bad(e.to_string()))?;
            let fault: Fault =
                serde_json::from_slice(&body.to_bytes()).map_err(|e| bad(e.to_string()))?;
            handle.misbehave(fault);
        }
        ("DELETE", "faults") => handle.behave(),
        ("POST", "cut-watches") => handle.cut_watches(),
        ("POST", "compact") => handle.compact(),
        ("POST", "forget") => handle.forget(),
        ("POST", "stop") => {
            let query = Query::parse(request.uri().query().unwrap_or_default());
            let seconds = query
                .number("seconds")?
                .ok_or_else(|| bad("seconds=N".to_owned()))?;
            let stop = Command::StopFor(Duration::from_secs(seconds));
            shared
                .commands
                .send(stop)
                .map_err(|_| Refusal::new(503, "the server has ended"))?;
        }
        ("GET", "requests") => return Ok(json!(handle.requests()).to_string().into()),
        ("DELETE", "requests") => handle.clear_requests(),
        _ => return Err(Refusal::no_such_resource()),
    }
    Ok(Bytes::from_static(b"{}"))
}
