//! The rules of the exchange, each with a test that is named after it.

mod bytes;
mod fleet;
mod keepers;
mod rules;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::capacity::Key;
use crate::model::example::{id, ip, port};
use crate::model::{EndpointSlice, Family, Protocol, ServicePortId, SetId, SlicePort, example};

/// A virtual server by its Service's name.
fn key(name: &str) -> Key {
    Key {
        id: SetId::all(ServicePortId {
            service: id(name),
            port: "http".into(),
            protocol: Protocol::Tcp,
        }),
        family: Family::V4,
    }
}

fn name(node: usize) -> Arc<str> {
    format!("n{node}").into()
}

fn zone(node: usize) -> Arc<str> {
    format!("z{}", node % 3).into()
}

fn address(node: usize) -> SocketAddr {
    let [high, low] = u16::try_from(node).expect("few nodes").to_be_bytes();
    SocketAddr::new(IpAddr::from([192, 0, high, low]), 10_251)
}

/// The slice of the agents' Service with these nodes.
fn slice(nodes: impl IntoIterator<Item = usize>) -> EndpointSlice {
    let endpoints = nodes.into_iter().map(|node| {
        let ip = address(node).ip().to_string();
        example::endpoint(&ip, &name(node), &zone(node))
    });
    EndpointSlice {
        ports: vec![SlicePort {
            name: PORT_NAME.into(),
            protocol: Protocol::Udp,
            port: port(10_251),
        }],
        ..example::slice("spillway-1", "spillway", endpoints.collect())
    }
}

fn peers(nodes: impl IntoIterator<Item = usize>) -> Arc<Peers> {
    Arc::new(Peers::of(&[&slice(nodes)], "n0"))
}

/// So long after the start, by both clocks.
fn moment(start: Instant, elapsed: Duration) -> Now {
    const YEAR_2026: u64 = 1_767_225_600_000_000;
    Now {
        instant: start + elapsed,
        unix_micros: YEAR_2026 + u64::try_from(elapsed.as_micros()).expect("no ages"),
    }
}

fn asked(name: &str, demand: f64, capacity: u32) -> Asked {
    Asked {
        key: key(name),
        demand,
        capacity,
    }
}
