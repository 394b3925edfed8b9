//! The core's end of the exchange of reports: gives out this node's demand, and turns the others'
//! into budgets. Never waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::pace::Pacer;
use crate::capacity::{Key, Pod, Report};
use crate::model::{Capacity, Endpoint, EndpointSet, EndpointSlice, ServiceId};
use crate::plan::{Here, RealServer, ServicePlan, abroad};
use crate::reports::{Asked, Local, News, Peers};
use crate::snapshot::Snapshot;

/// How often demand is given out and budgets are computed anew.
const PERIOD: Duration = Duration::from_secs(1);

/// The core's end of the exchange.
#[derive(Debug)]
pub struct Reporter {
    node: Arc<str>,
    /// The agents' own Service.
    service: ServiceId,
    to: watch::Sender<Local>,
    from: Receiver<Vec<News>>,
    peers: Arc<Peers>,
    /// The pods of this cluster that have a capacity, by virtual server.
    pods: BTreeMap<Key, Vec<Pod>>,
    heard: BTreeMap<Key, News>,
    due: Option<Instant>,
}

impl Reporter {
    /// Of the agent on this node, whose fellows are the endpoints of `service`.
    pub fn new(
        node: Arc<str>,
        service: ServiceId,
        to: watch::Sender<Local>,
        from: Receiver<Vec<News>>,
    ) -> Self {
        Self {
            node,
            service,
            to,
            from,
            peers: Arc::default(),
            pods: BTreeMap::new(),
            heard: BTreeMap::new(),
            due: None,
        }
    }

    /// Counts the agents again, if their Service is among those that changed. Before anything is
    /// arranged: the number decides what this node may use of a pod. The number, if it was counted.
    pub fn count(
        &mut self,
        touched: &BTreeSet<ServiceId>,
        snapshot: &Snapshot,
        pacer: &mut Pacer,
    ) -> Option<u32> {
        if !touched.contains(&self.service) {
            return None;
        }
        let peers = Peers::of(&snapshot.slices(&self.service), &self.node);
        if let Some(agents) = NonZeroU32::new(peers.agents()) {
            pacer.controller_mut().peers(agents);
        }
        self.peers = Arc::new(peers);
        let peers = self.peers.clone();
        self.to.send_modify(|local| local.peers = peers);
        Some(self.peers.agents())
    }

    /// Remembers the pods of a Service that have a capacity.
    pub fn planned(
        &mut self,
        id: &ServiceId,
        plan: &ServicePlan,
        slices: &[&EndpointSlice],
        here: &Here,
    ) {
        let before: Vec<Key> = Key::of_service(&self.pods, id).cloned().collect();
        for key in before {
            self.pods.remove(&key);
        }
        // Every endpoint is in the set of all; others see the same.
        let all = plan.iter().filter(|(id, _)| id.set == EndpointSet::All);
        let mut limited = all
            .flat_map(|(id, ports)| ports.servers.iter().map(move |server| (id, server)))
            .filter(|(_, server)| server.has_capacity())
            .peekable();
        if limited.peek().is_none() {
            return;
        }
        let near = slices.iter().filter(|slice| abroad(slice, here).is_none());
        let endpoints: HashMap<IpAddr, &Endpoint> = near
            .flat_map(|slice| &slice.endpoints)
            .map(|endpoint| (endpoint.ip, endpoint))
            .collect();
        for (id, server) in limited {
            let key = Key {
                id: id.clone(),
                family: server.family,
            };
            let pods = server.reals.iter();
            let pods = pods.filter_map(|real| pod(real, endpoints.get(&real.ip).copied()));
            self.pods.insert(key, pods.collect());
        }
    }

    /// Once a second gives out what this node wants, and computes its budgets by that and what was
    /// heard of the others; of what has just been heard at once.
    pub fn tick(&mut self, pacer: &mut Pacer, zone: Option<&Arc<str>>, now: Instant) {
        let mut fresh = Vec::new();
        for news in self.from.try_iter().flatten() {
            fresh.push(news.key.clone());
            self.heard.insert(news.key.clone(), news);
        }
        if self.due.is_some_and(|due| now < due) {
            for key in fresh {
                self.share(&key, pacer, zone, now);
            }
            return;
        }
        self.due = Some(now + PERIOD);
        let keys: Vec<Key> = self.pods.keys().cloned().collect();
        self.heard.retain(|key, _| self.pods.contains_key(key));
        for key in &keys {
            self.share(key, pacer, zone, now);
        }
        let asked: Vec<Asked> = keys
            .into_iter()
            .map(|key| Asked {
                demand: wants(pacer, &key),
                capacity: self.capacity_here(&key),
                key,
            })
            .collect();
        self.to.send_if_modified(|local| {
            // Nobody is woken for nothing.
            let idle = asked.is_empty() && local.asked.is_empty();
            local.zone = zone.cloned();
            local.asked = asked;
            !idle
        });
    }

    /// Budgets count from when the summary came: if none comes any more, they end.
    fn share(&self, key: &Key, pacer: &mut Pacer, zone: Option<&Arc<str>>, now: Instant) {
        let (Some(news), Some(pods)) = (self.heard.get(key), self.pods.get(key)) else {
            return;
        };
        let own = Report {
            node: self.node.clone(),
            zone: zone.cloned(),
            demand: wants(pacer, key),
        };
        let budgets = news.summary.budgets(&own, pods);
        let controller = pacer.controller_mut();
        controller.share(key, &budgets, news.at, now);
    }

    fn capacity_here(&self, key: &Key) -> u32 {
        let pods = self.pods.get(key).into_iter().flatten();
        let here = pods.filter(|pod| pod.node.as_ref() == Some(&self.node));
        here.fold(0, |sum, pod| sum.saturating_add(pod.capacity.get()))
    }
}

fn wants(pacer: &Pacer, key: &Key) -> f64 {
    let demand = pacer.controller().demand(key);
    demand.map_or(0.0, |demand| demand.connections)
}

/// A pod of this cluster with a capacity that all nodes know. What is learned is a node's own.
fn pod(real: &RealServer, endpoint: Option<&Endpoint>) -> Option<Pod> {
    let Capacity::Connections(capacity) = real.capacity else {
        return None;
    };
    if real.cluster.is_some() {
        return None;
    }
    Some(Pod {
        ip: real.ip,
        port: real.port,
        node: endpoint.and_then(|endpoint| endpoint.node.clone()),
        zone: endpoint.and_then(|endpoint| endpoint.zone.clone()),
        capacity,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::model::example::{endpoint, service, slice};
    use crate::model::{Mode, Said};
    use crate::plan::plan;

    #[test]
    fn pods_of_this_cluster_are_known_by_their_nodes_whoever_wrote_the_slice() {
        let here = Here {
            node: "a1".into(),
            cluster: "east".into(),
            ..Here::default()
        };
        let mut web = service("web", &["10.96.0.10"]);
        web.tuning.routing = Said::Valid(Mode::Spill);
        web.tuning.capacity = Said::Valid(Capacity::Connections(NonZeroU32::MIN));
        let mut slices = Vec::new();
        for (ip, cluster) in [
            ("10.1.1.5", None),
            ("10.1.2.5", Some("east")),
            ("10.2.1.5", Some("west")),
        ] {
            let name = format!("web-{}", slices.len());
            let mut slice = slice(&name, "web", vec![endpoint(ip, "a2", "a")]);
            slice.cluster = cluster.map(Into::into);
            slices.push(slice);
        }
        let slices: Vec<&EndpointSlice> = slices.iter().collect();
        let (to, _) = watch::channel(Local::default());
        let (_, from) = mpsc::channel();
        let mut reporter = Reporter::new("a1".into(), web.id.clone(), to, from);
        reporter.planned(&web.id, &plan(&web, &slices, &here), &slices, &here);
        let pods = reporter.pods.values().flatten();
        let mut pods: Vec<_> = pods
            .map(|pod| (pod.ip.to_string(), pod.node.clone()))
            .collect();
        pods.sort();
        let on_a2 = Some("a2".into());
        assert_eq!(
            pods,
            [
                ("10.1.1.5".into(), on_a2.clone()),
                ("10.1.2.5".into(), on_a2)
            ]
        );
    }
}
