//! Health-check node ports: where a load balancer asks whether this node has endpoints of its own
//! for a Service whose clients shall keep their addresses (`externalTrafficPolicy: Local`).

mod addresses;
mod ports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use tokio::sync::Notify;

use super::http::{Answer, JSON, answer};
use super::{Health, Now};
use crate::model::{EndpointSlice, Family, Service, ServiceId};

/// What load balancers may weigh nodes by.
const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// What there is to say of a Service at its health-check node port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The port.
    port: NonZeroU16,
    /// For each family of the Service, how many ready endpoints this node has.
    local: BTreeMap<Family, usize>,
}

impl Check {
    /// The check of a Service on this node, which has these families; none for one without a
    /// health-check node port.
    ///
    /// What counts are addresses of endpoints that are ready. One that terminates is not, though it
    /// may serve yet: that is how the load balancer learns to go elsewhere in time.
    pub fn of(
        service: &Service,
        slices: &[&EndpointSlice],
        node: &str,
        families: &[Family],
    ) -> Option<Self> {
        let port = service.external.as_ref()?.health_port?;
        let ready = |family: Family| {
            let mine = slices
                .iter()
                .filter(|it| it.family == family && it.cluster.is_none());
            let endpoints = mine.flat_map(|slice| &slice.endpoints);
            let here =
                endpoints.filter(|it| it.conditions.ready && it.node.as_deref() == Some(node));
            here.map(|it| it.ip).collect::<BTreeSet<IpAddr>>().len()
        };
        let of_service = service.cluster_ips.iter().map(|ip| Family::of(*ip));
        let both = of_service.filter(|family| families.contains(family));
        Some(Self {
            port,
            local: both.map(|family| (family, ready(family))).collect(),
        })
    }
}

/// A place to listen at: the port of a Service for a family, and one of this node's addresses or the
/// unspecified one, which stands for all.
type Place = (ServiceId, Family, NonZeroU16, IpAddr);

/// All checks of this node, as the core last told them.
#[derive(Debug)]
pub struct Checks {
    health: Arc<Health>,
    of: Mutex<BTreeMap<ServiceId, Check>>,
    /// Those of this node's addresses that node ports are served at.
    networks: Mutex<Vec<IpNet>>,
    changed: Notify,
}

impl Checks {
    /// There are none yet.
    pub fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            of: Mutex::default(),
            networks: Mutex::new(Family::ALL.map(Family::everything).into()),
            changed: Notify::new(),
        }
    }

    /// The check of a Service is this from now on.
    pub fn set(&self, service: &ServiceId, check: Option<Check>) {
        let place = |check: &Check| {
            let families: Vec<Family> = check.local.keys().copied().collect();
            (check.port, families)
        };
        let moved = self.change(|checks| {
            let before = checks.get(service).map(place);
            let after = check.as_ref().map(place);
            match check {
                Some(check) => checks.insert(service.clone(), check),
                None => checks.remove(service),
            };
            before != after
        });
        if moved {
            self.changed.notify_one();
        }
    }

    /// Health-check node ports are open at addresses in these networks from now on.
    pub fn at(&self, networks: &[IpNet]) {
        let mut before = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != networks {
            *before = networks.to_vec();
            self.changed.notify_one();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<ServiceId, Check>) -> T) -> T {
        // A panic while it was locked cannot have left it half-changed.
        change(&mut self.of.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of this node's addresses that health-check node ports are open at.
    fn networks(&self) -> Vec<IpNet> {
        let networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks.clone()
    }

    /// Where to listen on a node with these addresses.
    fn places(&self, networks: &[IpNet], own: &[IpAddr]) -> BTreeSet<Place> {
        let at = Family::ALL.map(|family| (family, addresses::listening(family, networks, own)));
        self.change(|checks| {
            let mut places = BTreeSet::new();
            for (service, check) in checks.iter() {
                for (family, ips) in at
                    .iter()
                    .filter(|(family, _)| check.local.contains_key(family))
                {
                    let place = |ip: &IpAddr| (service.clone(), *family, check.port, *ip);
                    places.extend(ips.iter().map(place));
                }
            }
            places
        })
    }

    /// The answer for a Service, whatever the path, in kube-proxy's very words.
    fn answer(&self, service: &ServiceId, family: Family, now: Now) -> Answer {
        let local = self.change(|checks| checks.get(service)?.local.get(&family).copied());
        let local = local.unwrap_or(0);
        let healthy = self.health.is_serving(now);
        let status = if local > 0 && healthy {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let ServiceId {
            namespace, name, ..
        } = service;
        // Names in Kubernetes need no escapes.
        let body = format!(
            "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{namespace}\",\n\t\t\"name\": \"{name}\"\n\t}},\n\
             \t\"localEndpoints\": {local},\n\t\"serviceProxyHealthy\": {healthy}\n}}"
        );
        let mut answer = answer(status, JSON, body);
        answer
            .headers_mut()
            .insert(WEIGHT, HeaderValue::from(local));
        answer
    }
}
