//! T7: what the kernel is asked to do stays cheap, since it does it with interrupts waiting.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::world::Addresses;
use lab::world::Place;
use lab::world::objects::{Endpoint, Service};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, sendto, socket,
};
use spillway::kernel::ipvs::{DestinationEntry, Name};

use crate::bed::{BUDGET, Bed, CAPACITY, Pods, ROUTING, WAYS, Way};

/// `wrr` looks at each destination as many times as the largest weight has the common divisor in
/// it, 4 ns each: so many looks are the millisecond that may pass.
const MOST_LOOKS: u64 = 250_000;

const ENDPOINTS: u16 = 1_000;

pub fn no_scheduler_can_stall_the_kernel() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 1,
        zone: 1,
        cluster: 1,
        remote: 1,
    })?;
    let mut number = 0;
    for routing in ["prefer", "spill", "balance"] {
        for capacity in [None, Some("1"), Some("25"), Some("1000000")] {
            for weights in [None, Some("node=65535,zone=257,cluster=2,remote=1")] {
                for way in WAYS {
                    number += 1;
                    let service = bed.plain(&format!("web-{number}"), way)?;
                    let mut service = service
                        .annotation(ROUTING, routing)
                        .annotation(crate::bed::GLOBAL, "true");
                    for (key, value) in [(CAPACITY, capacity), ("spillway.io/weights", weights)] {
                        if let Some(value) = value {
                            service = service.annotation(key, value);
                        }
                    }
                    let east = bed.east()?;
                    east.publish_import(&east.import(&service), "west", &bed.remote)?;
                    east.publish(&service, bed.own())?;
                }
            }
        }
    }
    bed.start_agent()?;
    let programmed = bed.programmed()?;
    ensure!(
        programmed.len() >= number,
        "{} of {number}",
        programmed.len()
    );
    for (service, destinations) in programmed {
        let scheduler = service.service.scheduler;
        if scheduler == Name::WRR {
            let looks = looks(&destinations);
            ensure!(looks <= MOST_LOOKS, "{looks} looks: {destinations:#?}");
        }
        // A threshold on everything would leave connections without a place.
        let open = destinations
            .iter()
            .any(|it| it.destination.upper_threshold == 0);
        ensure!(open, "{scheduler:?}: {destinations:#?}");
    }
    Ok(())
}

/// How often `wrr` looks at a destination before it has found one in the worst case.
fn looks(destinations: &[DestinationEntry]) -> u64 {
    let weights = destinations
        .iter()
        .map(|it| u64::from(it.destination.weight));
    let most = weights.clone().max().unwrap_or(0);
    let divisor = weights.fold(0, gcd).max(1);
    most / divisor * u64::try_from(destinations.len()).unwrap_or(u64::MAX)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// T7: the first packet of a connection is what the kernel schedules, while its sender waits: so its
/// sending takes as long. `wlc` looks at all destinations.
pub fn a_thousand_endpoints_cost_a_packet_no_time() -> Result<()> {
    const PACKETS: usize = 200;
    let mut bed = Bed::new(Pods {
        node: 2,
        zone: 0,
        cluster: 2,
        remote: 0,
    })?;
    let udp = WAYS[2];
    let few = publish(&bed, "few", udp, 0)?;
    let many = publish(&bed, "many", udp, ENDPOINTS)?;
    bed.start_agent_and_warm_up(BUDGET)?;
    let programmed = bed.programmed()?.into_iter();
    let most = programmed.map(|(_, destinations)| destinations.len()).max();
    ensure!(most > Some(usize::from(ENDPOINTS)), "{most:?} destinations");
    let few = sending(&bed, udp.to(&few), PACKETS)?;
    let many = sending(&bed, udp.to(&many), PACKETS)?;
    tracing::info!("few: {few:?}; {ENDPOINTS}: {many:?}");
    // This processor is nine times slower than most.
    let more = many.saturating_sub(few);
    ensure!(more < Duration::from_millis(1), "{few:?} and {many:?}");
    Ok(())
}

/// A spilling Service over the pods of this cluster and so many endpoints that do not exist.
fn publish(bed: &Bed, name: &str, way: Way, more: u16) -> Result<Service> {
    let service = bed.spilling(name, way, BUDGET)?;
    let spec = &bed.east_1()?.spec;
    let nowhere = bed.east()?.spec().pods;
    let more = (0..more).map(|number| {
        // They count as near, so that none is left out.
        let addresses: Addresses = nowhere.host(200 * 256 + number);
        Endpoint::new(addresses, spec, &format!("nowhere-{number}"))
    });
    let endpoints = bed.own().map(Endpoint::from).chain(more);
    bed.east()?.publish(&service, endpoints)?;
    Ok(service)
}

/// How long it takes to send the first packet of a flow: the median, as the machine itself stops now
/// and then for longer than any scheduler.
fn sending(bed: &Bed, to: SocketAddr, packets: usize) -> Result<Duration> {
    let mut took = bed.east_1()?.netns().enter(|| -> Result<Vec<Duration>> {
        (0..packets)
            .map(|_| {
                let family = match to.ip() {
                    IpAddr::V4(_) => AddressFamily::Inet,
                    IpAddr::V6(_) => AddressFamily::Inet6,
                };
                let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
                let address = SockaddrStorage::from(to);
                let begin = Instant::now();
                sendto(socket.as_raw_fd(), b"\n", &address, MsgFlags::empty())?;
                Ok(begin.elapsed())
            })
            .collect()
    })??;
    took.sort_unstable();
    took.get(packets / 2).copied().context("nothing was sent")
}
