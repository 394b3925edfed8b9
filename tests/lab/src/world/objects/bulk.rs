//! Many objects at once, for load.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// Nodes that the endpoints are spread over, `bulk-0`, `bulk-1`, ….
const NODES: usize = 100;
/// Zones of those nodes, `zone-0`, `zone-1`, ….
const ZONES: usize = 3;
/// Where the `ClusterIP`s start: in the first cluster's range, clear of the small numbers that
/// tests use.
const FIRST_CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 16, 0);
/// Where the endpoints' addresses start.
const FIRST_ENDPOINT: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);

/// So many single-stack TCP Services in the namespace `bulk`, each followed by its
/// `EndpointSlice` with so many ready endpoints. No address occurs twice, and the same arguments
/// make the same objects. There is room for 61,440 Services and 8 million endpoints.
pub fn bulk(services: usize, endpoints_per_service: usize) -> Vec<Value> {
    (0..services)
        .flat_map(|number| {
            let first = number * endpoints_per_service;
            [
                service(number),
                slice(number, first..first + endpoints_per_service),
            ]
        })
        .collect()
}

fn service(number: usize) -> Value {
    let ip = nth(FIRST_CLUSTER_IP, number);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name(number), "namespace": "bulk"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
            "selector": {"app": name(number)},
        },
        "status": {"loadBalancer": {}},
    })
}

fn slice(number: usize, endpoints: std::ops::Range<usize>) -> Value {
    let name = name(number);
    let endpoints: Vec<_> = endpoints
        .map(|number| {
            let node = number % NODES;
            json!({
                "addresses": [nth(FIRST_ENDPOINT, number)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": format!("bulk-{node}"),
                "zone": format!("zone-{}", node % ZONES),
                "targetRef": {
                    "kind": "Pod",
                    "namespace": "bulk",
                    "name": format!("{name}-{number}"),
                },
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-ipv4"),
            "namespace": "bulk",
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": endpoints,
    })
}

fn name(number: usize) -> String {
    format!("svc-{number:05}")
}

fn nth(first: Ipv4Addr, number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    first.to_bits().saturating_add(number).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_service_has_its_slice_and_every_address_is_its_own() {
        let objects = bulk(300, 10);
        assert_eq!(objects.len(), 600);
        let mut addresses = BTreeSet::new();
        for pair in objects.chunks(2) {
            let [service, slice] = pair else {
                unreachable!()
            };
            let owner = &slice["metadata"]["labels"]["kubernetes.io/service-name"];
            assert_eq!(&service["metadata"]["name"], owner);
            addresses.insert(service["spec"]["clusterIP"].to_string());
            for endpoint in slice["endpoints"].as_array().expect("endpoints") {
                addresses.insert(endpoint["addresses"][0].to_string());
            }
        }
        assert_eq!(addresses.len(), 300 + 3000);
    }
}
