//! A cluster: its nodes, the gateway they share, and its API server with their objects in it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};
use apiserver::{Config, Handle, Server, User};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::netns::Netns;
use super::node::Node;
use super::objects::{self, Endpoint, Import, Port, Service};
use super::topology::ClusterSpec;
use super::wiring;

/// Where the API server listens, on the gateway's IPv4 address.
const API_PORT: u16 = 6443;

/// The bearer token of somebody who may do everything, for use by hand.
const ADMIN_TOKEN: &str = "admin";

/// The place in the range of the Service whose endpoints are the agents.
const AGENTS: u16 = 9;

/// The first Service's place in the range; 1 and 10 are by habit the API server's and the DNS's.
const FIRST_SERVICE: u16 = 11;

/// The first clusterset IP's place in the same range, clear of the Services'.
const FIRST_IMPORT: u16 = 2048;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    spec: ClusterSpec,
    gateway: Netns,
    nodes: Vec<Node>,
    server: Server,
    next_service: AtomicU16,
    next_import: AtomicU16,
}

impl Cluster {
    pub(super) fn start(spec: &ClusterSpec, runtime: &Arc<Runtime>) -> Result<Self> {
        let gateway = wiring::gateway(spec)?;
        let nodes = spec
            .nodes
            .iter()
            .map(|node| {
                let netns = wiring::node(spec, node, &gateway)?;
                Ok(Node::new(node.clone(), netns, runtime.clone()))
            })
            .collect::<Result<Vec<_>>>()?;
        let address = SocketAddr::from((spec.gateway.v4, API_PORT));
        let listener = gateway.enter(|| TcpListener::bind(address))??;
        let config = Config {
            rbac: true,
            ..Config::default()
        };
        let server = Server::start(listener, config)
            .with_context(|| format!("start the API server of {}", spec.name))?;
        server.handle().add_token(ADMIN_TOKEN, User::admin());
        let nodes_as_objects = spec.nodes.iter().map(|node| objects::node(spec, node));
        server.handle().apply_all(nodes_as_objects)?;
        Ok(Self {
            spec: spec.clone(),
            gateway,
            nodes,
            server,
            next_service: AtomicU16::new(FIRST_SERVICE),
            next_import: AtomicU16::new(FIRST_IMPORT),
        })
    }

    /// Its description.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// Its nodes, in the order of the topology.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The gateway of its nodes, on their segment: where a router or a load balancer would be.
    pub fn gateway(&self) -> &Netns {
        &self.gateway
    }

    /// The means to fill, question and disturb its API server.
    pub fn api(&self) -> Handle {
        self.server.handle()
    }

    /// A Service with the next free `ClusterIP`s, so that the same test always gets the same. It
    /// is not in the API server until [`Cluster::publish`].
    pub fn service(&self, name: &str, ports: impl IntoIterator<Item = Port>) -> Service {
        let number = self.next_service.fetch_add(1, Ordering::Relaxed);
        Service::new(name, self.spec.services.host(number), ports)
    }

    /// The agents' own Service, whose place in the range is always the same.
    pub(super) fn agents_service(
        &self,
        name: &str,
        ports: impl IntoIterator<Item = Port>,
    ) -> Service {
        Service::new(name, self.spec.services.host(AGENTS), ports)
    }

    /// Writes a Service and its endpoints into the API server, the endpoints first, so that no
    /// agent sees the Service without them.
    pub fn publish<E: Into<Endpoint>>(
        &self,
        service: &Service,
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        self.set_endpoints(service, endpoints)?;
        self.api().apply(service.object())?;
        Ok(())
    }

    /// Replaces a Service's endpoints.
    pub fn set_endpoints<E: Into<Endpoint>>(
        &self,
        service: &Service,
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let endpoints: Vec<Endpoint> = endpoints.into_iter().map(Into::into).collect();
        self.api().apply_all(service.slices(&endpoints))?;
        Ok(())
    }

    /// What other clusters export under the name of a Service, with the next free clusterset IPs.
    /// It is not in the API server until [`Cluster::publish_import`].
    pub fn import(&self, service: &Service) -> Import {
        let number = self.next_import.fetch_add(1, Ordering::Relaxed);
        Import::of(service, self.spec.services.host(number))
    }

    /// Writes into the API server what another cluster exports, the endpoints first.
    pub fn publish_import<E: Into<Endpoint>>(
        &self,
        import: &Import,
        from: &str,
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        self.set_imported(import, from, endpoints)?;
        self.api().apply(import.object())?;
        Ok(())
    }

    /// Replaces the endpoints that one other cluster exports.
    pub fn set_imported<E: Into<Endpoint>>(
        &self,
        import: &Import,
        from: &str,
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let endpoints: Vec<Endpoint> = endpoints.into_iter().map(Into::into).collect();
        self.api().apply_all(import.slices(from, &endpoints))?;
        Ok(())
    }

    /// Annotates a published Service anew, or takes an annotation away: what `kubectl annotate`
    /// does. [`Cluster::publish`] forgets it.
    pub fn annotate(&self, service: &Service, key: &str, value: Option<&str>) -> Result<()> {
        let patch = annotation(key, value);
        let (namespace, name) = (service.in_namespace(), service.name());
        self.api().patch("Service", namespace, name, patch)?;
        Ok(())
    }

    /// As [`Cluster::annotate`], of a node.
    pub fn annotate_node(&self, node: &str, key: &str, value: Option<&str>) -> Result<()> {
        self.api().patch("Node", "", node, annotation(key, value))?;
        Ok(())
    }

    /// Labels a node, or takes a label away: what `kubectl label` does.
    pub fn label_node(&self, node: &str, key: &str, value: Option<&str>) -> Result<()> {
        let patch = json!({"metadata": {"labels": {key: value}}});
        self.api().patch("Node", "", node, patch)?;
        Ok(())
    }
}

/// A patch that sets an annotation, or removes it.
fn annotation(key: &str, value: Option<&str>) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}
