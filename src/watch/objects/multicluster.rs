//! Objects of the Multi-Cluster Services API (KEP-1645) and the About API (KEP-2149), which a
//! cluster need not have.

use std::borrow::Cow;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use serde::Deserialize;

use super::{Affinity, AffinityConfig, Family, ServicePort, metadata};
use crate::watch::lenient::{Field, FromValue, from_map};

/// A `ServiceImport`: what several clusters export under one name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceImport {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What it shall be.
    pub spec: Field<ImportSpec>,
}

/// `ServiceImport.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ImportSpec {
    /// Whether it has addresses.
    #[serde(rename = "type")]
    pub kind: Field<ImportType>,
    /// One per family.
    pub ips: Field<Vec<Field<IpAddr>>>,
    /// The families of `ips`.
    pub ip_families: Field<Vec<Field<Family>>>,
    /// The ports; those of a `ServiceImport` have no node port.
    pub ports: Field<Vec<Field<ServicePort>>>,
    /// Whether a client stays with its endpoint.
    pub session_affinity: Field<Affinity>,
    /// For how long.
    pub session_affinity_config: Field<AffinityConfig>,
}

/// `ServiceImport.spec.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportType {
    /// It has addresses that are valid in the whole set of clusters.
    ClusterSetIp,
    /// It is for DNS only.
    Headless,
}

/// A version of the Multi-Cluster Services API. The schemas of all of them are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McsVersion(pub &'static str);

/// A property of this cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClusterProperty {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What it shall be.
    pub spec: Field<PropertySpec>,
}

/// `ClusterProperty.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PropertySpec {
    /// Its value.
    pub value: Field<String>,
}

from_map!(ImportSpec, PropertySpec);

impl FromValue for ImportType {
    fn text(text: &str) -> Option<Self> {
        match text {
            "ClusterSetIP" => Some(Self::ClusterSetIp),
            "Headless" => Some(Self::Headless),
            _ => None,
        }
    }
}

impl Resource for ServiceImport {
    type DynamicType = McsVersion;
    type Scope = NamespaceResourceScope;

    fn kind(_: &McsVersion) -> Cow<'_, str> {
        "ServiceImport".into()
    }

    fn group(_: &McsVersion) -> Cow<'_, str> {
        "multicluster.x-k8s.io".into()
    }

    fn version(version: &McsVersion) -> Cow<'_, str> {
        version.0.into()
    }

    fn plural(_: &McsVersion) -> Cow<'_, str> {
        "serviceimports".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Resource for ClusterProperty {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "ClusterProperty".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "about.k8s.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1beta1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "clusterproperties".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
