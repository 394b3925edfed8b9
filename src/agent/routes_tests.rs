//! What people are told of the routes of a Service.

use super::*;
use crate::model::example::{endpoint, service, slice};
use crate::plan::{Here, plan, words};

fn here() -> Here {
    Here {
        node: "east-1".into(),
        zone: Some("a".into()),
        ..Here::default()
    }
}

#[test]
fn a_plan_shows_level_by_level() {
    let web = service("web", &["10.96.0.10"]);
    let pods = vec![
        endpoint("10.244.2.7", "east-2", "b"),
        endpoint("10.244.1.5", "east-1", "a"),
        endpoint("10.244.3.1", "east-3", "b"),
    ];
    let here = here();
    let slice = slice("web-1", "web", pods);
    let words = words(&web, &[&slice], &here);
    let routes = planned(&plan(&web, &[&slice], &here), &words);
    assert_eq!(routes[0].title(), "default/web:http/TCP");
    assert_eq!(routes[0].frontends, ["10.96.0.10:80"]);
    let family = &routes[0].families[0];
    let levels: Vec<_> = family
        .levels
        .iter()
        .map(|level| (level.title(), level.endpoints.len()))
        .collect();
    assert_eq!(levels, [("node".to_owned(), 1), ("cluster".to_owned(), 2)]);
    assert_eq!(family.takes.as_deref(), Some("node"));
    assert_eq!(family.routing, "prefer");
    assert_eq!(family.sources[0].from, Origination::Configuration);
    let share: f64 = family.levels.iter().map(|level| level.share).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
}

#[test]
fn without_endpoints_a_service_refuses() {
    let web = service("web", &["10.96.0.10"]);
    let routes = planned(&plan(&web, &[], &Here::default()), &[]);
    let family = &routes[0].families[0];
    assert_eq!((family.takes.as_ref(), family.levels.len()), (None, 0));
    assert!(family.because[0].contains("refused"));
}

#[test]
fn what_new_connections_take_is_where_there_is_room_now_whatever_was_full_lately() {
    let web = service("web", &["10.96.0.10"]);
    let pods = vec![
        endpoint("10.244.1.5", "east-1", "a"),
        endpoint("10.244.2.7", "east-2", "b"),
    ];
    let here = here();
    let slice = slice("web-1", "web", pods);
    let plan = plan(&web, &[&slice], &here);
    let server = &plan.values().next().expect("a service port").servers[0];
    let taken = |state: EndpointState| {
        let mut family = planned(&plan, &[]).remove(0).families.remove(0);
        let ranks = server.reals.iter().map(|real| {
            let near = real.level == Level::Node;
            let state = if near { state } else { EndpointState::Open };
            standing(real, state)
        });
        let standing = Standing {
            ranks: ranks.collect(),
            ..Standing::default()
        };
        let mut server = server.clone();
        server.style = Style::Ladder;
        counted(&mut family, &server, &[], Some(&standing));
        family.takes
    };
    assert_eq!(taken(EndpointState::Open).as_deref(), Some("node"));
    assert_eq!(taken(EndpointState::Full).as_deref(), Some("cluster"));
}

/// A rank that was full lately, of one endpoint.
fn standing(real: &RealServer, state: EndpointState) -> StandingRank {
    StandingRank {
        rank: real.rank,
        levels: Vec::new(),
        endpoints: vec![StandingEndpoint {
            ip: real.ip,
            port: real.port,
            weight: real.weight,
            limits: real.limits,
            capacity: Some(10),
            budget: Some(10),
            active: 8,
            inactive: 0,
            per_second: 0.0,
            share: 0.5,
            state,
        }],
        state: RankState::Saturated,
        reason: String::new(),
        primary: true,
        budget: Some(10),
        load: 8,
        per_second: 0.0,
        share: 0.5,
    }
}
