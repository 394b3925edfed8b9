//! From what the control loop knows to what people are told.

use super::endpoint::{Endpoint, Moment};
use super::gate::Gate;
use super::number::{nearest, up};
use super::rank::{Part, Rank};
use super::server::Server;
use super::sum::Sum;
use super::{
    Count, EndpointState, Pace, RankState, Standing, StandingEndpoint, StandingLevel, StandingRank,
};

impl Server {
    /// How it stood at its last tick.
    pub fn standing(&self, pace: &Pace, peers: f64) -> Standing {
        let Some(ticked) = self.ticked else {
            return Standing::default();
        };
        let at = self.moment(pace, peers, ticked);
        let used: f64 = self.endpoints.iter().map(|one| one.recent.used).sum();
        let ranks = self.ranks.iter().enumerate();
        Standing {
            ranks: ranks
                .map(|(place, rank)| self.rank(place, rank, used, at))
                .collect(),
            spilling: self.is_spilling(),
            spilled: self.spilled,
            saturated: self.saturated,
            demand: self.demand.connections,
            lift: self.lift.factor(),
            reported: at.reported,
        }
    }

    fn rank(&self, place: usize, rank: &Rank, used: f64, at: Moment<'_>) -> StandingRank {
        let members = || self.members(place);
        let sum = Sum::of(members(), at);
        let mut endpoints: Vec<StandingEndpoint> =
            members().map(|one| self.endpoint(one, used, at)).collect();
        endpoints.sort_by_key(|endpoint| (endpoint.ip, endpoint.port));
        let state = rank.state(&sum, at.pace, at.now);
        let primary = sum
            .budget
            .is_none_or(|budget| budget >= self.demand.connections * at.pace.primary);
        let used_here: f64 = members().map(|one| one.recent.used).sum();
        StandingRank {
            rank: u8::try_from(place).unwrap_or(u8::MAX),
            levels: rank
                .parts
                .iter()
                .map(|part| self.level(place, part, at))
                .collect(),
            endpoints,
            state,
            reason: self.reason(place, state, primary, &sum, at.pace.leave),
            primary,
            budget: sum.budget.map(nearest),
            load: nearest(sum.load),
            per_second: sum.per_second,
            share: part(used_here, used),
        }
    }

    fn level(&self, place: usize, part: &Part, at: Moment<'_>) -> StandingLevel {
        let sum = Sum::of(self.members(place).filter(|one| part.has(one)), at);
        StandingLevel {
            level: part.level,
            cluster: part.cluster.clone(),
            endpoints: sum.count,
            budget: sum.budget.map(nearest),
            load: nearest(sum.load),
            connections: part.total.connections,
            spilled: part.total.spilled,
            saturated: part.total.saturated,
        }
    }

    fn endpoint(&self, endpoint: &Endpoint, used: f64, at: Moment<'_>) -> StandingEndpoint {
        let (ip, port) = endpoint.address;
        let count = endpoint.recent.count();
        let budget = endpoint.budget(at);
        StandingEndpoint {
            ip,
            port,
            weight: endpoint.weight(),
            limits: endpoint.gate.limits(),
            capacity: endpoint.most().map(nearest),
            budget,
            active: count.map_or(0, |count: &Count| count.active + count.returned.active),
            inactive: count.map_or(0, |count| count.inactive + count.returned.inactive),
            per_second: endpoint.recent.per_second,
            share: part(endpoint.recent.used, used),
            state: match endpoint.gate {
                Gate::Threshold(_)
                    if budget.is_some_and(|most| endpoint.load(self.unit) >= most) =>
                {
                    EndpointState::Full
                }
                Gate::Last { lowered: true } => EndpointState::LastResort,
                _ if budget.is_some() && endpoint.slow(at) < 1.0 => {
                    let percent = nearest(endpoint.slow(at) * 100.0);
                    EndpointState::SlowStart(u8::try_from(percent).unwrap_or(100))
                }
                _ => EndpointState::Open,
            },
        }
    }

    /// Whether nothing keeps any of a rank's endpoints from getting what nobody else has room for.
    fn takes_the_rest(&self, place: usize) -> bool {
        self.members(place)
            .any(|one| matches!(one.gate, Gate::Last { .. }))
    }

    fn reason(
        &self,
        place: usize,
        state: RankState,
        primary: bool,
        sum: &Sum,
        leave: f64,
    ) -> String {
        let load = nearest(sum.load);
        let of = sum.budget.map_or_else(
            || "any number".to_owned(),
            |budget| nearest(budget).to_string(),
        );
        let mut reason = match state {
            RankState::Idle => format!("no connections, room for {of}"),
            RankState::Serving => format!("{load} of {of} connections"),
            RankState::Saturated if self.takes_the_rest(place) => {
                format!("{load} of {of} connections, and takes what nobody else has room for")
            }
            RankState::Saturated if sum.budget.is_none_or(|budget| sum.load >= budget) => {
                format!("{load} of {of} connections: full")
            }
            RankState::Saturated if sum.closed == sum.count => {
                format!("{load} of {of} connections, but more came at once than it had room for")
            }
            RankState::Saturated | RankState::Recovering => format!(
                "{load} of {of} connections: was full, and is not below {} % for long",
                up(leave * 100.0)
            ),
            RankState::SlowStart => format!(
                "{load} of {of} connections, {} of {} endpoints are new",
                sum.slow, sum.count
            ),
        };
        if !primary {
            reason.push_str("; too small for the demand, serves what it can");
        }
        if self.lift.factor() > 1.0 {
            let percent = nearest(self.lift.factor() * 100.0);
            reason += "; everything is full, so that everybody gets ";
            reason += &percent.to_string();
            reason += " %";
        }
        reason
    }
}

fn part(of: f64, all: f64) -> f64 {
    if all > 0.0 { of / all } else { 0.0 }
}
