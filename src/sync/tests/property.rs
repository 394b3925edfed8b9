//! Whatever happens on the way, the kernel ends up as a fresh plan of the final objects says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::kernel::nft::Affinity;
use crate::model::{External, TrafficPolicy};
use crate::plan::Frontend;

/// One thing that happens to one of a few Services.
#[derive(Clone, Debug)]
enum Step {
    /// It has this many addresses, on a port that another may claim too, and these endpoints.
    Set {
        service: usize,
        port: u16,
        dual: bool,
        /// Its traffic policies are `Local`, and it has an address for clients from outside.
        local: bool,
        /// Its clients come back to their endpoints.
        sticky: bool,
        endpoints: u8,
    },
    /// It is gone.
    Delete { service: usize },
    /// From now on commands about this endpoint fail, or transactions, or nothing does.
    Fault(Fault),
    /// Time passes.
    Wait,
    /// The agent is killed and started again.
    Restart,
}

#[derive(Clone, Debug)]
enum Fault {
    Endpoint(u8),
    Transactions,
    Nothing,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 80..82_u16, any::<[bool; 3]>(), any::<u8>()).prop_map(
            |(service, port, [dual, local, sticky], endpoints)| {
                Step::Set { service, port, dual, local, sticky, endpoints }
            }
        ),
        2 => (0..4_usize).prop_map(|service| Step::Delete { service }),
        1 => (0..4_u8).prop_map(|endpoint| Step::Fault(Fault::Endpoint(endpoint))),
        1 => Just(Step::Fault(Fault::Transactions)),
        2 => Just(Step::Fault(Fault::Nothing)),
        1 => Just(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// Steps without faults, with many restarts and with services that have no endpoint. No policy
/// changes: a set that nobody is led to any more ends with its connections.
fn calm_step() -> impl Strategy<Value = Step> {
    let bits = prop_oneof![Just(0), any::<u8>()];
    prop_oneof![
        6 => (0..2_usize, 80..82_u16, any::<bool>(), any::<bool>(), bits).prop_map(
            |(service, port, dual, sticky, endpoints)| {
                Step::Set { service, port, dual, local: false, sticky, endpoints }
            }
        ),
        1 => (0..2_usize).prop_map(|service| Step::Delete { service }),
        1 => Just(Step::Wait),
        3 => Just(Step::Restart),
    ]
}

type Objects = BTreeMap<ServiceId, (Service, Vec<Endpoint>)>;

fn endpoints(bits: u8) -> Vec<Endpoint> {
    let node = |n| if n % 2 == 0 { "a1" } else { "b1" };
    (0..4)
        .filter(|n| bits & (1 << n) != 0)
        .map(|n| endpoint(&format!("10.1.0.{n}"), node(n), "a"))
        .chain(
            (4..8)
                .filter(|n| bits & (1 << n) != 0)
                .map(|n| endpoint(&format!("fd00:1::{n}"), node(n), "b")),
        )
        .collect()
}

/// Services 0 and 1 have addresses of their own; 2 and 3 share theirs.
fn object(service: usize, number: u16, dual: bool) -> Service {
    let host = service.min(2) + 10;
    let (v4, v6) = (format!("10.96.0.{host}"), format!("fd00:96::{host}"));
    let all = [v4.as_str(), v6.as_str()];
    let mut object = super::service(
        &format!("service-{service}"),
        &all[..if dual { 2 } else { 1 }],
    );
    object.ports[0].port = port(number + if service == 3 { 100 } else { 0 });
    object
}

/// The same under policies `Local`, with an address for clients from outside.
fn localized(object: Service, service: usize) -> Service {
    let balancer = format!("203.0.113.{}", service.min(2) + 10);
    Service {
        internal: TrafficPolicy::Local,
        external: Some(Box::new(External {
            policy: TrafficPolicy::Local,
            balancers: vec![ip(&balancer)],
            ..External::default()
        })),
        ..object
    }
}

/// What clients see of a kernel: where each frontend leads, and the addresses that are taken.
fn shape(kernel: &Kernel) -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let state = kernel.state();
    let mut routes = BTreeMap::new();
    let mut others: Vec<String> = state
        .addresses
        .iter()
        .map(|ip| format!("bound {ip}"))
        .collect();
    let range = MarkRange::default();
    for element in &state.elements {
        let Some(((protocol, frontend), mark)) = elements::route(element) else {
            others.push(nameless(element));
            continue;
        };
        let key = ServiceKey::Mark {
            family: frontend.family(),
            mark: mark.value(),
        };
        let reals = state.services.get(&key).map(|(_, reals)| reals.as_slice());
        let reals = reals.unwrap_or_default().iter();
        let mut reals: BTreeSet<String> = reals
            .filter(|real| real.weight > 0)
            .map(|real| format!("{} {}", real.ip, real.weight))
            .collect();
        let server = range.server(mark).expect("a mark of ours");
        for (verdict, name) in [
            (range.refusing(server), "refused"),
            (range.dropping(server), "dropped"),
        ] {
            if mark == verdict {
                reals.insert(name.to_owned());
            }
        }
        routes.insert(format!("{protocol} {frontend}"), reals);
    }
    others.sort_unstable();
    (routes, others)
}

/// What an element says without the marks in it, which another history chooses otherwise.
fn nameless(element: &Element) -> String {
    match element {
        Element::Affinity(Affinity::Lasting { seconds, .. }) => format!("affinity for {seconds} s"),
        Element::Affinity(Affinity::Pin { ip, .. }) => format!("pin of {ip}"),
        Element::Affinity(Affinity::Alive { .. }) => "living pin".to_owned(),
        other => other.to_string(),
    }
}

/// The real servers behind each frontend, those included that only finish their connections.
fn behind(kernel: &Kernel) -> BTreeMap<Frontend, BTreeSet<IpAddr>> {
    let state = kernel.state();
    let range = MarkRange::default();
    let reals = |element: &Element| {
        let Element::Service { ip, port, mark, .. } = *element else {
            return None;
        };
        let key = ServiceKey::Mark {
            family: Family::of(ip),
            mark: range.server(mark)?.value(),
        };
        let (_, reals) = state.services.get(&key)?;
        let reals = reals.iter().map(|real| real.ip).collect();
        Some((Frontend::Address(ip, port), reals))
    };
    state.elements.iter().filter_map(reals).collect()
}

/// What [`behind`] has to be when every endpoint has connections that never end: all that a service
/// ever had in a family, for as long as the agent runs.
fn ever(steps: &[Step]) -> BTreeMap<Frontend, BTreeSet<IpAddr>> {
    let mut had: BTreeMap<(usize, Family), BTreeSet<IpAddr>> = BTreeMap::new();
    let mut objects = BTreeMap::new();
    for step in steps {
        match step {
            Step::Set {
                service,
                port,
                dual,
                endpoints: bits,
                ..
            } => {
                let object = object(*service, *port, *dual);
                if !dual {
                    had.remove(&(*service, Family::V6));
                }
                for ip in &object.cluster_ips {
                    let family = Family::of(*ip);
                    let ips = endpoints(*bits).into_iter().map(|one| one.ip);
                    had.entry((*service, family))
                        .or_default()
                        .extend(ips.filter(|ip| Family::of(*ip) == family));
                }
                objects.insert(*service, object);
            }
            Step::Delete { service } => {
                objects.remove(service);
            }
            // Only a restart cuts the connections of a service that is deleted.
            Step::Restart => had.retain(|(owner, _), _| objects.contains_key(owner)),
            Step::Fault(_) | Step::Wait => {}
        }
    }
    let frontends = |(number, object): (&usize, &Service)| {
        let (number, port) = (*number, object.ports[0].port);
        let ips = object.cluster_ips.clone();
        ips.into_iter()
            .map(move |ip| (number, Frontend::Address(ip, port)))
    };
    objects
        .iter()
        .flat_map(frontends)
        .map(|(number, frontend)| (frontend, had[&(number, frontend.family())].clone()))
        .collect()
}

fn run(steps: &[Step], connections: u32) -> (Kernel, Objects) {
    let mut bed = Bed::new();
    for one in endpoints(u8::MAX) {
        bed.kernel.state().connections.insert(one.ip, connections);
    }
    let mut objects = Objects::new();
    let apply = |bed: &mut Bed, objects: &Objects, id: &ServiceId| match objects.get(id) {
        Some((service, endpoints)) => bed.set(service, endpoints),
        None => bed
            .syncer
            .apply(vec![(id.clone(), ServicePlan::new())], bed.now),
    };
    for step in steps {
        match step {
            Step::Set {
                service,
                port,
                dual,
                local,
                sticky,
                endpoints: bits,
            } => {
                let mut object = object(*service, *port, *dual);
                if *local {
                    object = localized(object, *service);
                }
                object.affinity_seconds = sticky.then_some(60);
                let id = object.id.clone();
                objects.insert(id.clone(), (object, endpoints(*bits)));
                apply(&mut bed, &objects, &id);
            }
            Step::Delete { service } => {
                let id = object(*service, 80, false).id;
                objects.remove(&id);
                apply(&mut bed, &objects, &id);
            }
            Step::Fault(fault) => {
                let mut state = bed.kernel.state();
                state.refuse.clear();
                state.refuse_transactions = matches!(fault, Fault::Transactions);
                if let Fault::Endpoint(n) = fault {
                    state.refuse.push(format!("10.1.0.{n}"));
                }
            }
            Step::Wait => {
                for id in bed.wait() {
                    apply(&mut bed, &objects, &id);
                }
            }
            Step::Restart => {
                bed = Bed::on(bed.kernel.clone());
                for id in objects.keys() {
                    apply(&mut bed, &objects, id);
                }
                bed.syncer.sweep(bed.now);
            }
        }
    }
    bed.kernel.state().refuse.clear();
    bed.kernel.state().refuse_transactions = false;
    // Two rounds: what failed, and what then became free for another to claim.
    for _ in 0..3 {
        for id in bed.wait() {
            apply(&mut bed, &objects, &id);
        }
    }
    (bed.kernel, objects)
}

proptest! {
    #[test]
    fn any_history_ends_where_a_fresh_start_does(steps in prop::collection::vec(step(), 1..40)) {
        let (kernel, objects) = run(&steps, 0);
        let mut fresh = Bed::new();
        for (service, endpoints) in objects.values() {
            fresh.set(service, endpoints);
        }
        prop_assert_eq!(shape(&kernel), shape(&fresh.kernel));
        let leftover = kernel.state().services.len();
        prop_assert_eq!(leftover, fresh.kernel.state().services.len(), "virtual servers");
    }

    // So few steps that waiting never comes to the drain limit.
    #[test]
    fn no_history_cuts_connections(
        steps in prop::collection::vec(calm_step(), 1..7),
    ) {
        let (kernel, _) = run(&steps, 1);
        prop_assert_eq!(behind(&kernel), ever(&steps));
    }
}
