//! The part of `metadata` that is used.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{
    DERIVED_SERVICE, HEADLESS, IMPORT_NAME, KNOWN_TO_ALL, SERVICE_NAME, SERVICE_PROXY_NAME,
    SOURCE_CLUSTER, TRIGGER, ZONE,
};
use crate::config::annotations::PREFIX;
use crate::watch::lenient::{Field, FromValue, from_map};

/// The part of `metadata` that is used here or by the watcher.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: Field<String>,
    namespace: Field<String>,
    uid: Field<String>,
    resource_version: Field<String>,
    deletion_timestamp: Field<String>,
    labels: Field<Chosen<Labels>>,
    annotations: Field<Chosen<Annotations>>,
}

from_map!(Metadata);

/// Decodes `metadata` into the type that `kube` wants, without what is not used.
pub fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let metadata = Field::<Metadata>::deserialize(deserializer)?;
    let metadata = metadata.ok().unwrap_or_default();
    Ok(ObjectMeta {
        name: metadata.name.ok(),
        namespace: metadata.namespace.ok(),
        uid: metadata.uid.ok(),
        resource_version: metadata.resource_version.ok(),
        // Only whether there is one matters, so it may as well not be parsed.
        deletion_timestamp: match metadata.deletion_timestamp {
            Field::Absent => None,
            Field::Valid(_) | Field::Invalid(_) => Some(Time(Timestamp::UNIX_EPOCH)),
        },
        labels: metadata.labels.ok().and_then(Chosen::into_map),
        annotations: metadata.annotations.ok().and_then(Chosen::into_map),
        ..ObjectMeta::default()
    })
}

/// Which entries of a map are kept.
trait Choice {
    fn keeps(name: &str) -> bool;

    /// What stands for a value that is no string.
    fn odd(shown: Box<str>) -> Option<String>;
}

/// The labels that are used here.
#[derive(Clone, Debug)]
struct Labels;

impl Choice for Labels {
    fn keeps(name: &str) -> bool {
        [
            SERVICE_PROXY_NAME,
            HEADLESS,
            KNOWN_TO_ALL,
            SERVICE_NAME,
            IMPORT_NAME,
            SOURCE_CLUSTER,
            ZONE,
        ]
        .contains(&name)
    }

    fn odd(_: Box<str>) -> Option<String> {
        None
    }
}

/// Our own annotations, and those of others that are used here.
#[derive(Clone, Debug)]
struct Annotations;

impl Choice for Annotations {
    fn keeps(name: &str) -> bool {
        name.starts_with(PREFIX) || [DERIVED_SERVICE, TRIGGER].contains(&name)
    }

    /// Only manifests have such values, where somebody forgot the quotes: 100 for "100".
    fn odd(shown: Box<str>) -> Option<String> {
        Some(shown.into())
    }
}

/// The entries of a map that are used; the others never take memory.
#[derive(Clone, Debug)]
struct Chosen<C> {
    entries: BTreeMap<String, String>,
    choice: std::marker::PhantomData<C>,
}

impl<C> Chosen<C> {
    fn into_map(self) -> Option<BTreeMap<String, String>> {
        Some(self.entries).filter(|entries| !entries.is_empty())
    }
}

impl<C: Choice> FromValue for Chosen<C> {
    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key_seed(Name(C::keeps))? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = match map.next_value()? {
                Field::Absent => None,
                Field::Valid(value) => Some(value),
                Field::Invalid(shown) => C::odd(shown),
            };
            entries.extend(value.map(|value| (name, value)));
        }
        Ok(Some(Self {
            entries,
            choice: std::marker::PhantomData,
        }))
    }
}

/// Decodes a name, if it is to be kept.
struct Name(fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name).then(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::watch::objects::Service;

    #[test]
    fn only_what_is_used_is_kept() {
        let object = json!({"metadata": {
            "name": "web",
            "uid": "1-2-3",
            "labels": {"app": "web", "kubernetes.io/service-name": "web", "odd": 7},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "spillway.io/routing": "spill",
                "spillway.io/capacity": 100,
                "spillway.io/levels": null,
                "multicluster.kubernetes.io/derived-service": "derived-1",
            },
            "managedFields": [{"manager": "kubectl"}],
        }});
        let metadata = serde_json::from_value::<Service>(object).unwrap().metadata;
        let pairs = |map: Option<std::collections::BTreeMap<String, String>>| -> Vec<_> {
            let pairs = map.unwrap_or_default().into_iter();
            pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        assert_eq!(metadata.uid.as_deref(), Some("1-2-3"));
        assert_eq!(pairs(metadata.labels), ["kubernetes.io/service-name=web"]);
        assert_eq!(
            pairs(metadata.annotations),
            [
                "multicluster.kubernetes.io/derived-service=derived-1",
                "spillway.io/capacity=100",
                "spillway.io/routing=spill",
            ]
        );
        assert!(metadata.managed_fields.is_none());
    }

    #[test]
    fn maps_of_the_wrong_type_are_taken_for_empty() {
        let object = json!({"metadata": {"name": "web", "labels": [1], "annotations": "none"}});
        let metadata = serde_json::from_value::<Service>(object).unwrap().metadata;
        assert_eq!((metadata.labels, metadata.annotations), (None, None));
    }
}
