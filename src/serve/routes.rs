//! Where this node sends connections and why, as it is shown: plain data, the same for the JSON of
//! the local socket, for tables and for prose.
//!
//! Text where people read it, numbers where programs count. A number that nobody has read from the
//! kernel is absent rather than 0: zero connections is something else than unknown.

use serde::{Deserialize, Serialize};

/// One endpoint set of a service port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortRoutes {
    /// The namespace of the service.
    pub namespace: String,
    /// The name of the service.
    pub service: String,
    /// What declares it.
    pub origin: Origin,
    /// The port's name; empty where the service has a single unnamed one.
    pub port: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The only client that it is for: a pod of this node that gets itself first. None: all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whether it is for clients under a traffic policy `Local`, which only endpoints of this node
    /// serve.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// Where clients find it, like `10.96.0.10:80` or, for a node port, `*:30080`.
    pub frontends: Vec<String>,
    /// The firewall mark that leads to its virtual servers, once it has one.
    pub mark: Option<u32>,
    /// A virtual server for each family that has a frontend.
    pub families: Vec<FamilyRoutes>,
}

impl PortRoutes {
    /// The service, as commands take it: `default/web`, or `default/web@clusterset`.
    pub fn service(&self) -> String {
        let at = match self.origin {
            Origin::Service => "",
            Origin::ServiceImport => "@clusterset",
        };
        format!("{}/{}{at}", self.namespace, self.service)
    }

    /// Its name in the log and in tables: `default/web:http/TCP`, perhaps `… from 10.244.1.5`.
    pub fn title(&self) -> String {
        let colon = if self.port.is_empty() { "" } else { ":" };
        let from = match &self.client {
            Some(client) => format!(" from {client}"),
            None if self.local => " local".to_owned(),
            None => String::new(),
        };
        format!(
            "{}{colon}{}/{}{from}",
            self.service(),
            self.port,
            self.protocol
        )
    }

    /// The frontends of one family.
    pub fn frontends_of(&self, family: &FamilyRoutes) -> Vec<&str> {
        let six = family.family == "IPv6";
        let all = self.frontends.iter().map(String::as_str);
        all.filter(|one| one.starts_with('[') == six).collect()
    }
}

/// What a service is declared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A Service of this cluster.
    Service,
    /// A `ServiceImport`.
    ServiceImport,
}

/// One family of a service port: its virtual server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyRoutes {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// The IPVS scheduler.
    pub scheduler: String,
    /// How new connections divide among the levels: `prefer`, `spill` or `balance`.
    pub routing: String,
    /// Who said so, part by part.
    pub sources: Vec<Source>,
    /// The levels that have endpoints, in the order in which they are filled.
    pub levels: Vec<LevelRoutes>,
    /// The title of the level that a new connection goes to now; none: it is refused. Where
    /// several take connections by weight, the one with the largest share.
    pub takes: Option<String>,
    /// What made it so: sentences, the nearest level's first.
    pub because: Vec<String>,
}

/// Where a part of the routing comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The annotation's name without its prefix: `routing`, `weights`, `levels`, `capacity`, …
    pub part: String,
    /// What it says, as one would write it there.
    pub value: String,
    /// Whose word it is.
    pub from: Origination,
}

/// Whose word a part of the routing is; a later one gives way to an earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origination {
    /// The annotation of an `EndpointSlice`, of the endpoints in it.
    Slice,
    /// The Service's (or `ServiceImport`'s) annotation.
    Service,
    /// The annotation of this node.
    Node,
    /// The annotation of the node that an endpoint runs on, where that is another one.
    Host,
    /// The configuration file, or what is so without one.
    Configuration,
}

impl Origination {
    /// For "…, says X".
    pub fn text(self) -> &'static str {
        match self {
            Self::Slice => "the endpoint slice",
            Self::Service => "the service",
            Self::Node => "this node",
            Self::Host => "the node of the pod",
            Self::Configuration => "the configuration",
        }
    }
}

/// The endpoints of one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelRoutes {
    /// `node`, `zone`, `cluster` or `remote`.
    pub level: String,
    /// The other cluster's id, where the level is one.
    pub cluster: Option<String>,
    /// How it is.
    pub state: LevelState,
    /// The connections that this node may have at its endpoints; none: any number.
    pub budget: Option<u64>,
    /// Connections that are open, if they have been counted.
    pub active: Option<u64>,
    /// Connections that are over but still known to the kernel, and all of UDP.
    pub inactive: Option<u64>,
    /// Its part of this node's new connections, 0 to 1.
    pub share: f64,
    /// What made its state.
    pub reason: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointRoutes>,
}

impl LevelRoutes {
    /// Its name in tables: `zone`, or `remote west`.
    pub fn title(&self) -> String {
        title_of(&self.level, self.cluster.as_deref())
    }
}

/// A level as tables and Events name it: `zone`, `remote west`.
pub fn title_of(level: &str, cluster: Option<&str>) -> String {
    match cluster {
        Some(cluster) => format!("{level} {cluster}"),
        None => level.to_owned(),
    }
}

/// How a level is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelState {
    /// It has room, and nearer levels leave it nothing to do.
    Idle,
    /// It takes new connections.
    Serving,
    /// It is at its budget: new connections go to the next level.
    Saturated,
    /// It has room again, but not for long enough to be trusted.
    Recovering,
    /// Its endpoints are new and get their share little by little.
    Starting,
}

impl LevelState {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Serving => "serving",
            Self::Saturated => "saturated",
            Self::Recovering => "recovering",
            Self::Starting => "starting",
        }
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointRoutes {
    /// Address and port.
    pub address: String,
    /// Its weight in the kernel.
    pub weight: u32,
    /// The connections that it accepts of all nodes together; none: any number.
    pub capacity: Option<u64>,
    /// This node's part of them.
    pub budget: Option<u64>,
    /// Its open connections from this node, if they have been counted.
    pub active: Option<u64>,
    /// Those that are over but still known to the kernel, and all of UDP.
    pub inactive: Option<u64>,
    /// Its part of this node's new connections, 0 to 1.
    pub share: f64,
    /// In a word: `serving`, `full`, `starting`, `idle`.
    pub state: String,
    /// What made its state; may be empty.
    pub reason: String,
}

#[cfg(test)]
pub mod example;
