use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Protocol;

/// What a service is declared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A Service of this cluster.
    Service,
    /// A `ServiceImport`: what several clusters export under one name (Multi-Cluster Services API,
    /// KEP-1645). A Service of the same name is another service.
    Import,
}

/// The namespace and name of a Service or `ServiceImport`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name within the namespace.
    pub name: Arc<str>,
    /// Which of the two it is.
    pub origin: Origin,
}

impl ServiceId {
    /// Names a Service.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            origin: Origin::Service,
        }
    }

    /// The `ServiceImport` of the same namespace and name.
    #[must_use]
    pub fn import(mut self) -> Self {
        self.origin = Origin::Import;
        self
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        match self.origin {
            Origin::Service => Ok(()),
            Origin::Import => f.write_str("@clusterset"),
        }
    }
}

/// An `EndpointSlice`'s namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name within the namespace.
    pub name: Arc<str>,
}

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A service port: what one virtual server stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortId {
    /// The Service.
    pub service: ServiceId,
    /// The port's name, empty where the Service has a single unnamed one.
    pub port: Arc<str>,
    /// The port's protocol.
    pub protocol: Protocol,
}

/// Some of a service port's endpoints, as a group of its clients is to see them: what one mark
/// leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId {
    /// The service port.
    pub port: ServicePortId,
    /// Which of its endpoints.
    pub set: EndpointSet,
}

/// Which of a service port's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointSet {
    /// All of them, as this node sees them.
    All,
    /// Those on this node alone, for clients under a traffic policy `Local`.
    Local,
    /// As the endpoint at this address sees them, when it is the client: itself first.
    Own(IpAddr),
}

impl EndpointSet {
    /// The only client that it is for; none: it is for many.
    pub const fn client(self) -> Option<IpAddr> {
        match self {
            Self::All | Self::Local => None,
            Self::Own(ip) => Some(ip),
        }
    }
}

impl SetId {
    /// All endpoints of a service port.
    pub const fn all(port: ServicePortId) -> Self {
        Self {
            port,
            set: EndpointSet::All,
        }
    }

    /// The name that orders before all others of a Service.
    pub fn first_of(service: ServiceId) -> Self {
        Self::all(ServicePortId {
            service,
            port: Arc::from(""),
            protocol: Protocol::Tcp,
        })
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.set {
            EndpointSet::All => self.port.fmt(f),
            EndpointSet::Local => write!(f, "{} local", self.port),
            EndpointSet::Own(ip) => write!(f, "{} from {ip}", self.port),
        }
    }
}

impl fmt::Display for ServicePortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port.is_empty() {
            write!(f, "{}/{}", self.service, self.protocol)
        } else {
            write!(f, "{}:{}/{}", self.service, self.port, self.protocol)
        }
    }
}
