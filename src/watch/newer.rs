//! Fields of the API server's objects that nobody here knows.
//!
//! An API server drops what it does not know itself, so it takes one newer than Spillway to have
//! such a field, and then most objects may have it: it is news but once, however many there are.
//!
//! Kubernetes' own types know all fields, but decoding every object into them, too, would take two
//! and a half times as long as decoding into the slim types alone. So they are asked once about each
//! field that the slim types do not have, which takes about a fifth longer.

use std::collections::HashMap;

use super::kinds::Kind;
use super::parse::Problem;

/// How many fields are remembered. The known ones that are passed over are some dozens; whatever
/// sends more than this is still counted, but not told of.
const REMEMBERED: usize = 256;

/// What is remembered of one kind's fields that are passed over.
#[derive(Debug, Default)]
pub struct Newer {
    known: HashMap<String, bool>,
}

/// The unknown fields of one object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// How many there are.
    pub fields: usize,
    /// Those that no object before it had.
    pub news: Vec<Problem>,
}

impl Newer {
    /// Looks at an object, always of the same kind.
    pub fn look<K: Kind>(&mut self, object: &K) -> Unknown {
        let mut unknown = Unknown::default();
        for field in object.passed_over() {
            let remembered = self.known.get(field).copied();
            let known = remembered.unwrap_or_else(|| K::has(field));
            unknown.fields += usize::from(!known);
            if remembered.is_none() && self.known.len() < REMEMBERED {
                self.known.insert(field.clone(), known);
                if !known {
                    unknown.news.push(news(object, field));
                }
            }
        }
        unknown
    }
}

fn news<K: Kind>(object: &K, field: &str) -> Problem {
    Problem {
        kind: K::NAME,
        object: object.meta().into(),
        field: field.to_owned(),
        wrong: "Spillway does not know this field".to_owned(),
        remedy: "it is passed over here and in all other objects; this API server may be newer than \
                 Spillway: see whether a newer Spillway knows it",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::watch::objects::{EndpointSlice, Service};

    fn service(name: &str, spec: &Value) -> Service {
        let metadata = json!({"namespace": "shop", "name": name});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn lines(unknown: &Unknown) -> Vec<String> {
        unknown.news.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn an_unknown_field_is_told_of_once_and_counted_in_each_object() {
        let mut newer = Newer::default();
        let spec = json!({"colour": "blue", "ports": [{"shade": 1}, {"port": 80, "shade": 2}]});
        let first = newer.look(&service("web", &spec));
        let line = |field: &str| {
            format!(
                "Service shop/web: {field}: Spillway does not know this field; it is passed over \
                 here and in all other objects; this API server may be newer than Spillway: see \
                 whether a newer Spillway knows it"
            )
        };
        assert_eq!(
            lines(&first),
            [line("spec.colour"), line("spec.ports[].shade")]
        );
        assert_eq!(first.fields, 2);
        let second = newer.look(&service("api", &spec));
        assert_eq!((second.fields, lines(&second)), (2, vec![]));
    }

    #[test]
    fn what_kubernetes_has_is_known_though_no_proxy_uses_it() {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "web",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"any": "thing"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {
                "ipFamilyPolicy": "SingleStack",
                "selector": {"app": "web"},
                "ports": [{"port": 80, "targetPort": "http", "appProtocol": "http"}],
                "trafficDistribution": "PreferClose",
            },
            "status": {
                "conditions": [{"type": "Ready"}],
                "loadBalancer": {"ingress": [{"hostname": "shop.example", "ports": []}]},
            },
        });
        let service: Service = serde_json::from_value(service).unwrap();
        assert_eq!(Newer::default().look(&service), Unknown::default());
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "ownerReferences": [{"kind": "Service"}]},
            "endpoints": [{"hostname": "a", "deprecatedTopology": {}, "targetRef": {}}],
            "ports": [{"port": 80, "appProtocol": "http"}],
        });
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        assert_eq!(Newer::default().look(&slice), Unknown::default());
    }

    #[test]
    fn a_value_of_the_wrong_type_is_for_others_to_complain_of() {
        let odd = service(
            "web",
            &json!({"ports": {"colour": 1}, "clusterIP": {"a": 1}}),
        );
        assert_eq!(Newer::default().look(&odd), Unknown::default());
        let odd = service("web", &json!([{"colour": "blue"}]));
        assert_eq!(Newer::default().look(&odd), Unknown::default());
    }

    #[test]
    fn so_many_fields_are_counted_and_not_told_of() {
        let mut newer = Newer::default();
        let fields = (0..2 * REMEMBERED).map(|number| (format!("f{number}"), json!(1)));
        let many = service("web", &fields.collect::<Map<_, _>>().into());
        let first = newer.look(&many);
        assert_eq!(first.fields, 2 * REMEMBERED);
        assert_eq!(first.news.len(), REMEMBERED);
        let again = newer.look(&many);
        assert_eq!((again.fields, again.news), (2 * REMEMBERED, vec![]));
        assert_eq!(newer.known.len(), REMEMBERED);
    }
}
