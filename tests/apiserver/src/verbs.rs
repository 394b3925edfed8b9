//! The verbs other than LIST and WATCH, from a request's body to the answer's.

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Refusal;
use crate::object::{Form, Key};
use crate::request::{Query, Target, Verb};
use crate::store::Store;
use crate::write::{Patch, Preconditions};

/// A request's body.
#[derive(Debug)]
pub struct Content {
    pub body: Bytes,
    pub media_type: Option<HeaderValue>,
}

impl Content {
    fn media_type(&self) -> &str {
        let header = self
            .media_type
            .as_ref()
            .and_then(|header| header.to_str().ok());
        header
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::new(400, error.to_string()))
    }

    /// An object in JSON or YAML.
    fn object(&self) -> Result<Value, Refusal> {
        match self.media_type() {
            "" | "application/json" => self.json(),
            "application/yaml" | "application/apply-patch+yaml" => {
                serde_saphyr::from_slice(&self.body)
                    .map_err(|error| Refusal::new(400, error.to_string()))
            }
            other => Err(Refusal::new(
                415,
                format!("the body's media type {other} is not served"),
            )),
        }
    }

    fn patch(&self, query: &Query) -> Result<Patch, Refusal> {
        match self.media_type() {
            "application/merge-patch+json" => Ok(Patch::Merge(self.json()?)),
            "application/strategic-merge-patch+json" => Ok(Patch::Strategic(self.json()?)),
            "application/json-patch+json" => Ok(Patch::Json(self.json()?)),
            "application/apply-patch+yaml" => {
                let manager = query.get("fieldManager");
                let manager = manager
                    .ok_or_else(|| Refusal::new(400, "fieldManager is required for apply patch"))?;
                Ok(Patch::Apply {
                    manager: manager.to_owned(),
                    value: self.object()?,
                })
            }
            other => Err(Refusal::new(
                415,
                format!("the patch type {other} is not served"),
            )),
        }
    }
}

/// Carries out a request and returns the HTTP status code and body of its answer.
pub fn perform(
    store: &mut Store,
    verb: Verb,
    target: &Target,
    query: &Query,
    content: &Content,
    form: Form,
) -> Result<(u16, Bytes), Refusal> {
    let &Target { kind, half, .. } = target;
    let key = Key {
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name.clone().unwrap_or_default(),
    };
    if verb != Verb::Get && query.get("dryRun").is_some() {
        return Err(Refusal::new(400, "dryRun is not served"));
    }
    let object = match verb {
        Verb::Get => store.get(kind, &key)?,
        Verb::Create => {
            if kind.namespaced && target.namespace.is_none() {
                return Err(Refusal::new(405, "create needs a namespace"));
            }
            let created = store.create(kind, &key.namespace, content.object()?, half)?;
            return Ok((201, created.json(form).clone()));
        }
        Verb::Update => store.replace(kind, &key, content.object()?, half)?,
        Verb::Patch => store.patch(kind, &key, content.patch(query)?, half)?,
        Verb::Delete => {
            let options: DeleteOptions = if content.body.is_empty() {
                DeleteOptions::default()
            } else {
                content.json()?
            };
            let gone = store.delete(kind, &key, &options.preconditions)?;
            if store.objects(kind).contains_key(&key) {
                gone
            } else {
                let details = json!({
                    "name": key.name, "group": kind.group, "kind": kind.plural,
                    "uid": gone.value["metadata"]["uid"],
                });
                return Ok((200, success(&details)));
            }
        }
        Verb::DeleteCollection => {
            let filter = query.filter(target.namespace.clone())?;
            let objects = store.objects(kind).iter();
            let matching = objects.filter(|(key, o)| filter.admits_key(key) && filter.admits(o));
            for key in matching.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
                store.delete(kind, &key, &Preconditions::default())?;
            }
            return Ok((
                200,
                success(&json!({ "group": kind.group, "kind": kind.plural })),
            ));
        }
        Verb::List | Verb::Watch => return Err(Refusal::new(405, "not a request for one object")),
    };
    Ok((200, object.json(form).clone()))
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct DeleteOptions {
    preconditions: Preconditions,
}

fn success(details: &Value) -> Bytes {
    let (kind, api_version, status) = ("Status", "v1", "Success");
    json!({ "kind": kind, "apiVersion": api_version, "metadata": {}, "status": status, "details": details })
        .to_string()
        .into()
}
