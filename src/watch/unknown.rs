//! Fields that Kubernetes, as far as it is known here, does not have: in manifests they are mostly
//! misspelt. Those of objects from an API server are looked at by `newer`.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::parse::{ObjectName, Problem};
use super::path;

/// The fields of a Service that there are not.
pub fn of_service(object: &Value) -> Vec<Problem> {
    of::<Service>("Service", object)
}

/// The fields of an `EndpointSlice` that there are not.
pub fn of_slice(object: &Value) -> Vec<Problem> {
    of::<EndpointSlice>("EndpointSlice", object)
}

fn of<K: DeserializeOwned>(kind: &'static str, object: &Value) -> Vec<Problem> {
    let text = |path| {
        let value = object.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let mut fields = Vec::new();
    // What does not even decode, others complain of.
    let _ = serde_ignored::deserialize::<_, _, K>(object, |path| fields.push(path::plain(&path)));
    fields
        .into_iter()
        .map(|field| Problem {
            kind,
            object: ObjectName {
                namespace: text("/metadata/namespace"),
                name: text("/metadata/name"),
                uid: String::new(),
            },
            field,
            wrong: "Kubernetes has no such field".to_owned(),
            remedy: "check its spelling and its place; it is passed over",
        })
        .collect()
}

/// Whether `K` has the field that `path::of_all` calls this. One that is in the wrong place for its
/// type is not unknown.
pub fn is_known<K: DeserializeOwned>(field: &str) -> bool {
    let mut known = true;
    let _ = serde_ignored::deserialize::<_, _, K>(path::sample(field), |_| known = false);
    known
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_there_is_not_is_named_with_its_object() {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"any": "thing"}},
            "spec": {
                "clusterIPp": "10.96.0.10",
                "ports": [{"port": 80, "appProtocol": "http"}, {"port": 81, "targetport": 8080}],
            },
        });
        let problems: Vec<String> = of_service(&service)
            .iter()
            .map(Problem::to_string)
            .collect();
        let line = |field: &str| {
            format!(
                "Service shop/web: {field}: Kubernetes has no such field; check its spelling and \
                 its place; it is passed over"
            )
        };
        assert_eq!(
            problems,
            [line("spec.clusterIPp"), line("spec.ports[1].targetport")]
        );
    }

    #[test]
    fn a_sound_object_has_none() {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "resourceVersion": "7"},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.1.5"], "hints": {"forZones": [{"name": "a"}]}}],
            "ports": [{"port": 8080, "name": "http"}],
        });
        assert_eq!(of_slice(&slice), []);
        assert_eq!(of_slice(&json!({"endpoints": 7})), [], "others complain");
    }
}
