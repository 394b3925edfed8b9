//! How clients from outside of the cluster find a Service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::address::special;
use super::{MAP, Report};
use crate::model::{External, TrafficPolicy};
use crate::watch::lenient::Field;
use crate::watch::objects::{self, IpMode};

/// What is to be said of an unknown policy.
pub const POLICY: &str = "use Cluster or Local; Cluster is used meanwhile";

/// What a Service says of it.
pub struct Stated {
    /// `spec.type`
    pub kind: Option<String>,
    /// `spec.externalTrafficPolicy`
    pub policy: Field<TrafficPolicy>,
    /// `spec.externalIPs`
    pub ips: Field<Vec<Field<IpAddr>>>,
    /// `spec.loadBalancerSourceRanges`
    pub sources: Field<Vec<Field<IpNet>>>,
    /// `spec.healthCheckNodePort`
    pub health_port: Field<i64>,
    /// `status`
    pub status: Field<objects::ServiceStatus>,
}

/// Checks it; `None` where there is nothing beyond node ports for all.
pub fn external(stated: Stated, report: &mut Report<'_>) -> Option<External> {
    let ips = {
        const REMEDY: &str = "give an address that is routed to the nodes";
        let found = report.list("spec.externalIPs", REMEDY, stated.ips);
        usable("spec.externalIPs", found, REMEDY, report)
    };
    let policy = report.value("spec.externalTrafficPolicy", POLICY, stated.policy);
    // As for kube-proxy, the policy of a Service that has no way in from outside means nothing.
    let has_way_in = matches!(stated.kind.as_deref(), Some("LoadBalancer" | "NodePort"));
    let policy = policy.filter(|_| has_way_in || !ips.is_empty());
    let policy = policy.unwrap_or_default();
    let asked = stated.kind.as_deref() == Some("LoadBalancer") && policy == TrafficPolicy::Local;
    let health_port = match stated.health_port {
        // It stands for none.
        Field::Valid(0) => None,
        _ if !asked => None,
        field => report.port("spec.healthCheckNodePort", field),
    };
    let external = External {
        policy,
        ips,
        balancers: balancers(stated.status, report),
        sources: sources(stated.sources, report),
        health_port,
    };
    (external != External::default()).then_some(external)
}

/// The addresses of the load balancer that packets carry when they come to a node.
fn balancers(status: Field<objects::ServiceStatus>, report: &mut Report<'_>) -> Vec<IpAddr> {
    const PATH: &str = "status.loadBalancer.ingress";
    const REMEDY: &str = "mend the load balancer's controller, which writes it";
    let status = report.value("status", MAP, status).unwrap_or_default();
    let balancer = report.value("status.loadBalancer", MAP, status.load_balancer);
    let ingress = report.list(PATH, MAP, balancer.unwrap_or_default().ingress);
    let mut found = Vec::new();
    for (index, ingress) in ingress {
        let path = |field: &str| format!("{PATH}[{index}].{field}");
        let mode = report.value(path("ipMode"), "use VIP or Proxy", ingress.ip_mode);
        let ip = report.value(path("ip"), REMEDY, ingress.ip);
        if let (Some(ip), None | Some(IpMode::Vip)) = (ip, mode) {
            found.push((index, ip));
        }
    }
    usable(PATH, found, REMEDY, report)
}

/// Those of the addresses of a list at `path` that can be served, each once.
fn usable(
    path: &str,
    found: Vec<(usize, IpAddr)>,
    remedy: &'static str,
    report: &mut Report<'_>,
) -> Vec<IpAddr> {
    let mut ips = Vec::with_capacity(found.len());
    for (index, ip) in found {
        if let Some(special) = special(ip) {
            report.add(
                format_args!("{path}[{index}]"),
                format_args!("{ip} is a {special} address, which would be taken from the node"),
                remedy,
            );
        } else if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips
}

/// The networks whose clients may use the load balancer's addresses.
fn sources(list: Field<Vec<Field<IpNet>>>, report: &mut Report<'_>) -> Vec<IpNet> {
    const PATH: &str = "spec.loadBalancerSourceRanges";
    let restricts = match &list {
        Field::Absent => false,
        Field::Valid(list) => !list.is_empty(),
        Field::Invalid(_) => true,
    };
    let found = report.list(PATH, "give a network like 203.0.113.0/24", list);
    if restricts && found.is_empty() {
        // What was meant to be a restriction must not open the door to everybody: no client has
        // the unspecified address.
        return [
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Ipv6Addr::UNSPECIFIED.into(),
        ]
        .map(IpNet::from)
        .into();
    }
    found.into_iter().map(|(_, network)| network).collect()
}

#[cfg(test)]
#[path = "external_tests.rs"]
mod tests;
