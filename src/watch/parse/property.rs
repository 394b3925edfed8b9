//! The `ClusterProperty` that holds this cluster's id.

use std::sync::Arc;

use super::{MAP, Problem, Report, TEXT};
use crate::config::annotations::value;
use crate::model::Said;
use crate::watch::lenient::Field;
use crate::watch::objects::ClusterProperty;

/// The property's name (KEP-2149).
pub const CLUSTER_ID: &str = "cluster.clusterset.k8s.io";

/// Checks the property.
pub fn cluster_id(object: ClusterProperty) -> (Said<Arc<str>>, Vec<Problem>) {
    const REMEDY: &str = "give a DNS subdomain of at most 127 characters, like east-1.example.com";
    let ClusterProperty { metadata, spec } = object;
    let mut report = Report::new("ClusterProperty", &metadata);
    let spec = report.value("spec", MAP, spec).unwrap_or_default();
    if spec.value == Field::Absent {
        report.add("spec.value", "is missing", REMEDY);
    }
    let text = report.value("spec.value", TEXT, spec.value);
    let id = text.as_deref().and_then(value::cluster_id);
    if let (None, Some(text)) = (&id, text) {
        report.add("spec.value", format_args!("found {text:?}"), REMEDY);
    }
    (id.map_or(Said::Invalid, Said::Valid), report.problems)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(spec: &Value) -> (Said<Arc<str>>, Vec<String>) {
        let object = json!({"metadata": {"name": CLUSTER_ID}, "spec": spec});
        let (id, problems) = cluster_id(serde_json::from_value(object).unwrap());
        let problems = problems.into_iter().map(|problem| problem.field);
        (id, problems.collect())
    }

    #[test]
    fn the_id_is_the_value() {
        for id in ["east", "0a1b-2", "east-1.example.com"] {
            assert_eq!(
                parse(&json!({"value": id})),
                (Said::Valid(id.into()), vec![])
            );
        }
    }

    #[test]
    fn what_cannot_be_an_id_is_reported() {
        let long = "a".repeat(128);
        for id in ["", "East", "east_1", "-east", "east..1", &long] {
            let found = parse(&json!({"value": id}));
            assert_eq!(
                found,
                (Said::Invalid, vec!["spec.value".to_owned()]),
                "{id}"
            );
        }
        for (spec, field) in [
            (json!({"value": 7}), "spec.value"),
            (json!({}), "spec.value"),
            (json!(null), "spec.value"),
        ] {
            let found = parse(&spec);
            assert_eq!(found, (Said::Invalid, vec![field.to_owned()]), "{spec}");
        }
    }
}
