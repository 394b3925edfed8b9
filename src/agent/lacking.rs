//! Which service ports have endpoints, but none on this node, where their traffic policy asks for such.

use std::collections::BTreeMap;

use crate::model::{EndpointSet, Family, ServiceId};
use crate::plan::{Frontend, ServicePlan, Unserved};

/// Which policy it is that asks for endpoints of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// `internalTrafficPolicy`.
    Internal,
    /// `externalTrafficPolicy`.
    External,
}

impl Policy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Internal, Self::External];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }

    /// Whose frontend it is, of those that lead to this node's endpoints.
    fn of(frontend: Frontend) -> Self {
        match frontend {
            Frontend::Outside(..) | Frontend::OutsideNodePort(..) => Self::External,
            Frontend::Address(..) | Frontend::NodePort(..) | Frontend::Own(..) => Self::Internal,
        }
    }
}

/// The service ports that lack endpoints on this node, by Service.
#[derive(Debug, Default)]
pub struct Lacking(BTreeMap<ServiceId, Vec<(Policy, Family)>>);

impl Lacking {
    /// Takes the plan of a Service in place of its last one.
    pub fn planned(&mut self, service: &ServiceId, plan: &ServicePlan) {
        let local = plan.iter().filter(|(id, _)| id.set == EndpointSet::Local);
        let mut lacking = Vec::new();
        for (_, port) in local {
            let dropped = port
                .servers
                .iter()
                .filter(|server| server.reals.is_empty() && server.unserved == Unserved::Dropped);
            for family in dropped.map(|server| server.family) {
                let frontends = || port.frontends.iter().filter(|one| one.family() == family);
                let asks = |policy: &Policy| frontends().any(|one| Policy::of(*one) == *policy);
                let policies = Policy::ALL.into_iter().filter(asks);
                lacking.extend(policies.map(|policy| (policy, family)));
            }
        }
        if lacking.is_empty() {
            self.0.remove(service);
        } else {
            self.0.insert(service.clone(), lacking);
        }
    }

    /// How many they are.
    pub fn count(&self) -> Vec<(Policy, Family, usize)> {
        let mut counts = Vec::new();
        for policy in Policy::ALL {
            for family in Family::ALL {
                let ports = self.0.values().flatten();
                let count = ports.filter(|one| **one == (policy, family)).count();
                counts.push((policy, family, count));
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use TrafficPolicy::{Cluster, Local};

    use super::*;
    use crate::model::example::{endpoint, port, service, slice};
    use crate::model::{EndpointSlice, External, Service, TrafficPolicy};
    use crate::plan::{Here, plan};

    /// How many ports lack endpoints of node `a1`, internally and externally.
    fn lacking(service: &Service, nodes: &[&str]) -> (usize, usize) {
        let here = Here {
            node: "a1".into(),
            ..Here::default()
        };
        let endpoints = nodes.iter().zip(5..);
        let endpoints = endpoints.map(|(node, n)| endpoint(&format!("10.1.1.{n}"), node, "a"));
        let slice = slice("web-1", "web", endpoints.collect());
        let slices: [&EndpointSlice; 1] = [&slice];
        let mut lacking = Lacking::default();
        lacking.planned(&service.id, &plan(service, &slices, &here));
        let counts = lacking.count();
        let v6 = counts.iter().filter(|(_, family, _)| *family == Family::V6);
        assert!(v6.into_iter().all(|(.., count)| *count == 0));
        let of = |wanted| {
            let mut counts = counts.iter();
            let found =
                counts.find(|(policy, family, _)| (*policy, *family) == (wanted, Family::V4));
            found.map_or(0, |(.., count)| *count)
        };
        (of(Policy::Internal), of(Policy::External))
    }

    #[test]
    fn a_port_counts_if_its_policy_asks_for_endpoints_here_and_all_are_elsewhere() {
        let with = |internal, external| {
            let mut web = service("web", &["10.96.0.10"]);
            web.internal = internal;
            web.ports[0].node_port = Some(port(30080));
            web.external = Some(Box::new(External {
                policy: external,
                ..External::default()
            }));
            web
        };
        for (internal, external, expected) in [
            (Local, Cluster, (1, 0)),
            (Cluster, Local, (0, 1)),
            (Local, Local, (1, 1)),
            (Cluster, Cluster, (0, 0)),
        ] {
            let web = with(internal, external);
            assert_eq!(lacking(&web, &["a2"]), expected);
            assert_eq!(lacking(&web, &["a1", "a2"]), (0, 0));
            assert_eq!(lacking(&web, &[]), (0, 0), "nor is any elsewhere");
        }
    }

    #[test]
    fn a_service_that_goes_counts_no_more() {
        let mut web = service("web", &["10.96.0.10"]);
        web.internal = TrafficPolicy::Local;
        let slice = slice("web-1", "web", vec![endpoint("10.1.1.5", "a2", "a")]);
        let mut lacking = Lacking::default();
        lacking.planned(&web.id, &plan(&web, &[&slice], &Here::default()));
        assert!(lacking.count().iter().any(|(.., count)| *count == 1));
        lacking.planned(&web.id, &ServicePlan::new());
        assert!(lacking.count().iter().all(|(.., count)| *count == 0));
    }
}
