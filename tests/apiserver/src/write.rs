//! Creating, replacing, patching and deleting: what an API server fills in, keeps and refuses.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::Refusal;
use crate::kinds::Kind;
use crate::merge;
use crate::object::{Key, Object};
use crate::store::Store;

/// Which half of an object a request may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Everything but `status`, where the kind has a status subresource.
    Main,
    /// Nothing but `status`.
    Status,
    /// Everything: the way of tests, which play all controllers at once.
    Both,
}

/// The patch formats by their content types.
#[derive(Debug)]
pub enum Patch {
    Merge(Value),
    Strategic(Value),
    Json(json_patch::Patch),
    /// Server-side apply by a field manager. Conflicts between managers are not detected.
    Apply {
        manager: String,
        value: Value,
    },
}

/// What a DELETE insists on.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Store {
    /// Adds a new object. Its namespace need not exist.
    pub fn create(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        mut value: Value,
        half: Half,
    ) -> Result<Arc<Object>, Refusal> {
        let next = self.version() + 1;
        let metadata = metadata(&mut value)?;
        if let (None, Some(prefix)) = (text(metadata, "name"), text(metadata, "generateName")) {
            metadata["name"] = format!("{prefix}{}", suffix(next)).into();
        }
        let Some(name) = text(metadata, "name").map(str::to_owned) else {
            return Err(Refusal::invalid(
                kind,
                "",
                "name or generateName is required",
            ));
        };
        let key = Key {
            namespace: namespace.to_owned(),
            name,
        };
        if self.objects(kind).contains_key(&key) {
            return Err(Refusal::already_exists(kind, &key.name));
        }
        // A kubelet registers its Node with a status; all others start without one.
        if half == Half::Main && kind.status && kind.plural != "nodes" {
            set(&mut value, "status", None);
        }
        identify(kind, &key, &mut value)?;
        value["metadata"]["uid"] = format!("00000000-0000-4000-8000-{next:012x}").into();
        value["metadata"]["creationTimestamp"] = now().into();
        if !kind.group.is_empty() {
            value["metadata"]["generation"] = 1.into();
        }
        Ok(self.put(kind, key, value))
    }

    /// Replaces an object. A resource version in `value` must be the current one.
    pub fn replace(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        mut value: Value,
        half: Half,
    ) -> Result<Arc<Object>, Refusal> {
        let old = self.get(kind, key)?;
        let metadata = metadata(&mut value)?;
        let stale = |field| {
            let given = text(metadata, field).filter(|given| !given.is_empty());
            given.is_some_and(|given| old.value["metadata"][field] != given)
        };
        if stale("resourceVersion") || stale("uid") {
            return Err(Refusal::conflict(kind, &key.name));
        }
        if kind.status && half != Half::Both {
            value = keep_other_half(&old.value, value, half);
        }
        identify(kind, key, &mut value)?;
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "generation",
        ] {
            let kept = old.value["metadata"].get(field).cloned();
            set(&mut value["metadata"], field, kept);
        }
        set(
            &mut value["metadata"],
            "resourceVersion",
            old.value["metadata"].get("resourceVersion").cloned(),
        );
        if value == old.value {
            return Ok(old);
        }
        if let Some(generation) = old.value["metadata"]["generation"].as_u64()
            && content_differs(&old.value, &value)
        {
            value["metadata"]["generation"] = (generation + 1).into();
        }
        if text(&value["metadata"], "deletionTimestamp").is_some() && !has_finalizers(&value) {
            return self.remove(kind, key);
        }
        Ok(self.put(kind, key.clone(), value))
    }

    /// Changes an object; server-side apply also creates it.
    pub fn patch(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        patch: Patch,
        half: Half,
    ) -> Result<Arc<Object>, Refusal> {
        let current = self.objects(kind).get(key).cloned();
        let Some(current) = current else {
            return match patch {
                Patch::Apply { manager, mut value } if half == Half::Main => {
                    metadata(&mut value)?["name"] = key.name.as_str().into();
                    self.remember_applied(kind, key, &manager, value.clone());
                    self.create(kind, &key.namespace, value, half)
                }
                _ => Err(Refusal::not_found(kind, &key.name)),
            };
        };
        let mut value = current.value.clone();
        match patch {
            Patch::Merge(patch) => json_patch::merge(&mut value, &patch),
            Patch::Strategic(patch) => merge::strategic(&mut value, patch),
            Patch::Json(patch) => json_patch::patch(&mut value, &patch)
                .map_err(|error| Refusal::invalid(kind, &key.name, &error.to_string()))?,
            Patch::Apply {
                manager,
                value: applied,
            } => {
                if let Some(last) = self.remember_applied(kind, key, &manager, applied.clone()) {
                    merge::prune(&mut value, &last, &applied);
                }
                json_patch::merge(&mut value, &applied);
            }
        }
        self.replace(kind, key, value, half)
    }

    /// Removes an object, or marks it as going while it has finalizers.
    pub fn delete(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        preconditions: &Preconditions,
    ) -> Result<Arc<Object>, Refusal> {
        let object = self.get(kind, key)?;
        let metadata = &object.value["metadata"];
        let differs = |wanted: &Option<String>, field| {
            wanted
                .as_ref()
                .is_some_and(|wanted| metadata[field] != wanted.as_str())
        };
        if differs(&preconditions.uid, "uid")
            || differs(&preconditions.resource_version, "resourceVersion")
        {
            return Err(Refusal::conflict(kind, &key.name));
        }
        if !has_finalizers(&object.value) {
            return self.remove(kind, key);
        }
        if text(metadata, "deletionTimestamp").is_some() {
            return Ok(object);
        }
        let mut value = object.value.clone();
        value["metadata"]["deletionTimestamp"] = now().into();
        Ok(self.put(kind, key.clone(), value))
    }

    /// Creates an object or replaces it as it stands, whatever its version.
    pub fn create_or_replace(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        mut value: Value,
    ) -> Result<Arc<Object>, Refusal> {
        if self.objects(kind).contains_key(key) {
            let metadata = metadata(&mut value)?;
            set(metadata, "resourceVersion", None);
            set(metadata, "uid", None);
            self.replace(kind, key, value, Half::Both)
        } else {
            self.create(kind, &key.namespace, value, Half::Both)
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    if let Value::Object(fields) = object {
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
    }
}

/// The metadata of what claims to be an object.
fn metadata(value: &mut Value) -> Result<&mut Value, Refusal> {
    let bad = || Refusal::new(400, "the body is not an object with metadata");
    let metadata = value
        .as_object_mut()
        .ok_or_else(bad)?
        .entry("metadata")
        .or_insert(json!({}));
    if metadata.is_object() {
        Ok(metadata)
    } else {
        Err(bad())
    }
}

/// Checks that the object says what its path says, and fills in what it leaves out.
fn identify(kind: &Kind, key: &Key, value: &mut Value) -> Result<(), Refusal> {
    let agree = |object: &mut Value, field: &str, wanted: &str| match text(object, field) {
        Some(given) if given != wanted && !given.is_empty() => Err(Refusal::new(
            400,
            format!("the {field} of the object ({given}) does not match the request ({wanted})"),
        )),
        _ => {
            set(object, field, Some(wanted.into()));
            Ok(())
        }
    };
    agree(value, "apiVersion", &kind.api_version())?;
    agree(value, "kind", kind.kind)?;
    let metadata = metadata(value)?;
    agree(metadata, "name", &key.name)?;
    if kind.namespaced {
        agree(metadata, "namespace", &key.namespace)?;
    }
    Ok(())
}

/// A status request changes the status alone, any other leaves it alone.
fn keep_other_half(old: &Value, new: Value, half: Half) -> Value {
    let (mut kept, status) = match half {
        Half::Status => (old.clone(), new.get("status").cloned()),
        Half::Main | Half::Both => (new, old.get("status").cloned()),
    };
    set(&mut kept, "status", status);
    kept
}

fn content_differs(old: &Value, new: &Value) -> bool {
    let content = |value: &Value| {
        let mut value = value.clone();
        set(&mut value, "metadata", None);
        set(&mut value, "status", None);
        value
    };
    content(old) != content(new)
}

fn has_finalizers(value: &Value) -> bool {
    value["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty())
}

fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Five characters that no other version yields (within 14 million), from the alphabet of
/// `k8s.io/apimachinery/pkg/util/rand`.
fn suffix(version: u64) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    // Coprime to 27, so that neighbouring versions look nothing alike and never collide.
    let mut rest = version.wrapping_mul(7_368_787) % 27_u64.pow(5);
    let mut suffix = String::new();
    for _ in 0..5 {
        suffix.push(char::from(
            ALPHABET[usize::try_from(rest % 27).unwrap_or_default()],
        ));
        rest /= 27;
    }
    suffix
}
