//! From the finished plan of 5,000 services × 10 endpoints to the last acknowledgement, next to a
//! raw writer of the same messages: `cargo lab bench cold_sync`.
//!
//! The raw writer sends messages that were encoded beforehand: IPVS requests, then addresses, then
//! all map elements in one transaction. It compares nothing, keeps nothing and orders nothing. The
//! two take turns, each time in a fresh network namespace, and the ratio is that of their medians.

mod cluster;
mod raw;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use lab::harness::bench::{self, Figures};
use lab::harness::namespace;
use raw::Raw;
use spillway::kernel::ipvs::{
    Client, Command, Destination, Name, Service as IpvsService, ServiceKey,
};
use spillway::kernel::link::Link;
use spillway::kernel::mark::MarkRange;
use spillway::kernel::nft::{Base, Element, Table, Transaction};
use spillway::model::{Family, Protocol, ServiceId};
use spillway::plan::{Frontend, ServicePlan, plan};
use spillway::sync::{Linux, Syncer};

const SERVICES: u32 = 5_000;
const ENDPOINTS: u32 = 10;
/// As many as the agent programs at a time.
const ROUND: usize = 256;
const TURNS: usize = 3;

type Plans = Vec<(ServiceId, ServicePlan)>;

fn main() -> ExitCode {
    bench::main("cold_sync", run)
}

fn run(figures: &mut Figures) -> Result<()> {
    // The first of everything loads the kernel's modules.
    in_fresh_namespace(|| sync(plans(1)))?;
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(in_fresh_namespace(|| sync(plans(SERVICES)))?);
        raws.push(in_fresh_namespace(|| raw(&plans(SERVICES)))?);
    }
    let (ours, raw) = (median(ours), median(raws));
    figures.record("seconds", ours.as_secs_f64(), "s")?;
    figures.record("raw_seconds", raw.as_secs_f64(), "s")?;
    figures.record_within(
        "ratio_to_raw",
        ours.as_secs_f64() / raw.as_secs_f64(),
        "times",
        0.0..=1.5,
    )
}

fn in_fresh_namespace(measure: impl FnOnce() -> Result<Duration> + Send) -> Result<Duration> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            namespace::enter_fresh()?;
            measure()
        });
        thread.join().map_err(|_| anyhow!("panicked"))?
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn plans(services: u32) -> Plans {
    let here = cluster::here();
    (0..services)
        .map(|number| {
            let (service, slice) = (cluster::service(number), cluster::slice(number, ENDPOINTS));
            let plan = plan(&service, &[&slice], &here);
            (service.id, plan)
        })
        .collect()
}

fn base() -> Base {
    Base::new(MarkRange::default())
}

/// Spillway: what is measured.
fn sync(plans: Plans) -> Result<Duration> {
    let platform = Linux::open(base()).map_err(|trouble| anyhow!(trouble))?;
    let mut syncer = Syncer::new(platform, MarkRange::default(), Duration::from_hours(1))
        .map_err(|trouble| anyhow!(trouble))?;
    let services = plans.len();
    let begin = Instant::now();
    let mut plans = plans.into_iter().peekable();
    while plans.peek().is_some() {
        syncer.apply(plans.by_ref().take(ROUND).collect(), Instant::now());
    }
    syncer.sweep(Instant::now());
    let elapsed = begin.elapsed();
    ensure!(syncer.failing() == 0, "{:?}", syncer.sent());
    ensure!(
        Client::connect()?.services()?.len() == services,
        "not all are there"
    );
    Ok(elapsed)
}

/// The raw writer.
fn raw(plans: &Plans) -> Result<Duration> {
    // It makes the link.
    drop(Link::open()?);
    let mut table = Table::open(&base())?;
    let (commands, addresses, add) = messages(plans);
    let mut ipvs = Raw::commands(Client::connect()?.family(), &commands)?;
    let mut link = Raw::addresses(&addresses)?;
    let elements = table.prepare(&Transaction {
        remove: Vec::new(),
        add,
    });
    let begin = Instant::now();
    ipvs.send()?;
    link.send()?;
    table.send(elements)?;
    let elapsed = begin.elapsed();
    ensure!(
        Client::connect()?.services()?.len() == plans.len(),
        "not all are there"
    );
    Ok(elapsed)
}

/// What a sync of these plans sends into an empty kernel.
fn messages(plans: &Plans) -> (Vec<Command>, Vec<std::net::IpAddr>, Vec<Element>) {
    let (mut commands, mut addresses, mut elements) = (Vec::new(), Vec::new(), Vec::new());
    let ports = plans.iter().flat_map(|(_, plan)| plan.values());
    for (mark, port) in MarkRange::default().servers().zip(ports) {
        let key = ServiceKey::Mark {
            family: Family::V4,
            mark: mark.value(),
        };
        commands.push(Command::NewService(IpvsService::new(key, Name::WRR)));
        commands.extend(port.servers[0].reals.iter().map(|real| {
            let weight = real.weight;
            Command::NewDestination(key, Destination::new(real.ip, real.port.get(), weight))
        }));
        for frontend in &port.frontends {
            if let Frontend::Address(ip, number) = *frontend {
                addresses.push(ip);
                let protocol = Protocol::Tcp;
                elements.push(Element::Service {
                    ip,
                    protocol,
                    port: number,
                    mark,
                });
                elements.push(Element::Vip(ip));
            }
        }
        elements.extend(port.local_addresses().into_iter().map(Element::Hairpin));
    }
    (commands, addresses, elements)
}
