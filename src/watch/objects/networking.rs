//! The networks that virtual addresses are allocated from (KEP-1880), which clusters before 1.33 are
//! without.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::metadata;
use crate::watch::lenient::{Field, from_map};

/// A `ServiceCIDR`.
#[derive(Clone, Debug, Default, Deserialize, kube::Resource)]
#[resource(inherit = "networking::ServiceCIDR")]
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
