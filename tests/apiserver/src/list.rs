//! LIST: pages of a collection as it was at one version.

use std::ops::Bound;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::json;

use crate::error::Refusal;
use crate::kinds::Kind;
use crate::object::{Form, Key, Object};
use crate::request::Query;
use crate::selector::Filter;
use crate::store::Store;

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    version: u64,
    objects: Vec<Arc<Object>>,
    /// Where the next page starts, if there is one.
    rest: Option<Continue>,
}

/// A continue token: the version that the whole list shows and the last key given out.
#[derive(Debug)]
struct Continue {
    version: u64,
    after: Key,
}

impl Continue {
    fn parse(token: &str) -> Result<Self, Refusal> {
        let parts = token.splitn(3, '/').collect::<Vec<_>>();
        let bad = || Refusal::new(400, "continue key is not valid");
        let [version, namespace, name] = parts[..] else {
            return Err(bad());
        };
        let after = Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        Ok(Self {
            version: version.parse().map_err(|_| bad())?,
            after,
        })
    }

    fn token(&self) -> String {
        format!(
            "{}/{}/{}",
            self.version, self.after.namespace, self.after.name
        )
    }
}

/// Reads the page that the parameters ask for.
pub fn page(
    store: &mut Store,
    kind: &'static Kind,
    filter: &Filter,
    query: &Query,
) -> Result<Page, Refusal> {
    let from = query.get("continue").map(Continue::parse).transpose()?;
    let version = version(store, query, from.as_ref())?;
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);

    let all = store.objects_at(kind, version).map_err(|refusal| Refusal {
        message: format!(
            "The provided continue parameter is too old: {}",
            refusal.message
        ),
        ..refusal
    })?;
    let start = from.map_or(Bound::Unbounded, |from| Bound::Excluded(from.after));
    let mut matching = all
        .range((start, Bound::Unbounded))
        .filter(|(key, object)| filter.admits_key(key) && filter.admits(object))
        .peekable();
    let mut objects = Vec::new();
    let mut rest = None;
    while let Some((key, object)) = matching.next() {
        objects.push(Arc::clone(object));
        if objects.len() >= limit {
            rest = matching.peek().map(|_| Continue {
                version,
                after: key.clone(),
            });
            break;
        }
    }
    Ok(Page {
        version,
        objects,
        rest,
    })
}

/// The version that a list shows: that of its first page, an exact one, or now.
fn version(store: &Store, query: &Query, from: Option<&Continue>) -> Result<u64, Refusal> {
    let current = store.version();
    let asked = match from {
        Some(from) => from.version,
        None => query.number("resourceVersion")?.unwrap_or_default(),
    };
    if asked > current {
        let message = format!("Too large resource version: {asked}, current: {current}");
        return Err(Refusal {
            retry_after: Some(1),
            ..Refusal::new(504, message)
        });
    }
    let exact = query.get("resourceVersionMatch") == Some("Exact");
    Ok(if from.is_some() || exact {
        asked
    } else {
        current
    })
}

impl Page {
    /// The list object.
    pub fn json(&self, kind: &Kind, form: Form) -> Bytes {
        let (name, api_version) = match form {
            Form::Full => (kind.kind, kind.api_version()),
            Form::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
        };
        let mut metadata = json!({ "resourceVersion": self.version.to_string() });
        if let Some(rest) = &self.rest {
            metadata["continue"] = rest.token().into();
        }
        let items: usize = self
            .objects
            .iter()
            .map(|object| object.json(form).len() + 1)
            .sum();
        let mut list = Vec::with_capacity(items + 200);
        list.extend_from_slice(
            format!(
                r#"{{"kind":"{name}List","apiVersion":"{api_version}","metadata":{metadata},"items":["#
            )
            .as_bytes(),
        );
        for (at, object) in self.objects.iter().enumerate() {
            if at > 0 {
                list.push(b',');
            }
            list.extend_from_slice(object.json(form));
        }
        list.extend_from_slice(b"]}");
        list.into()
    }
}
