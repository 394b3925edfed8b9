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
        protocol: "TCP".into(),
        frontends: vec!["10.96.0.10:80".into(), "*:30080".into()],
        mark: Some(0x0100_0001),
        families: vec![FamilyRoutes {
            family: "IPv4".into(),
            scheduler: "sed".into(),
            routing: "spill".into(),
            sources: vec![
                source("routing", "spill", Origination::Service),
                source("capacity", "100", Origination::Node),
                source("remote", "fallback", Origination::Configuration),
            ],
            levels: vec![
                LevelRoutes {
                    reason: "at its budget for 12 s".into(),
                    endpoints: vec![EndpointRoutes {
                        state: "full".into(),
                        reason: "50 of 50".into(),
                        ..endpoint("10.244.1.5:8080", 1 << 30, 50, 50, 0.0)
                    }],
                    ..level("node", LevelState::Saturated, 50, 50, 0.0)
                },
                LevelRoutes {
                    reason: "the nearest with room".into(),
                    endpoints: vec![endpoint("10.244.2.7:8080", 1 << 15, 80, 17, 1.0)],
                    ..level("zone", LevelState::Serving, 80, 17, 1.0)
                },
                LevelRoutes {
                    cluster: Some("west".into()),
                    budget: None,
                    inactive: None,
                    active: None,
                    reason: "nearer levels have room".into(),
                    endpoints: vec![EndpointRoutes {
                        capacity: None,
                        budget: None,
                        active: None,
                        inactive: None,
                        state: "idle".into(),
                        ..endpoint("10.9.0.4:8080", 1, 0, 0, 0.0)
                    }],
                    ..level("remote", LevelState::Idle, 0, 0, 0.0)
                },
            ],
            takes: Some("zone".into()),
            because: vec![
                "level node is saturated: 50 active connections of a budget of 50, for 12 s".into(),
                "level zone is the nearest with room: 17 active connections of a budget of 80"
                    .into(),
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
