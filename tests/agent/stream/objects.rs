//! A stream of Services, slices and Nodes, valid and not.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// How many Services there are at most, each with addresses and node ports of its own, as an API
/// server sees to.
const SERVICES: u8 = 12;
const SLICES: u8 = 3;
const NODES: [&str; 4] = ["east-1", "east-2", "east-3", "nowhere"];
const ZONES: [&str; 3] = ["a", "b", ""];

/// One thing that happens to an object.
pub enum Step {
    Apply(Value),
    Delete {
        kind: &'static str,
        namespace: String,
        name: String,
    },
}

/// Makes the steps, and keeps the objects that they leave.
pub struct Stream {
    rng: Rng,
    objects: BTreeMap<(&'static str, String, String), Value>,
    node: Value,
}

impl Stream {
    /// A stream over a cluster whose agent runs on this Node.
    pub fn new(seed: u64, node: Value) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            objects: BTreeMap::new(),
            node,
        }
    }

    pub fn step(&mut self) -> Step {
        let service = self.rng.u8(..SERVICES);
        match self.rng.u8(..10) {
            0..4 => {
                let name = format!("web-{service}");
                let object = self.service(service, &name);
                self.change("Service", namespace(service), name, object)
            }
            4..9 => {
                let name = format!("web-{service}-{}", self.rng.u8(..SLICES));
                let object = self.slice(service, &name);
                self.change("EndpointSlice", namespace(service), name, object)
            }
            _ => Step::Apply(self.own_node()),
        }
    }

    /// The same objects without bad annotations: of those the agent keeps the last good value, so
    /// that what it does depends on what was before.
    pub fn tidied(&self) -> impl Iterator<Item = Value> {
        let node = std::iter::once(&self.node);
        node.chain(self.objects.values())
            .cloned()
            .map(|mut object| {
                if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                    annotations.retain(|_, value| value != BAD);
                }
                object
            })
    }

    fn change(&mut self, kind: &'static str, namespace: &str, name: String, object: Value) -> Step {
        let key = (kind, namespace.to_owned(), name);
        if self.rng.u8(..6) == 0 && self.objects.remove(&key).is_some() {
            let (kind, namespace, name) = key;
            return Step::Delete {
                kind,
                namespace,
                name,
            };
        }
        self.objects.insert(key, object.clone());
        Step::Apply(object)
    }

    /// Once in so many times.
    fn seldom(&mut self) -> bool {
        self.rng.u8(..12) == 0
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        self.rng.choice(of).expect("there are some").clone()
    }

    fn service(&mut self, number: u8, name: &str) -> Value {
        let kind = self.one(&["ClusterIP", "ClusterIP", "NodePort", "LoadBalancer"]);
        let mut ips = vec![
            format!("10.96.1.{number}"),
            format!("fd00:10:96::1:{number}"),
        ];
        if self.rng.bool() {
            ips.pop();
        }
        if self.seldom() {
            ips[0] = self
                .one(&["10.96.1.300", "127.0.0.1", "", "None", "fe80::1"])
                .into();
        }
        let ports = self.ports(number, kind != "ClusterIP");
        let mut spec = json!({
            "type": kind, "clusterIP": ips[0], "clusterIPs": ips, "ports": ports,
            "internalTrafficPolicy": self.one(&["Cluster", "Cluster", "Local"]),
        });
        if kind != "ClusterIP" {
            spec["externalTrafficPolicy"] = json!(self.one(&["Cluster", "Local"]));
        }
        if self.rng.u8(..4) == 0 {
            spec["externalIPs"] = json!([format!("198.51.100.{number}")]);
        }
        if kind == "LoadBalancer" && self.rng.bool() {
            spec["loadBalancerSourceRanges"] = json!([self.one(&[
                "192.0.2.0/24",
                " 10.0.0.0/8",
                "0.0.0.0/0",
                "2001:db8::/32",
                "not a range"
            ])]);
        }
        if self.rng.u8(..4) == 0 {
            spec["sessionAffinity"] = json!("ClientIP");
            spec["sessionAffinityConfig"] =
                json!({"clientIP": {"timeoutSeconds": self.one(&[1, 60, 10_800])}});
        }
        if self.seldom() {
            spec["type"] = json!("ExternalName");
        }
        if self.seldom() {
            spec = self.one(&[json!([]), json!(null), json!("nothing of use")]);
        }
        let mut object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace(number), "annotations": self.tuning()},
            "spec": spec,
        });
        if self.seldom() {
            object["metadata"]["labels"] =
                json!({"service.kubernetes.io/service-proxy-name": "other"});
        }
        if kind == "LoadBalancer" {
            let mode = self.one(&["VIP", "VIP", "Proxy"]);
            object["status"] = json!({"loadBalancer": {"ingress": [
                {"ip": format!("203.0.113.{number}"), "ipMode": mode}
            ]}});
        }
        object
    }

    fn ports(&mut self, number: u8, node_ports: bool) -> Vec<Value> {
        let all = [
            ("http", 80, "TCP"),
            ("dns", 53, "UDP"),
            ("dns-tcp", 53, "TCP"),
            ("x", 9, "SCTP"),
        ];
        let mut ports = Vec::new();
        for (index, (name, port, protocol)) in all.into_iter().enumerate() {
            if self.rng.bool() {
                continue;
            }
            let mut object = json!({"name": name, "port": port, "protocol": protocol});
            if node_ports {
                object["nodePort"] = json!(30_000 + usize::from(number) * 10 + index);
            }
            if self.seldom() {
                object["port"] = self.one(&[json!(0), json!(65_536), json!("eighty")]);
            }
            if self.seldom() {
                object["protocol"] = json!("QUIC");
            }
            ports.push(object);
        }
        ports
    }

    /// Annotations of a Service or of the Node.
    fn tuning(&mut self) -> Map<String, Value> {
        let values: [(&str, &[&str]); 5] = [
            ("routing", &["prefer", "spill", "balance", BAD]),
            ("weights", &["node=9,zone=3,cluster=1", "node=5", BAD]),
            ("capacity", &["10", "200", "unlimited", BAD]),
            ("scheduler", &["rr", "lc", "mh", BAD]),
            ("levels", &["node,cluster", "node,zone,cluster", BAD]),
        ];
        let mut annotations = Map::new();
        for (name, values) in values {
            if self.rng.u8(..4) == 0 {
                let value = self.one(values);
                annotations.insert(format!("spillway.io/{name}"), json!(value));
            }
        }
        annotations
    }

    fn slice(&mut self, number: u8, name: &str) -> Value {
        let family = self.one(&["IPv4", "IPv4", "IPv6"]);
        let count = self.rng.u8(..6);
        let endpoints: Vec<Value> = (0..count).map(|_| self.endpoint(number, family)).collect();
        let mut ports = vec![
            json!({"name": "http", "port": 8080, "protocol": "TCP"}),
            json!({"name": "dns", "port": 5353, "protocol": "UDP"}),
            json!({"name": "dns-tcp", "port": 5353, "protocol": "TCP"}),
            json!({"name": "x", "port": 9, "protocol": "SCTP"}),
        ];
        if self.seldom() {
            ports[0]["port"] = self.one(&[json!(0), json!(null), json!(8081)]);
        }
        let mut labels = json!({"kubernetes.io/service-name": format!("web-{number}")});
        if self.seldom() {
            labels["service.kubernetes.io/headless"] = json!("");
        }
        let kind = if self.seldom() { "FQDN" } else { family };
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": namespace(number), "labels": labels},
            "addressType": kind, "ports": ports, "endpoints": endpoints,
        })
    }

    fn endpoint(&mut self, number: u8, family: &str) -> Value {
        let host = self.rng.u8(1..5);
        let mut address = match family {
            "IPv6" => format!("fd00:10:1::{number}:{host}"),
            _ => format!("10.1.{number}.{host}"),
        };
        if self.seldom() {
            address = self
                .one(&["10.1.1.five", "127.0.0.1", "224.0.0.1", ""])
                .into();
        }
        let conditions = self.one(&[
            json!({"ready": true, "serving": true, "terminating": false}),
            json!({"ready": true}),
            json!({}),
            json!({"ready": false, "serving": true, "terminating": true}),
            json!({"ready": false, "serving": false, "terminating": true}),
            json!({"ready": false}),
        ]);
        let zone = self.one(&ZONES);
        let mut endpoint = json!({
            "addresses": [address], "conditions": conditions, "zone": zone,
            "nodeName": self.one(&NODES),
        });
        if self.rng.bool() {
            endpoint["hints"] = json!({"forZones": [{"name": zone}]});
        }
        endpoint
    }

    /// The Node in another zone, or tuned otherwise.
    fn own_node(&mut self) -> Value {
        let zone = self.one(&ZONES);
        self.node["metadata"]["labels"]["topology.kubernetes.io/zone"] = json!(zone);
        self.node["metadata"]["annotations"] = Value::Object(self.tuning());
        self.node.clone()
    }
}

/// What no annotation may be.
const BAD: &str = "plenty of nothing";

/// Half of the Services are in another namespace.
fn namespace(number: u8) -> &'static str {
    if number.is_multiple_of(2) {
        "default"
    } else {
        "shop"
    }
}
