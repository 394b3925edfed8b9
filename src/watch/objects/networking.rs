//! The networks that virtual addresses are allocated from (KEP-1880), which clusters before 1.33 are
//! without.

use std::borrow::Cow;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ClusterResourceScope;
use serde::Deserialize;

use super::metadata;
use crate::watch::lenient::{Field, from_map};

/// A `ServiceCIDR`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceCidr {
    /// Names, labels and annotations.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What it shall be.
    pub spec: Field<ServiceCidrSpec>,
}

/// `ServiceCIDR.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceCidrSpec {
    /// One per family.
    pub cidrs: Field<Vec<Field<IpNet>>>,
}

from_map!(ServiceCidrSpec);

impl kube::Resource for ServiceCidr {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "ServiceCIDR".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "networking.k8s.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "servicecidrs".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
