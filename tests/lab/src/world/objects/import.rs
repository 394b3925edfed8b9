//! Services of other clusters, as the Multi-Cluster Services API has them: the `ServiceImport` in
//! the importing cluster and one set of slices for each cluster that exports.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::family::Families;
use super::port::Port;
use super::service::Service;
use super::slices::Slices;
use crate::world::topology::Addresses;

/// A `ServiceImport` of type `ClusterSetIP`, with the addresses that this cluster knows it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    name: String,
    namespace: String,
    ips: Addresses,
    families: Families,
    ports: Vec<Port>,
    annotations: Map<String, Value>,
    /// Annotations of its slices.
    on_slices: Map<String, Value>,
}

impl Import {
    /// What other clusters export under the name and with the ports of a Service.
    pub fn of(service: &Service, ips: Addresses) -> Self {
        Self {
            name: service.name().to_owned(),
            namespace: service.in_namespace().to_owned(),
            ips,
            families: service.has_families(),
            ports: service.ports().to_vec(),
            annotations: Map::new(),
            on_slices: Map::new(),
        }
    }

    /// Annotates it.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// Annotates all its slices.
    #[must_use]
    pub fn slice_annotation(mut self, key: &str, value: &str) -> Self {
        self.on_slices.insert(key.to_owned(), value.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn in_namespace(&self) -> &str {
        &self.namespace
    }

    /// Its IPv4 clusterset IP with a port.
    pub fn v4(&self, port: u16) -> SocketAddr {
        (self.ips.v4, port).into()
    }

    /// Its IPv6 clusterset IP with a port.
    pub fn v6(&self, port: u16) -> SocketAddr {
        (self.ips.v6, port).into()
    }

    /// The `ServiceImport` object.
    pub fn object(&self) -> Value {
        let families = self.families.list().iter();
        let ips: Vec<_> = families.clone().map(|family| family.of(self.ips)).collect();
        json!({
            "apiVersion": "multicluster.x-k8s.io/v1beta1",
            "kind": "ServiceImport",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "annotations": self.annotations,
            },
            "spec": {
                "type": "ClusterSetIP",
                "ips": ips,
                "ipFamilies": families.map(|family| family.name()).collect::<Vec<_>>(),
                "sessionAffinity": "None",
                "ports": self.ports.iter().map(Port::in_import).collect::<Vec<_>>(),
            },
        })
    }

    /// The slices of one exporting cluster: one per address family, holding all its endpoints.
    pub fn slices(&self, cluster: &str, endpoints: &[Endpoint]) -> Vec<Value> {
        let labels = json!({
            "multicluster.kubernetes.io/service-name": self.name,
            "multicluster.kubernetes.io/source-cluster": cluster,
            "endpointslice.kubernetes.io/managed-by": "lab",
        });
        let slices = Slices {
            prefix: &format!("imported-{cluster}-{}", self.name),
            namespace: &self.namespace,
            labels,
            annotations: &self.on_slices,
            families: self.families,
            ports: &self.ports,
        };
        slices.objects(endpoints)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::world::topology::ClusterSpec;

    fn import() -> Import {
        let services = ClusterSpec::new("east", 1, 1).services;
        let web = Service::new("web", services.host(11), [Port::tcp("http", 80).to(8080)]);
        Import::of(&web.dual_stack(), services.host(500))
    }

    #[test]
    fn an_import_has_addresses_and_ports_but_no_targets() {
        let object = import().object();
        assert_eq!(
            object["spec"]["ips"],
            json!(["10.96.1.244", "fd00:96:1::1f4"])
        );
        assert_eq!(
            object["spec"]["ports"],
            json!([{"name": "http", "protocol": "TCP", "port": 80}])
        );
    }

    #[test]
    fn a_slice_says_which_cluster_exports_it() {
        let node = Arc::new(ClusterSpec::new("west", 2, 1).nodes.remove(0));
        let pod = Endpoint::new(node.pods.host(2), &node, "west-1/echo");
        let slices = import()
            .slice_annotation("spillway.io/reach", "direct")
            .slices("west", &[pod]);
        assert_eq!(slices.len(), 2);
        let slice = &slices[0];
        let metadata = &slice["metadata"];
        assert_eq!(
            metadata["labels"]["multicluster.kubernetes.io/source-cluster"],
            "west"
        );
        assert!(metadata["labels"]["kubernetes.io/service-name"].is_null());
        assert_eq!(metadata["annotations"]["spillway.io/reach"], "direct");
        assert_eq!(slice["ports"][0]["port"], 8080);
        assert_eq!(slice["endpoints"][0]["addresses"][0], "10.2.1.2");
        assert_eq!(slice["endpoints"][0]["nodeName"], "west-1");
    }
}
