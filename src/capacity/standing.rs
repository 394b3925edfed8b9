//! How a virtual server stands, for people: `routes`, `why` and metrics.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Level;
use crate::plan::Limits;

/// How a virtual server stood at its last tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Its ranks, nearest first.
    pub ranks: Vec<StandingRank>,
    /// Whether a rank other than the last is saturated, so that connections go farther.
    pub spilling: bool,
    /// New connections that went past a nearer rank, since the agent knows the virtual server.
    pub spilled: u64,
    /// For how long it has been spilling, all times together.
    pub saturated: Duration,
    /// Connections at a time that this node wants.
    pub demand: f64,
    /// By what factor the thresholds are lifted, since everything is full. 1.0: not.
    pub lift: f64,
    /// Whether this node's budgets come from the other nodes' reports. If not: an equal share of
    /// each endpoint's capacity, corrected by how it answers.
    pub reported: bool,
}

/// How one rank stood.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingRank {
    /// Its place in the order in which ranks are filled, 0 first.
    pub rank: u8,
    /// The levels of its endpoints, nearest first.
    pub levels: Vec<StandingLevel>,
    /// Its endpoints, in the order of their addresses.
    pub endpoints: Vec<StandingEndpoint>,
    /// What it does.
    pub state: RankState,
    /// Why, in words.
    pub reason: String,
    /// Whether its budget is a sensible part of the demand. If not it serves what it can.
    pub primary: bool,
    /// Connections at a time that it may have from this node. None: any number.
    pub budget: Option<u32>,
    /// Connections at a time that it has.
    pub load: u32,
    /// New connections per second.
    pub per_second: f64,
    /// Its part of the new connections of the last seconds, 0 to 1.
    pub share: f64,
}

/// How the endpoints of a rank stood that are of one level and cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingLevel {
    /// The level.
    pub level: Level,
    /// The cluster, if it is another one.
    pub cluster: Option<Arc<str>>,
    /// How many endpoints there are.
    pub endpoints: usize,
    /// Connections at a time that they may have from this node. None: any number.
    pub budget: Option<u32>,
    /// Connections at a time that they have.
    pub load: u32,
    /// New connections since the agent knows the virtual server.
    pub connections: u64,
    /// Those of them that came past a nearer rank.
    pub spilled: u64,
    /// For how long their rank has been saturated, all times together.
    pub saturated: Duration,
}

/// What a rank does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RankState {
    /// Nothing: it has no connections.
    #[default]
    Idle,
    /// It serves.
    Serving,
    /// It is full: new connections go farther.
    Saturated,
    /// It was full and is not sure to have room for good.
    Recovering,
    /// Endpoints are new and get few connections yet.
    SlowStart,
}

impl RankState {
    /// Its name in tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Serving => "serving",
            Self::Saturated => "saturated",
            Self::Recovering => "recovering",
            Self::SlowStart => "slow start",
        }
    }
}

/// How one endpoint stood.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingEndpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
    /// Its weight in the kernel.
    pub weight: u32,
    /// Its thresholds in the kernel.
    pub limits: Limits,
    /// The connections at a time that it accepts of all nodes together. None: any number.
    pub capacity: Option<u32>,
    /// This node's part of them now. None: any number.
    pub budget: Option<u32>,
    /// Open connections.
    pub active: u32,
    /// Connections that are over but not forgotten, and all UDP flows.
    pub inactive: u32,
    /// New connections per second.
    pub per_second: f64,
    /// Its part of the new connections of the last seconds, 0 to 1.
    pub share: f64,
    /// What it does.
    pub state: EndpointState,
}

/// What an endpoint does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndpointState {
    /// It takes connections.
    #[default]
    Open,
    /// It is at its budget and gets no more.
    Full,
    /// It is new and gets this percentage of its budget.
    SlowStart(u8),
    /// It is at its budget but on the last rank: it takes what nobody else has room for.
    LastResort,
}

impl EndpointState {
    /// Its name in tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Full => "full",
            Self::SlowStart(_) => "slow start",
            Self::LastResort => "last resort",
        }
    }
}
