//! One endpoint comes to one of 10,000 services: the IPVS messages that it takes, and the time from
//! the watch event to the kernel's acknowledgement: `cargo lab bench one_change`.

mod cluster;

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lab::harness::bench::{self, Figures};
use lab::harness::namespace;
use spillway::agent::{Core, Feed, Observer, Pacer, Report};
use spillway::capacity::Pace;
use spillway::kernel::mark::MarkRange;
use spillway::kernel::nft::Base;
use spillway::model::Node;
use spillway::sync::{Linux, Syncer};
use spillway::watch::{Change, Event};

const SERVICES: u32 = 10_000;
/// The new endpoint's place in its slice is on another node, so that nothing but IPVS changes.
const ENDPOINTS: u32 = 1;
const CHANGES: u32 = 21;
const PATIENCE: Duration = Duration::from_mins(10);

fn main() -> ExitCode {
    bench::main("one_change", run)
}

fn run(figures: &mut Figures) -> Result<()> {
    let (feed, inbox) = Feed::new();
    let (sender, reports) = mpsc::channel();
    let core = thread::spawn(move || -> Result<()> {
        namespace::enter_fresh()?;
        let base = Base::new(MarkRange::default());
        let platform = Linux::open(base).map_err(|trouble| anyhow!(trouble))?;
        let syncer = Syncer::new(platform, MarkRange::default(), Duration::from_hours(1))
            .map_err(|trouble| anyhow!(trouble))?;
        Core::new(
            syncer,
            Pacer::new(Pace::default(), "node-0"),
            cluster::here(),
            Ears(sender),
        )
        .run(&inbox);
        Ok(())
    });

    for number in 0..SERVICES {
        feed.send(Event::Service(Change::Apply(cluster::service(number))));
        feed.send(Event::Slice(Change::Apply(cluster::slice(
            number, ENDPOINTS,
        ))));
    }
    feed.send(Event::Service(Change::Listed));
    feed.send(Event::Import(Change::Listed));
    feed.send(Event::Slice(Change::Listed));
    feed.send(Event::Node(Change::Listed));
    feed.send(Event::Neighbour(Change::Listed));
    feed.send(Event::ClusterId(Change::Listed));
    let mut before = reports.recv_timeout(PATIENCE).context("the first sync")?;

    let (mut messages, mut times) = (Vec::new(), Vec::new());
    for change in 0..CHANGES {
        let number = change * (SERVICES / CHANGES);
        let mut slice = cluster::slice(number, ENDPOINTS);
        slice
            .endpoints
            .push(cluster::endpoint(SERVICES * 10 + number * 10 + 1));
        let begin = Instant::now();
        feed.send(Event::Slice(Change::Apply(slice)));
        let report = reports.recv_timeout(PATIENCE).context("a change")?;
        times.push(begin.elapsed());
        ensure!(
            report.sent.transactions == before.sent.transactions,
            "the table changed as well"
        );
        messages.push(report.sent.commands - before.sent.commands);
        before = report;
    }
    feed.stop();
    core.join().map_err(|_| anyhow!("the core panicked"))??;

    times.sort_unstable();
    ensure!(!messages.contains(&0), "a change came to nothing");
    let most = messages.iter().max().copied().unwrap_or_default();
    let most = f64::from(u32::try_from(most)?);
    figures.record_within("ipvs_messages", most, "messages", 1.0..=1.0)?;
    figures.record("seconds", times[times.len() / 2].as_secs_f64(), "s")
}

/// Passes on what the core reports.
struct Ears(mpsc::Sender<Report>);

impl Observer for Ears {
    fn arrived(&self, _: &Event) {}

    fn queued(&self) {}

    fn worked(&self, report: &Report) {
        if report.synced && report.waited.is_some() {
            // At the end of the benchmark nobody listens any more.
            let _ = self.0.send(*report);
        }
    }

    fn node(&self, _: &Node) {}
}
