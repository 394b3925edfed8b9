//! A plan as it is shown on the local socket, with what the kernel counts and how the capacity loop
//! sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use crate::capacity::{EndpointState, RankState, Standing, StandingEndpoint, StandingRank};
use crate::model::{Capacity, EndpointSet, Level, Origin, SetId};
use crate::plan::{
    By, Frontend, PortPlan, RealServer, ServicePlan, Style, Unserved, VirtualServer, Word,
};
use crate::serve::routes::{self, EndpointRoutes, FamilyRoutes, LevelRoutes, LevelState, title_of};
use crate::serve::routes::{Origin as Declared, Origination, PortRoutes, Source};
use crate::sync::Counted;

/// The routes of a Service as they are planned by these words.
pub fn planned(plan: &ServicePlan, words: &[Word]) -> Vec<PortRoutes> {
    let ports = plan.iter();
    ports.map(|(id, plan)| port(id, plan, words)).collect()
}

fn port(SetId { port: id, set }: &SetId, plan: &PortPlan, words: &[Word]) -> PortRoutes {
    PortRoutes {
        namespace: id.service.namespace.to_string(),
        service: id.service.name.to_string(),
        origin: match id.service.origin {
            Origin::Service => Declared::Service,
            Origin::Import => Declared::ServiceImport,
        },
        port: id.port.to_string(),
        protocol: id.protocol.to_string(),
        client: set.client().map(|ip| ip.to_string()),
        local: *set == EndpointSet::Local,
        frontends: plan.frontends.iter().map(Frontend::to_string).collect(),
        mark: None,
        families: plan
            .servers
            .iter()
            .map(|server| family(server, words))
            .collect(),
    }
}

fn family(server: &VirtualServer, words: &[Word]) -> FamilyRoutes {
    let first = server.reals.iter().map(|real| real.rank).min().unwrap_or(0);
    let mut levels: Vec<LevelRoutes> = Vec::new();
    let mut reals: Vec<&RealServer> = server.reals.iter().collect();
    reals.sort_by_key(|real| {
        (
            real.rank,
            real.level,
            real.cluster.clone(),
            real.ip,
            real.port,
        )
    });
    for real in reals {
        let share = share(server, real, first);
        let cluster = real.cluster.as_deref();
        let same = |level: &&mut LevelRoutes| {
            level.level == real.level.name() && level.cluster.as_deref() == cluster
        };
        match levels.last_mut().filter(same) {
            Some(level) => {
                level.share += share;
                level.endpoints.push(endpoint(real, share));
            }
            None => levels.push(LevelRoutes {
                level: real.level.name().to_owned(),
                cluster: cluster.map(str::to_owned),
                state: if share > 0.0 {
                    LevelState::Serving
                } else {
                    LevelState::Idle
                },
                budget: None,
                active: None,
                inactive: None,
                share,
                reason: String::new(),
                endpoints: vec![endpoint(real, share)],
            }),
        }
    }
    let most = levels.iter().max_by(|a, b| a.share.total_cmp(&b.share));
    FamilyRoutes {
        family: server.family.to_string(),
        scheduler: server.scheduler.name().to_owned(),
        routing: words
            .iter()
            .find(|word| word.part == "routing")
            .map(|word| word.value.clone())
            .unwrap_or_default(),
        sources: words.iter().map(source).collect(),
        takes: most.map(routes::LevelRoutes::title),
        because: because(server, &levels),
        levels,
    }
}

fn source(word: &Word) -> Source {
    Source {
        part: word.part.to_owned(),
        value: word.value.clone(),
        from: match word.by {
            By::Slice => Origination::Slice,
            By::Service => Origination::Service,
            By::Node => Origination::Node,
            By::Host => Origination::Host,
            By::Configuration => Origination::Configuration,
        },
    }
}

fn endpoint(real: &RealServer, share: f64) -> EndpointRoutes {
    EndpointRoutes {
        address: SocketAddr::new(real.ip, real.port.get()).to_string(),
        weight: real.weight,
        capacity: match real.capacity {
            Capacity::Connections(connections) => Some(u64::from(connections.get())),
            Capacity::Unlimited | Capacity::Auto => None,
        },
        budget: None,
        active: None,
        inactive: None,
        share,
        state: if share > 0.0 { "serving" } else { "idle" }.to_owned(),
        reason: String::new(),
    }
}

/// The part of the new connections that an endpoint gets while nobody is full.
fn share(server: &VirtualServer, real: &RealServer, first: u8) -> f64 {
    let counts = |real: &&RealServer| server.style == Style::Share || real.rank == first;
    if !counts(&real) {
        return 0.0;
    }
    let all = server.reals.iter().filter(counts);
    let total: f64 = all.map(|real| f64::from(real.weight)).sum();
    f64::from(real.weight) / total.max(1.0)
}

fn because(server: &VirtualServer, levels: &[LevelRoutes]) -> Vec<String> {
    match (levels.first(), server.style) {
        (None, _) => {
            let why = match server.unserved {
                Unserved::Refused => {
                    "the service has no endpoint that can take connections: they are refused"
                }
                Unserved::Dropped => {
                    "the traffic policy is Local and no endpoint is on this node: packets are dropped"
                }
            };
            vec![why.into()]
        }
        (Some(nearest), Style::Ladder) => {
            let nearest = format!("level {} is the nearest", nearest.title());
            std::iter::once(nearest).chain(together(server)).collect()
        }
        (Some(_), Style::Share) => levels
            .iter()
            .map(|level| {
                let share = level.share * 100.0;
                format!("level {} has {share:.1} % by its weights", level.title())
            })
            .collect(),
    }
}

/// Which levels are not filled one after the other, on a ladder: those that the routing mode takes
/// for one, or that the kernel's weights cannot keep apart.
fn together(server: &VirtualServer) -> Vec<String> {
    if server.style == Style::Share {
        return Vec::new();
    }
    let mut ranks: BTreeMap<u8, BTreeSet<(Level, Option<&str>)>> = BTreeMap::new();
    for real in &server.reals {
        let level = (real.level, real.cluster.as_deref());
        ranks.entry(real.rank).or_default().insert(level);
    }
    let shared = ranks.into_values().filter(|levels| levels.len() > 1);
    shared
        .map(|levels| {
            let levels = levels.into_iter();
            let levels = levels.map(|(level, cluster)| title_of(level.name(), cluster));
            let levels: Vec<String> = levels.collect();
            format!("levels {} are filled together", levels.join(","))
        })
        .collect()
}

/// Adds what the kernel counts at the endpoints, and for a virtual server with a capacity how it
/// stands.
pub fn counted(
    family: &mut FamilyRoutes,
    server: &VirtualServer,
    counts: &[Counted],
    standing: Option<&Standing>,
) {
    let counts: HashMap<String, &Counted> = counts
        .iter()
        .map(|count| {
            let there = &count.entry.destination;
            (SocketAddr::new(there.ip, there.port).to_string(), count)
        })
        .collect();
    for level in &mut family.levels {
        for endpoint in &mut level.endpoints {
            if let Some(Counted { entry, pinned, .. }) = counts.get(&endpoint.address) {
                endpoint.active = Some(u64::from(entry.active + pinned.active));
                endpoint.inactive = Some(u64::from(entry.inactive + pinned.inactive));
                endpoint.weight = entry.destination.weight;
            }
        }
        level.active = level.endpoints.iter().map(|one| one.active).sum();
        level.inactive = level.endpoints.iter().map(|one| one.inactive).sum();
    }
    if let Some(standing) = standing {
        stands(family, server, standing);
    }
}

fn stands(family: &mut FamilyRoutes, server: &VirtualServer, standing: &Standing) {
    let busy = standing.ranks.iter().any(|rank| rank.share > 0.0);
    let known: HashMap<String, (&StandingRank, &StandingEndpoint)> = standing
        .ranks
        .iter()
        .flat_map(|rank| rank.endpoints.iter().map(move |one| (rank, one)))
        .map(|(rank, one)| {
            let address = SocketAddr::new(one.ip, one.port.get()).to_string();
            (address, (rank, one))
        })
        .collect();
    let mut with_room = BTreeSet::new();
    for (index, level) in family.levels.iter_mut().enumerate() {
        let mut budget = Some(0);
        let mut share = 0.0;
        for endpoint in &mut level.endpoints {
            let Some((rank, one)) = known.get(&endpoint.address) else {
                continue;
            };
            level.state = state(rank.state);
            level.reason.clone_from(&rank.reason);
            endpoint.capacity = one.capacity.map(u64::from);
            endpoint.budget = one.budget.map(u64::from);
            if !matches!(one.state, EndpointState::Full | EndpointState::LastResort) {
                with_room.insert(index);
            }
            let (state, reason) = endpoint_state(one);
            state.clone_into(&mut endpoint.state);
            endpoint.reason = reason;
            if busy {
                endpoint.share = one.share;
            }
            share += endpoint.share;
            budget = budget.zip(endpoint.budget).map(|(all, one)| all + one);
        }
        level.budget = budget;
        level.share = share;
    }
    // A level may have room again long before it counts as recovered.
    let levels = family.levels.iter().enumerate();
    let with_room = levels.filter(|(index, _)| with_room.contains(index));
    let mut with_room = with_room.map(|(_, level)| level);
    let open = match server.style {
        Style::Ladder => with_room.next(),
        Style::Share => with_room.max_by(|a, b| a.share.total_cmp(&b.share)),
    };
    let last = family.levels.last().filter(|_| !server.shed);
    family.takes = open.or(last).map(LevelRoutes::title);
    let reasons = family.levels.iter().map(|level| {
        format!(
            "level {} is {}: {}",
            level.title(),
            level.state.name(),
            level.reason
        )
    });
    family.because = reasons.chain(together(server)).collect();
    family.because.push(whose_budgets(standing).to_owned());
}

/// What the budgets come from.
fn whose_budgets(standing: &Standing) -> &'static str {
    if standing.reported {
        "budgets follow what all nodes report that they want"
    } else {
        "budgets are an equal share for each node: no reports of other nodes come"
    }
}

/// What an endpoint does, and why where that does not go without saying.
fn endpoint_state(endpoint: &StandingEndpoint) -> (&'static str, String) {
    match endpoint.state {
        EndpointState::Full => ("full", String::new()),
        EndpointState::LastResort => ("full", "gets what nobody else has room for".to_owned()),
        EndpointState::SlowStart(percent) => {
            ("starting", format!("is new, has {percent} % of its budget"))
        }
        EndpointState::Open if endpoint.active > 0 || endpoint.share > 0.0 => {
            ("serving", String::new())
        }
        EndpointState::Open => ("idle", String::new()),
    }
}

fn state(state: RankState) -> LevelState {
    match state {
        RankState::Idle => LevelState::Idle,
        RankState::Serving => LevelState::Serving,
        RankState::Saturated => LevelState::Saturated,
        RankState::Recovering => LevelState::Recovering,
        RankState::SlowStart => LevelState::Starting,
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
