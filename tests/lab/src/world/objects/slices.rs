//! `EndpointSlice`s, whoever they belong to.

use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::family::Families;
use super::port::Port;

/// What the slices of one owner have in common.
pub(super) struct Slices<'a> {
    /// How their names begin.
    pub prefix: &'a str,
    pub namespace: &'a str,
    pub labels: Value,
    pub annotations: &'a Map<String, Value>,
    pub families: Families,
    pub ports: &'a [Port],
}

impl Slices<'_> {
    /// One slice per address family, each holding all endpoints.
    pub fn objects(&self, endpoints: &[Endpoint]) -> Vec<Value> {
        let ports: Vec<_> = self.ports.iter().map(Port::in_slice).collect();
        let families = self.families.list().iter();
        families
            .map(|&family| {
                let endpoints: Vec<_> = endpoints
                    .iter()
                    .map(|endpoint| endpoint.object(self.namespace, family))
                    .collect();
                json!({
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "name": format!("{}-{}", self.prefix, family.name().to_lowercase()),
                        "namespace": self.namespace,
                        "labels": self.labels,
                        "annotations": self.annotations,
                    },
                    "addressType": family.name(),
                    "ports": ports,
                    "endpoints": endpoints,
                })
            })
            .collect()
    }
}
