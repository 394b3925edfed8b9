//! The ports of a Service.

use serde_json::{Value, json};

use crate::traffic::Protocol;

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    name: String,
    protocol: Protocol,
    number: u16,
    target: u16,
    on_nodes: Option<u16>,
}

impl Port {
    /// A TCP port; the pods listen on the same number unless [`Port::to`] says another.
    pub fn tcp(name: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            protocol: Protocol::Tcp,
            number: port,
            target: port,
            on_nodes: None,
        }
    }

    /// A UDP port.
    pub fn udp(name: &str, port: u16) -> Self {
        Self {
            protocol: Protocol::Udp,
            ..Self::tcp(name, port)
        }
    }

    /// An SCTP port.
    pub fn sctp(name: &str, port: u16) -> Self {
        Self {
            protocol: Protocol::Sctp,
            ..Self::tcp(name, port)
        }
    }

    /// The port that the pods listen on.
    #[must_use]
    pub fn to(self, target: u16) -> Self {
        Self { target, ..self }
    }

    /// The port on every node.
    #[must_use]
    pub fn node_port(self, port: u16) -> Self {
        Self {
            on_nodes: Some(port),
            ..self
        }
    }

    /// Whether it has a port on every node.
    pub(super) fn is_on_nodes(&self) -> bool {
        self.on_nodes.is_some()
    }

    /// The entry in `spec.ports` of the Service.
    pub(super) fn object(&self) -> Value {
        let mut port = json!({
            "name": self.name,
            "protocol": self.protocol.to_string(),
            "port": self.number,
            "targetPort": self.target,
        });
        if let Some(node_port) = self.on_nodes {
            port["nodePort"] = node_port.into();
        }
        port
    }

    /// The entry in `spec.ports` of a `ServiceImport`, which knows no target.
    pub(super) fn in_import(&self) -> Value {
        let protocol = self.protocol.to_string();
        json!({"name": self.name, "protocol": protocol, "port": self.number})
    }

    /// The entry in the `ports` of an `EndpointSlice`.
    pub(super) fn in_slice(&self) -> Value {
        let protocol = self.protocol.to_string();
        json!({"name": self.name, "protocol": protocol, "port": self.target})
    }
}
