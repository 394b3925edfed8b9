//! Reading a request's path and query: what is asked of which objects.

use std::borrow::Cow;

use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::kinds::Kind;
use crate::selector::Filter;
use crate::write::Half;

/// What is asked, in RBAC's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// One object.
    Get,
    /// A collection.
    List,
    /// The changes of a collection.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
}

impl Verb {
    /// As RBAC rules spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// The object or collection that a path names.
#[derive(Debug, Clone)]
pub struct Target {
    pub kind: &'static Kind,
    /// `None`: an object of the cluster, or a collection across all namespaces.
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub half: Half,
}

impl Target {
    /// The plural, with the subresource if there is one.
    pub fn resource(&self) -> Cow<'static, str> {
        match self.half {
            Half::Status => format!("{}/status", self.kind.plural).into(),
            Half::Main | Half::Both => self.kind.plural.into(),
        }
    }

    /// Reads `/api/v1/…` or `/apis/GROUP/VERSION/…`; `None` for paths that name no resource.
    pub fn parse(path: &str) -> Option<Result<Self, Refusal>> {
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        let (group, version, steps) = match &steps[..] {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return None,
        };
        // Also /namespaces/NAME and /namespaces/NAME/status, which are about the namespace itself.
        let (namespace, steps) = match steps {
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status"]) => {
                (Some((*namespace).to_owned()), rest)
            }
            steps => (None, steps),
        };
        let (plural, name, half) = match steps {
            [plural] => (plural, None, Half::Main),
            [plural, name] => (plural, Some((*name).to_owned()), Half::Main),
            [plural, name, "status"] => (plural, Some((*name).to_owned()), Half::Status),
            _ => return Some(Err(Refusal::no_such_resource())),
        };
        let target = Kind::served(group, version, plural)
            .filter(|kind| half == Half::Main || kind.status)
            .filter(|kind| kind.namespaced || namespace.is_none())
            .filter(|kind| !kind.namespaced || namespace.is_some() || name.is_none())
            .map(|kind| Self {
                kind,
                namespace,
                name,
                half,
            });
        Some(target.ok_or_else(Refusal::no_such_resource))
    }

    /// What the method asks of this target.
    pub fn verb(&self, method: &Method, query: &Query) -> Result<Verb, Refusal> {
        match (method.as_str(), self.name.is_some()) {
            ("GET", true) => Ok(Verb::Get),
            ("GET", false) if query.flag("watch") == Some(true) => Ok(Verb::Watch),
            ("GET", false) => Ok(Verb::List),
            ("POST", false) => Ok(Verb::Create),
            ("PUT", true) => Ok(Verb::Update),
            ("PATCH", true) => Ok(Verb::Patch),
            ("DELETE", true) => Ok(Verb::Delete),
            ("DELETE", false) => Ok(Verb::DeleteCollection),
            _ => Err(Refusal::new(
                405,
                "the server does not allow this method on the requested resource",
            )),
        }
    }
}

/// The parameters behind the question mark.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().find(|(given, _)| given == name);
        given
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| matches!(value, "true" | "1"))
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let number = |value: &str| {
            value
                .parse()
                .map_err(|_| Refusal::new(400, format!("invalid {name}: {value:?}")))
        };
        self.get(name).map(number).transpose()
    }

    /// The selectors, within a namespace.
    pub fn filter(&self, namespace: Option<String>) -> Result<Filter, Refusal> {
        let get = |name| self.get(name).unwrap_or_default();
        Filter::parse(namespace, get("labelSelector"), get("fieldSelector"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> (String, Option<String>, Option<String>) {
        let target = Target::parse(path).unwrap().unwrap();
        (
            target.resource().into_owned(),
            target.namespace,
            target.name,
        )
    }

    #[test]
    fn paths_name_collections_objects_and_subresources() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parse("/api/v1/services"), ("services".into(), None, None));
        assert_eq!(
            parse("/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b"),
            ("endpointslices".into(), some("a"), some("b"))
        );
        assert_eq!(
            parse("/api/v1/nodes/n/status"),
            ("nodes/status".into(), None, some("n"))
        );
        assert_eq!(
            parse("/api/v1/namespaces"),
            ("namespaces".into(), None, None)
        );
        assert_eq!(
            parse("/api/v1/namespaces/a"),
            ("namespaces".into(), None, some("a"))
        );
        assert_eq!(
            parse("/api/v1/namespaces/a/services"),
            ("services".into(), some("a"), None)
        );
    }

    #[test]
    fn unknown_resources_are_not_found() {
        for path in [
            "/api/v1/gateways",
            "/api/v2/services",
            "/api/v1/services/web",
            "/api/v1/namespaces/a/nodes",
        ] {
            assert_eq!(
                Target::parse(path).unwrap().unwrap_err().code,
                404,
                "{path}"
            );
        }
        assert!(Target::parse("/apis/discovery.k8s.io/v1").is_none());
    }
}
