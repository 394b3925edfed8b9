//! How agents find each other: what the cluster's controllers make of the manifests' own Service.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::manifest::Manifests;
use crate::world::cluster::Cluster;
use crate::world::node::Node;
use crate::world::objects::{Endpoint, Port, Service};

/// Gives the agents' Service its `ClusterIP`, as an API server does, and its endpoints, as the
/// endpoint slice controller does: the pods of the DaemonSet, which are on the host's network, on
/// these nodes. They are ready.
pub(in crate::world) fn publish(
    manifests: &Manifests,
    cluster: &Cluster,
    nodes: &[&Node],
) -> Result<()> {
    let object = manifests.service()?;
    let service = service(object, cluster)?;
    let endpoints = nodes.iter().map(|node| {
        let pod = format!("{}-{}", service.name(), node.spec.name);
        Endpoint::new(node.spec.addresses, &node.spec, &pod)
    });
    cluster.publish(&service, endpoints)
}

fn service(object: &Value, cluster: &Cluster) -> Result<Service> {
    let text = |path: &str| {
        let value = object.pointer(path).and_then(Value::as_str);
        value.with_context(|| format!("the agents' Service has no {path}"))
    };
    ensure!(
        object["spec"]["clusterIP"] != "None",
        "agents do not watch the endpoints of headless Services"
    );
    let ports = object["spec"]["ports"].as_array().context("no ports")?;
    let ports: Vec<Port> = ports.iter().map(port).collect::<Result<_>>()?;
    let service = cluster.agents_service(text("/metadata/name")?, ports);
    Ok(service.namespace(text("/metadata/namespace")?))
}

fn port(port: &Value) -> Result<Port> {
    let number = |field: &str| -> Result<u16> {
        let number = port[field]
            .as_u64()
            .with_context(|| format!("no {field}"))?;
        Ok(number.try_into()?)
    };
    let name = port["name"].as_str().unwrap_or_default();
    let made = match port["protocol"].as_str() {
        Some("UDP") => Port::udp(name, number("port")?),
        _ => Port::tcp(name, number("port")?),
    };
    Ok(made.to(number("targetPort")?))
}
