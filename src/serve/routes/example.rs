//! A service that spills, for tests and for the examples of `docs/why.md`.
#![allow(missing_docs)]

use super::{
    EndpointRoutes, FamilyRoutes, LevelRoutes, LevelState, Origin, Origination, PortRoutes, Source,
};

/// `default/web`: its pod on this node is full, the one in the zone takes the rest.
pub fn spilling() -> PortRoutes {
    PortRoutes {
        namespace: "default".into(),
        service: "web".into(),
        origin: Origin::Service,
        port: "http".into(),
        client: None,
        local: false,
        protocol: "TCP".into(),
        frontends: vec!["10.96.0.10:80".into(), "*:30080".into()],
        mark: Some(0x0100_0001),
        families: vec![FamilyRoutes {
            family: "IPv4".into(),
            scheduler: "sed".into(),
            routing: "spill".into(),
            sources: vec![
                source("routing", "spill", Origination::Service),
                source("levels", "node,zone,remote", Origination::Node),
                source("capacity", "100", Origination::Service),
                source("remote", "fallback", Origination::Configuration),
            ],
            levels: vec![
                LevelRoutes {
                    reason: "50 of 50 connections: full".into(),
                    endpoints: vec![EndpointRoutes {
                        state: "full".into(),
                        ..endpoint("10.244.1.5:8080", 1 << 30, 50, 50, 0.0)
                    }],
                    ..level("node", LevelState::Saturated, 50, 50, 0.0)
                },
                LevelRoutes {
                    reason: "17 of 80 connections".into(),
                    endpoints: vec![endpoint("10.244.2.7:8080", 1 << 15, 80, 17, 1.0)],
                    ..level("zone", LevelState::Serving, 80, 17, 1.0)
                },
                LevelRoutes {
                    cluster: Some("west".into()),
                    budget: None,
                    inactive: Some(0),
                    reason: "no connections, room for any number".into(),
                    endpoints: vec![EndpointRoutes {
                        capacity: None,
                        budget: None,
                        inactive: Some(0),
                        state: "idle".into(),
                        ..endpoint("10.9.0.4:8080", 1, 0, 0, 0.0)
                    }],
                    ..level("remote", LevelState::Idle, 0, 0, 0.0)
                },
            ],
            takes: Some("zone".into()),
            because: vec![
                "level node is saturated: 50 of 50 connections: full".into(),
                "level zone is serving: 17 of 80 connections".into(),
                "level remote west is idle: no connections, room for any number".into(),
                "budgets follow what all nodes report that they want".into(),
            ],
        }],
    }
}

/// `default/idle`: has no endpoint.
pub fn refused() -> PortRoutes {
    PortRoutes {
        service: "idle".into(),
        port: String::new(),
        frontends: vec!["10.96.0.11:53".into()],
        mark: None,
        client: None,
        local: false,
        protocol: "UDP".into(),
        families: vec![FamilyRoutes {
            family: "IPv4".into(),
            scheduler: "wrr".into(),
            routing: "prefer".into(),
            sources: Vec::new(),
            levels: Vec::new(),
            takes: None,
            because: vec!["the service has no endpoint that is ready".into()],
        }],
        ..spilling()
    }
}

fn source(part: &str, value: &str, from: Origination) -> Source {
    Source {
        part: part.into(),
        value: value.into(),
        from,
    }
}

fn level(name: &str, state: LevelState, budget: u64, active: u64, share: f64) -> LevelRoutes {
    LevelRoutes {
        level: name.into(),
        cluster: None,
        state,
        budget: Some(budget),
        active: Some(active),
        inactive: Some(3),
        share,
        reason: String::new(),
        endpoints: Vec::new(),
    }
}

fn endpoint(address: &str, weight: u32, budget: u64, active: u64, share: f64) -> EndpointRoutes {
    EndpointRoutes {
        address: address.into(),
        weight,
        capacity: Some(100),
        budget: Some(budget),
        active: Some(active),
        inactive: Some(3),
        share,
        state: "serving".into(),
        reason: String::new(),
    }
}
