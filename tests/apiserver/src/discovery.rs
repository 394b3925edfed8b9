//! The documents that tell clients what is served, and the health checks.

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
        ["openapi", "v3"] => json!({ "paths": openapi_paths() }),
        ["openapi", "v3", "api", version] => openapi("", version),
        ["openapi", "v3", "apis", group, version] => openapi(group, version),
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

fn openapi_paths() -> BTreeMap<String, Value> {
    let named = groups()
        .into_iter()
        .map(|(group, version)| format!("apis/{group}/{version}"));
    let paths = named.chain(["api/v1".to_owned()]);
    paths
        .map(|path| {
            (
                path.clone(),
                json!({ "serverRelativeURL": format!("/openapi/v3/{path}") }),
            )
        })
        .collect()
}

/// As much of an `OpenAPI` document as makes `kubectl apply` leave validation to the server.
fn openapi(group: &str, version: &str) -> Value {
    let kinds = KINDS
        .iter()
        .filter(|kind| (kind.group, kind.version) == (group, version));
    let paths: BTreeMap<_, _> = kinds
        .map(|kind| {
            let patch = json!({
                "parameters": [{ "name": "fieldValidation", "in": "query" }],
                "responses": {},
                "x-kubernetes-group-version-kind": {
                    "group": kind.group, "version": kind.version, "kind": kind.kind,
                },
            });
            (
                format!("/{}/{{name}}", kind.plural),
                json!({ "patch": patch }),
            )
        })
        .collect();
    json!({ "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.33.0" }, "paths": paths })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_walking_from_the_roots() {
        let read =
            |path: &str| -> Value { serde_json::from_slice(&document(path).unwrap()).unwrap() };
        for kind in KINDS {
            let root = if kind.group.is_empty() { "api" } else { "apis" };
            let path = format!("{root}/{}", kind.api_version());
            let resources = read(&path)["resources"].take();
            let listed = resources
                .as_array()
                .unwrap()
                .iter()
                .any(|r| r["name"] == kind.plural);
            assert!(listed, "{path}");

            let url = read("/openapi/v3")["paths"][&path]["serverRelativeURL"].take();
            let name = format!("/{}/{{name}}", kind.plural);
            assert!(
                read(url.as_str().unwrap())["paths"][name]["patch"].is_object(),
                "{url}"
            );
        }
        assert_eq!(document("/apis/unknown.k8s.io/v1"), None);
    }
}
