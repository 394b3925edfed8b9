//! Refusals: the `Status` objects that an API server answers with, in its own words.

use serde_json::{Value, json};

use crate::kinds::Kind;

/// A request that was refused, by HTTP or through a [`Handle`](crate::Handle).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code} {reason})")]
pub struct Refusal {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, e.g. `NotFound`.
    pub reason: &'static str,
    /// What people read.
    pub message: String,
    /// Seconds after which a client may come again, sent as `Retry-After` too.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal with the usual reason for an HTTP status code.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "Unknown",
        };
        Self {
            code,
            reason,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, format!("{} {name:?} not found", kind.qualified()))
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", kind.qualified());
        Self {
            reason: "AlreadyExists",
            ..Self::new(409, message)
        }
    }

    pub(crate) fn conflict(kind: &Kind, name: &str) -> Self {
        let kind = kind.qualified();
        Self::new(
            409,
            format!(
                "Operation cannot be fulfilled on {kind} {name:?}: the object has been modified; \
                 please apply your changes to the latest version and try again"
            ),
        )
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(
            422,
            format!("{}.{} {name:?} is invalid: {why}", kind.kind, kind.group),
        )
    }

    pub(crate) fn no_such_resource() -> Self {
        Self::new(404, "the server could not find the requested resource")
    }

    pub(crate) fn too_old(version: u64, oldest: u64) -> Self {
        Self::new(
            410,
            format!("too old resource version: {version} ({oldest})"),
        )
    }

    /// The `Status` object of this refusal.
    pub fn status(&self) -> Value {
        let mut details = json!({});
        if let Some(seconds) = self.retry_after {
            details["retryAfterSeconds"] = json!(seconds);
        }
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": details,
            "code": self.code,
        })
    }
}
