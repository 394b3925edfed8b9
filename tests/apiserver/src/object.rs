//! A stored object and its bytes on the wire, which are made once however many clients read them.

use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use serde_json::{Value, json};

/// Which representation a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The whole object.
    Full,
    /// `PartialObjectMetadata`: nothing but the metadata.
    Metadata,
}

/// The identity of an object within its kind; the order is that of lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Empty for objects of the cluster.
    pub namespace: String,
    pub name: String,
}

/// One version of an object. It never changes; a change makes a new one.
#[derive(Debug)]
pub struct Object {
    pub value: Value,
    pub version: u64,
    full: OnceLock<Bytes>,
    metadata: OnceLock<Bytes>,
}

impl Object {
    /// The object as of `version`, which is written into its metadata.
    pub fn at(mut value: Value, version: u64) -> Arc<Self> {
        value["metadata"]["resourceVersion"] = version.to_string().into();
        Arc::new(Self {
            value,
            version,
            full: OnceLock::new(),
            metadata: OnceLock::new(),
        })
    }

    pub fn json(&self, form: Form) -> &Bytes {
        match form {
            Form::Full => self.full.get_or_init(|| self.value.to_string().into()),
            Form::Metadata => self.metadata.get_or_init(|| {
                json!({
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": self.value["metadata"],
                })
                .to_string()
                .into()
            }),
        }
    }

    pub fn labels(&self) -> &Value {
        &self.value["metadata"]["labels"]
    }
}
