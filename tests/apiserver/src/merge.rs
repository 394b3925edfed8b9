//! The two merges that Kubernetes adds to RFC 7386: strategic merge, and the pruning half of
//! server-side apply.

use serde_json::{Map, Value};

/// Lists of the served kinds that strategic merge patches by element, with their `patchMergeKey`.
/// All other lists are replaced.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "ports" => Some("port"),
        "conditions" | "addresses" => Some("type"),
        "containers" | "initContainers" | "env" | "volumes" | "secrets" | "imagePullSecrets" => {
            Some("name")
        }
        "ownerReferences" => Some("uid"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

/// Applies a strategic merge patch. Of its directives `$patch` and `$deleteFromPrimitiveList` are
/// obeyed; those about order are dropped.
pub fn strategic(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() || patch.get("$patch").is_some_and(|how| how == "replace") {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (field, value) in patch {
        if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(from)), Value::Array(gone)) = (target.get_mut(list), value) {
                from.retain(|element| !gone.contains(element));
            }
        } else if field.starts_with('$') {
        } else if value.is_null() {
            target.remove(&field);
        } else {
            let key = merge_key(&field);
            match (target.entry(field).or_insert(Value::Null), value, key) {
                (Value::Array(old), Value::Array(new), Some(key)) => merge_list(old, new, key),
                (old, new, _) => strategic(old, new),
            }
        }
    }
}

fn merge_list(target: &mut Vec<Value>, patch: Vec<Value>, key: &str) {
    for element in patch {
        let same = |other: &Value| other.get(key) == element.get(key);
        let at = target.iter().position(same);
        match (at, element.get("$patch").and_then(Value::as_str)) {
            (_, Some("replace")) => target.clear(),
            (Some(at), Some("delete")) => {
                target.remove(at);
            }
            (None, Some("delete")) => {}
            (Some(at), _) => strategic(&mut target[at], element),
            (None, _) => target.push(element),
        }
    }
}

/// Removes from `target` the fields that a manager applied last time and does not apply now.
pub fn prune(target: &mut Value, last: &Value, now: &Value) {
    let (Value::Object(target), Value::Object(last)) = (target, last) else {
        return;
    };
    for (field, last) in last {
        match (now.get(field), target.get_mut(field)) {
            (None, _) => {
                target.remove(field);
            }
            (Some(now), Some(target)) => prune(target, last, now),
            (Some(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strategic_merge_patches_the_elements_of_keyed_lists() {
        let mut service = json!({ "spec": { "externalIPs": ["192.0.2.1"], "ports": [
            { "port": 80, "name": "http" }, { "port": 81, "name": "old" },
        ] } });
        strategic(
            &mut service,
            json!({ "spec": {
                "externalIPs": ["192.0.2.2"],
                "$setElementOrder/ports": [{ "port": 80 }],
                "ports": [
                    { "port": 80, "nodePort": 30080 },
                    { "port": 81, "$patch": "delete" },
                    { "port": 82 },
                ],
            } }),
        );
        assert_eq!(
            service,
            json!({ "spec": { "externalIPs": ["192.0.2.2"], "ports": [
                { "port": 80, "name": "http", "nodePort": 30080 }, { "port": 82 },
            ] } })
        );
    }

    #[test]
    fn what_a_manager_no_longer_applies_goes() {
        let mut object = json!({ "labels": { "mine": "1", "theirs": "2" }, "type": "x" });
        prune(
            &mut object,
            &json!({ "labels": { "mine": "1" }, "type": "x" }),
            &json!({ "labels": {}, "type": "y" }),
        );
        assert_eq!(object, json!({ "labels": { "theirs": "2" }, "type": "x" }));
    }
}
