//! Whose word the routing of a Service is, for people who ask.

use std::num::NonZeroU32;

use super::Here;
use super::endpoints::near;
use super::routing::{Affinity, Routing, Voices};
use crate::model::{Capacity, EndpointSlice, Level, Mode, Protocol, Remote, Service};

/// What holds for one part of the routing, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The name of its annotation, without the prefix.
    pub part: &'static str,
    /// What it says, as one would write it there.
    pub value: String,
    /// Who said so.
    pub by: By,
}

/// Who can say something; the first one that does has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An annotation of the Service's endpoint slices.
    Slice,
    /// An annotation of the Service.
    Service,
    /// An annotation of this node.
    Node,
    /// The annotation of the node that an endpoint runs on, where that is another one.
    Host,
    /// The configuration file, or what is so without one.
    Configuration,
}

/// The words that hold for a Service. Those that decide something are there whoever said them, the
/// others only if somebody did.
pub fn words(service: &Service, slices: &[&EndpointSlice], here: &Here) -> Vec<Word> {
    let routing = Routing::of(service, here);
    let said = Voices::of(service, here);
    let mut words = vec![word("routing", &routing.mode, said.by(|one| &one.routing))];
    if routing.mode == Mode::Prefer {
        words.push(word(
            "weights",
            &routing.weights,
            said.by(|one| &one.weights),
        ));
    }
    words.push(word(
        "levels",
        &Level::list(routing.levels),
        said.by(|one| &one.levels),
    ));
    words.extend(capacities(slices, &routing, here));
    if let Some(percent) = here.tuning.capacity_percent.get() {
        words.push(word("capacity-factor", &factor(*percent), By::Node));
    }
    let remote: Option<&Remote> = said.first(|one| &one.remote);
    let by = said.by(|one| &one.remote);
    words.push(word("remote", &remote.cloned().unwrap_or_default(), by));
    if let Some(scheduler) = routing.scheduler {
        let by = said.by(|one| &one.scheduler);
        let serves_udp = service
            .ports
            .iter()
            .any(|one| one.protocol == Protocol::Udp);
        let udp = routing
            .scheduler_for(Protocol::Udp)
            .filter(|other| *other != scheduler && serves_udp);
        let value = udp.map_or_else(
            || scheduler.to_string(),
            |udp| format!("{scheduler} ({udp} for UDP, whose flows {scheduler} does not count)"),
        );
        words.push(word("scheduler", &value, by));
    }
    let by = said.by(|one| &one.shed);
    if routing.shed || by != By::Configuration {
        words.push(word("shed", &routing.shed, by));
    }
    let by = said.by(|one| &one.drain_back);
    if routing.drain_back || by != By::Configuration {
        words.push(word("drain-back", &routing.drain_back, by));
    }
    if routing.affinity != Affinity::None {
        let yields = matches!(routing.affinity, Affinity::Yielding(_));
        let by = said.by(|one| &one.affinity_yield);
        words.push(word("affinity-yield", &yields, by));
    }
    if let Some(drain) = here.tuning.drain.get() {
        words.push(word("drain", drain, By::Node));
    }
    words
}

fn word(part: &'static str, value: &impl ToString, by: By) -> Word {
    let value = value.to_string();
    Word { part, value, by }
}

/// The capacities of the endpoints that there are, before any factor: one word of each who has a
/// say in any.
fn capacities(slices: &[&EndpointSlice], routing: &Routing<'_>, here: &Here) -> Vec<Word> {
    let mut said: Vec<(By, Capacity)> = Vec::new();
    for slice in slices {
        for endpoint in &slice.endpoints {
            let level = near(slice, endpoint, here);
            said.push(routing.capacity_by(Some((slice, endpoint)), level));
        }
    }
    if said.is_empty() {
        said.push(routing.capacity_by(None, Level::Cluster));
    }
    let order = [
        By::Slice,
        By::Service,
        By::Node,
        By::Host,
        By::Configuration,
    ];
    let words = order.into_iter().filter_map(|by| {
        let values = said.iter().filter(|(of, _)| *of == by);
        let values: Vec<Capacity> = values.map(|(_, capacity)| *capacity).collect();
        Some(word("capacity", &span(&values)?, by))
    });
    words.collect()
}

/// One capacity, or the span of several.
fn span(capacities: &[Capacity]) -> Option<String> {
    let rank = |capacity: &&Capacity| match capacity {
        Capacity::Auto => (0, None),
        Capacity::Connections(connections) => (1, Some(*connections)),
        Capacity::Unlimited => (2, None),
    };
    let least = capacities.iter().min_by_key(rank)?;
    let most = capacities.iter().max_by_key(rank)?;
    Some(if least == most {
        least.to_string()
    } else {
        format!("{least} to {most}")
    })
}

/// Hundredths as a number with as many decimal places as it needs.
fn factor(percent: NonZeroU32) -> String {
    let factor = f64::from(percent.get()) / 100.0;
    factor.to_string()
}
