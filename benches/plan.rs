//! Planning, without a kernel: `cargo bench --bench plan`.

mod cluster;

use divan::{Bencher, black_box};
use spillway::plan::plan;
use spillway::snapshot::Snapshot;
use spillway::watch::{Change, Event};

fn main() {
    divan::main();
}

/// One Service with that many endpoints.
#[divan::bench(args = [10, 100, 1000])]
fn one_service(bencher: Bencher, endpoints: u32) {
    let (service, slice, here) = (
        cluster::service(0),
        cluster::slice(0, endpoints),
        cluster::here(),
    );
    bencher.bench(|| plan(black_box(&service), &[&slice], &here));
}

/// One endpoint comes and goes in a cluster of that many Services: from event to plan.
#[divan::bench(args = [100, 1_000, 10_000])]
fn one_change(bencher: Bencher, services: u32) {
    let mut snapshot = Snapshot::default();
    for number in 0..services {
        snapshot.apply(Event::Service(Change::Apply(cluster::service(number))));
        snapshot.apply(Event::Slice(Change::Apply(cluster::slice(number, 10))));
    }
    snapshot.take_touched();
    let here = cluster::here();
    let mut endpoints = 10;
    bencher.bench_local(|| {
        endpoints = 21 - endpoints;
        snapshot.apply(Event::Slice(Change::Apply(cluster::slice(
            services / 2,
            endpoints,
        ))));
        let touched = snapshot.take_touched();
        let id = touched.first().expect("the changed Service");
        let service = snapshot.service(id).expect("a Service");
        black_box(plan(service, &snapshot.slices(id), &here))
    });
}
