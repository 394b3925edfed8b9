//! The documents that tell clients which kinds are served, and the health checks.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::kinds::{KINDS, Kind};

/// The document under a path that names no resource.
pub fn document(path: &str) -> Option<Bytes> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let document = match steps[..] {
        ["healthz" | "livez" | "readyz"] => return Some(Bytes::from_static(b"ok")),
        ["version"] => json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
            "compiler": "", "platform": "linux/amd64",
        }),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        ["apis"] => {
            let groups: Vec<_> = groups()
                .into_iter()
                .map(|(name, v)| group(name, v))
                .collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        ["apis", name] => {
            let version = *groups().get(name)?;
            let mut group = group(name, version);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        ["api", version] => resources("", version)?,
        ["apis", group, version] => resources(group, version)?,
        _ => return None,
    };
    Some(document.to_string().into())
}

/// The named groups and their only versions.
fn groups() -> BTreeMap<&'static str, &'static str> {
    let named = KINDS.iter().filter(|kind| !kind.group.is_empty());
    named.map(|kind| (kind.group, kind.version)).collect()
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let kinds = KINDS
        .iter()
        .filter(|kind| (kind.group, kind.version) == (group, version));
    let resources: Vec<_> = kinds.clone().flat_map(described).collect();
    let group_version = kinds.map(Kind::api_version).next()?;
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version, "resources": resources,
    }))
}

fn described(kind: &Kind) -> Vec<Value> {
    let main = json!({
        "name": kind.plural, "singularName": kind.kind.to_lowercase(), "kind": kind.kind,
        "namespaced": kind.namespaced, "shortNames": kind.short,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    let status = json!({
        "name": format!("{}/status", kind.plural), "singularName": "", "kind": kind.kind,
        "namespaced": kind.namespaced, "verbs": ["get", "patch", "update"],
    });
    if kind.status {
        vec![main, status]
    } else {
        vec![main]
    }
}
