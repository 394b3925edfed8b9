//! Which UDP flows a change leaves behind. The kernel goes on treating a flow as it treated its
//! first packet: when the endpoint that answers it has gone, or when there was none, it has to be
//! made to forget the flow.
//!
//! TCP needs none of this: a client whose connection is dead makes a new one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::known::{KnownPort, KnownServer};
use crate::kernel::conntrack::{Flow, Stale, Target};
use crate::model::{Family, Protocol, ServicePortId, SetId};
use crate::plan::Frontend;

/// What has changed since flows were last looked at. A change of TCP alone leaves nothing here, so
/// that it never costs a look at the table.
#[derive(Debug, Default)]
pub struct Flows {
    /// Service ports with an endpoint that has gone, with their first one, or with a new frontend.
    ports: BTreeSet<ServicePortId>,
    /// What used to lead to some service port.
    released: BTreeSet<Target>,
}

/// What was forgotten, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Flows over IPv4.
    pub v4: u64,
    /// Flows over IPv6.
    pub v6: u64,
    /// How often flows were looked at.
    pub looks: u64,
    /// How long that took altogether.
    pub time: Duration,
}

impl Forgotten {
    /// One more look, and what it found.
    pub(super) fn add(&mut self, flows: &[Flow], time: Duration) {
        for flow in flows {
            match flow.family() {
                Family::V4 => self.v4 += 1,
                Family::V6 => self.v6 += 1,
            }
        }
        self.looks += 1;
        self.time += time;
    }
}

impl Flows {
    /// A set of endpoints goes from what is known to these frontends and virtual servers.
    pub fn changed(
        &mut self,
        id: &SetId,
        known: &KnownPort,
        frontends: &[Frontend],
        servers: &[KnownServer],
    ) {
        if id.port.protocol != Protocol::Udp {
            return;
        }
        let without = |some: &[Frontend], others: &[Frontend]| -> BTreeSet<Target> {
            let some = some.iter().filter(|one| !others.contains(one));
            some.filter_map(|one| target(*one)).collect()
        };
        self.released.extend(without(&known.frontends, frontends));

        let before: HashSet<SocketAddr> = known.servers.iter().flat_map(endpoints).collect();
        let after: HashSet<SocketAddr> = servers.iter().flat_map(endpoints).collect();
        let first = Family::ALL.into_iter().any(|family| {
            let has =
                |set: &HashSet<SocketAddr>| set.iter().any(|at| Family::of(at.ip()) == family);
            has(&after) && !has(&before)
        });
        if first
            || before.iter().any(|endpoint| !after.contains(endpoint))
            || !without(frontends, &known.frontends).is_empty()
        {
            self.ports.insert(id.port.clone());
        }
    }

    /// The flows to be forgotten, given what is known of all service ports now.
    ///
    /// Where a service port has no endpoint of a family its flows stay, as with kube-proxy: they
    /// lead nowhere in any case, and its first endpoint will end them.
    pub fn stale(&self, known: &BTreeMap<SetId, KnownPort>) -> Stale {
        let mut stale = Stale::default();
        let nobody = Arc::<HashSet<SocketAddr>>::default();
        for target in &self.released {
            stale.insert(*target, nobody.clone());
        }
        for port in &self.ports {
            // Whichever set a client was led to: any endpoint of the service port may answer it.
            let sets = known.range(SetId::all(port.clone())..);
            let sets = sets.take_while(|(id, _)| id.port == *port);
            let sets: Vec<&KnownPort> = sets.map(|(_, known)| known).collect();
            let servers = || sets.iter().flat_map(|known| &known.servers);
            let answering: Arc<HashSet<_>> = Arc::new(servers().flat_map(endpoints).collect());
            let served = |frontend: &Frontend| {
                let family = frontend.family();
                servers().any(|server| server.family() == family && !server.reals.is_empty())
            };
            let frontends = sets.iter().flat_map(|known| &known.frontends);
            for target in frontends
                .filter(|it| served(it))
                .filter_map(|it| target(*it))
            {
                stale.insert(target, answering.clone());
            }
        }
        stale
    }
}

fn endpoints(server: &KnownServer) -> impl Iterator<Item = SocketAddr> {
    let reals = server.reals.iter();
    reals.map(|real| SocketAddr::new(real.ip, real.port.get()))
}

/// Where the flows of a frontend go; none if it shares them with another, which stands for both.
fn target(frontend: Frontend) -> Option<Target> {
    match frontend {
        Frontend::Address(ip, port) => Some(Target::Address(ip, port)),
        Frontend::NodePort(family, port) => Some(Target::Port(family, port)),
        Frontend::Own(..) | Frontend::Outside(..) | Frontend::OutsideNodePort(..) => None,
    }
}
