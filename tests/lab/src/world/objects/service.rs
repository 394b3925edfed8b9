//! Services and the `EndpointSlice`s that belong to them.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::family::Families;
use super::port::Port;
use super::slices::Slices;
use crate::world::topology::Addresses;

/// A Service of type `ClusterIP`, or `NodePort` if a port has one, or `LoadBalancer` if it has
/// such an address; IPv4 only unless made otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    name: String,
    namespace: String,
    cluster_ips: Addresses,
    families: Families,
    ports: Vec<Port>,
    annotations: Map<String, Value>,
    /// Annotations of its slices.
    on_slices: Map<String, Value>,
    /// What goes into `spec` besides the above.
    more: Map<String, Value>,
    ingress: Vec<IpAddr>,
}

impl Service {
    /// A Service in the namespace `default`.
    pub fn new(name: &str, cluster_ips: Addresses, ports: impl IntoIterator<Item = Port>) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            cluster_ips,
            families: Families::V4,
            ports: ports.into_iter().collect(),
            annotations: Map::new(),
            on_slices: Map::new(),
            more: Map::new(),
            ingress: Vec::new(),
        }
    }

    /// The same with other ports.
    #[must_use]
    pub fn with_ports(self, ports: impl IntoIterator<Item = Port>) -> Self {
        Self {
            ports: ports.into_iter().collect(),
            ..self
        }
    }

    /// Sets its address families.
    #[must_use]
    pub fn families(self, families: Families) -> Self {
        Self { families, ..self }
    }

    /// Makes it dual-stack.
    #[must_use]
    pub fn dual_stack(self) -> Self {
        self.families(Families::Both)
    }

    /// Puts it into another namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self
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

    /// Sets any other field of `spec`.
    #[must_use]
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.more.insert(field.to_owned(), value);
        self
    }

    /// Outside traffic goes to pods on the node that it arrives at only.
    #[must_use]
    pub fn external_local(self) -> Self {
        self.spec("externalTrafficPolicy", "Local".into())
    }

    /// Traffic from inside the cluster goes to pods on the client's node only.
    #[must_use]
    pub fn internal_local(self) -> Self {
        self.spec("internalTrafficPolicy", "Local".into())
    }

    /// A client stays with its pod for so many seconds after its last connection.
    #[must_use]
    pub fn affinity(self, seconds: u32) -> Self {
        self.spec("sessionAffinity", "ClientIP".into()).spec(
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": seconds}}),
        )
    }

    /// An address that a load balancer has given it (`status.loadBalancer.ingress`).
    #[must_use]
    pub fn load_balancer(mut self, address: IpAddr) -> Self {
        self.ingress.push(address);
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

    /// Its ports.
    pub(super) fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Its address families.
    pub(super) fn has_families(&self) -> Families {
        self.families
    }

    /// Its IPv4 `ClusterIP` with a port.
    pub fn v4(&self, port: u16) -> SocketAddr {
        (self.cluster_ips.v4, port).into()
    }

    /// Its IPv6 `ClusterIP` with a port.
    pub fn v6(&self, port: u16) -> SocketAddr {
        (self.cluster_ips.v6, port).into()
    }

    /// The Service object.
    pub fn object(&self) -> Value {
        let families = self.families.list();
        let ips: Vec<_> = families
            .iter()
            .map(|family| family.of(self.cluster_ips))
            .collect();
        let mut spec = json!({
            "type": self.kind(),
            "clusterIP": ips[0],
            "clusterIPs": ips,
            "ipFamilies": families.iter().map(|family| family.name()).collect::<Vec<_>>(),
            "ipFamilyPolicy": match self.families {
                Families::Both => "RequireDualStack",
                Families::V4 | Families::V6 => "SingleStack",
            },
            "ports": self.ports.iter().map(Port::object).collect::<Vec<_>>(),
            "selector": {"app": self.name},
        });
        for (field, value) in &self.more {
            spec[field] = value.clone();
        }
        let ingress: Vec<_> = self.ingress.iter().map(|ip| json!({"ip": ip})).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "annotations": self.annotations,
            },
            "spec": spec,
            "status": {"loadBalancer": {"ingress": ingress}},
        })
    }

    fn kind(&self) -> &'static str {
        if !self.ingress.is_empty() {
            "LoadBalancer"
        } else if self.ports.iter().any(Port::is_on_nodes) {
            "NodePort"
        } else {
            "ClusterIP"
        }
    }

    /// Its `EndpointSlice`s: one per address family, holding all endpoints.
    pub fn slices(&self, endpoints: &[Endpoint]) -> Vec<Value> {
        let labels = json!({
            "kubernetes.io/service-name": self.name,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        });
        let slices = Slices {
            prefix: &self.name,
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

    fn service() -> Service {
        let ips = ClusterSpec::new("east", 1, 1).services.host(10);
        Service::new("web", ips, [Port::tcp("http", 80).to(8080)])
    }

    fn endpoint() -> Endpoint {
        let node = ClusterSpec::new("east", 1, 1).nodes.remove(0);
        let pod = node.pods.host(2);
        Endpoint::new(pod, &Arc::new(node), "east-1/echo-1")
    }

    #[test]
    fn a_plain_service_is_single_stack_and_of_type_cluster_ip() {
        let spec = service().object()["spec"].take();
        assert_eq!(spec["type"], "ClusterIP");
        assert_eq!(spec["clusterIPs"], json!(["10.96.0.10"]));
        assert_eq!(spec["ipFamilies"], json!(["IPv4"]));
        assert_eq!(spec["ports"][0]["targetPort"], 8080);
        assert_eq!(service().slices(&[endpoint()]).len(), 1);
    }

    #[test]
    fn a_node_port_or_a_load_balancer_makes_the_type() {
        let ips = ClusterSpec::new("east", 1, 1).services.host(10);
        let service = Service::new("web", ips, [Port::udp("dns", 53).node_port(30053)]);
        let object = service.object();
        assert_eq!(object["spec"]["type"], "NodePort");
        assert_eq!(object["spec"]["ports"][0]["nodePort"], 30053);
        assert_eq!(object["spec"]["ports"][0]["protocol"], "UDP");
        let object = service.load_balancer([203, 0, 113, 1].into()).object();
        assert_eq!(object["spec"]["type"], "LoadBalancer");
        assert_eq!(
            object["status"]["loadBalancer"]["ingress"][0]["ip"],
            "203.0.113.1"
        );
    }

    #[test]
    fn dual_stack_has_one_slice_per_family() {
        let slices = service().dual_stack().slices(&[endpoint()]);
        let addresses: Vec<_> = slices
            .iter()
            .map(|slice| {
                (
                    &slice["addressType"],
                    &slice["endpoints"][0]["addresses"][0],
                )
            })
            .collect();
        assert_eq!(
            addresses,
            [
                (&json!("IPv4"), &json!("10.1.1.2")),
                (&json!("IPv6"), &json!("fd00:10:1:1::2"))
            ]
        );
    }

    #[test]
    fn an_endpoint_says_its_conditions_and_place() {
        let slice = service()
            .slices(&[endpoint().terminating().hint("east-b")])
            .remove(0);
        let endpoint = &slice["endpoints"][0];
        let conditions = json!({"ready": false, "serving": true, "terminating": true});
        assert_eq!(endpoint["conditions"], conditions);
        assert_eq!(endpoint["nodeName"], "east-1");
        assert_eq!(endpoint["zone"], "east-a");
        assert_eq!(endpoint["hints"]["forZones"][0]["name"], "east-b");
        assert_eq!(endpoint["targetRef"]["name"], "east-1.echo-1");
        assert_eq!(
            slice["metadata"]["labels"]["kubernetes.io/service-name"],
            "web"
        );
    }
}
