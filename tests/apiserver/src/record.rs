//! What was asked of the server.

use serde::Serialize;

/// One request for a resource and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Empty when the token was not known.
    pub user: String,
    /// As in RBAC, e.g. `list`.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// The plural, with the subresource if there is one, e.g. `nodes/status`.
    pub resource: String,
    /// Empty for the cluster, or for all namespaces.
    pub namespace: String,
    /// Empty for a collection, but the name of a `metadata.name` field selector.
    pub name: String,
    /// The query as sent.
    pub query: String,
    /// HTTP status code; `None` for a request that was left hanging or dropped.
    pub status: Option<u16>,
}
