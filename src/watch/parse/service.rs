//! Services.

use std::collections::HashSet;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::address::special;
use super::annotations::{global, tuning};
use super::external::{POLICY, Stated, external};
use super::{MAP, PORT, PROTOCOL, Problem, Report, TEXT};
use crate::config::annotations::Bearer;
use crate::model::{Family, Protocol, Service, ServiceId, ServicePort};
use crate::watch::lenient::Field;
use crate::watch::names::Names;
use crate::watch::objects::{self, Affinity, AffinityConfig, ClusterIp, SERVICE_PROXY_NAME};

/// How long affinity lasts where the object does not say (`DefaultClientIPServiceAffinitySeconds`
/// of the Kubernetes API), in seconds.
const AFFINITY_SECONDS: u32 = 10_800;
/// The longest that affinity may last (`MaxClientIPServiceAffinitySeconds`), in seconds.
const MAX_AFFINITY_SECONDS: u32 = 86_400;

/// A Service's name.
pub fn service_id(metadata: &ObjectMeta, names: &mut Names) -> ServiceId {
    ServiceId::new(
        names.intern(metadata.namespace.as_deref().unwrap_or_default()),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// Checks a Service. `None` for one that is not ours to serve: it has no address of its own, or
/// another proxy takes care of it.
pub fn service(object: objects::Service, names: &mut Names) -> (Option<Service>, Vec<Problem>) {
    let objects::Service {
        metadata,
        spec,
        status,
        passed_over: _,
    } = object;
    let mut report = Report::new("Service", &metadata);
    let service = read(&metadata, spec, status, names, &mut report);
    (service, report.problems)
}

fn read(
    metadata: &ObjectMeta,
    spec: Field<objects::ServiceSpec>,
    status: Field<objects::ServiceStatus>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Service> {
    let labels = metadata.labels.as_ref();
    if labels.is_some_and(|labels| labels.contains_key(SERVICE_PROXY_NAME)) {
        return None;
    }
    let spec = report.value("spec", MAP, spec)?;
    let kind = report.value("spec.type", TEXT, spec.kind);
    if kind.as_deref() == Some("ExternalName") {
        return None;
    }
    let cluster_ips = cluster_ips(spec.cluster_ip, spec.cluster_ips, spec.ip_families, report);
    if cluster_ips.is_empty() {
        return None;
    }
    let stated = Stated {
        kind,
        policy: spec.external_traffic_policy,
        ips: spec.external_ips,
        sources: spec.load_balancer_source_ranges,
        health_port: spec.health_check_node_port,
        status,
    };
    Some(Service {
        id: service_id(metadata, names),
        cluster_ips,
        internal: report
            .value(
                "spec.internalTrafficPolicy",
                POLICY,
                spec.internal_traffic_policy,
            )
            .unwrap_or_default(),
        external: external(stated, report).map(Box::new),
        ports: ports(spec.ports, names, report),
        affinity_seconds: affinity(spec.session_affinity, spec.session_affinity_config, report),
        tuning: tuning(Bearer::Service, report),
        global: global(report),
    })
}

/// The addresses, at most one per family. `ipFamilies`, where given, says what each shall be.
fn cluster_ips(
    single: Field<ClusterIp>,
    list: Field<Vec<Field<ClusterIp>>>,
    families: Field<Vec<Field<Family>>>,
    report: &mut Report<'_>,
) -> Vec<IpAddr> {
    const REMEDY: &str = "recreate the Service so that it is given an address";
    let mut found = report.list("spec.clusterIPs", REMEDY, list);
    if found.is_empty() {
        let single = report.value("spec.clusterIP", REMEDY, single);
        found.extend(single.map(|ip| (0, ip)));
    }
    let ips = found.into_iter().filter_map(|(index, ip)| match ip {
        ClusterIp::Ip(ip) => Some((index, ip)),
        ClusterIp::None => None,
    });
    one_per_family("spec.clusterIPs", ips, families, REMEDY, report)
}

/// Those of the addresses of a list at `path` that are the first of their family, and of the
/// family that stands in the same place of `ipFamilies`, if there is one.
pub fn one_per_family(
    path: &str,
    found: impl Iterator<Item = (usize, IpAddr)>,
    families: Field<Vec<Field<Family>>>,
    remedy: &'static str,
    report: &mut Report<'_>,
) -> Vec<IpAddr> {
    let families = report.list("spec.ipFamilies", "use IPv4 or IPv6", families);
    let mut ips: Vec<IpAddr> = Vec::new();
    for (index, ip) in found {
        let family = Family::of(ip);
        let named = families.iter().find(|(place, _)| *place == index);
        if named.is_some_and(|&(_, named)| named != family) {
            report.add(
                format_args!("{path}[{index}]"),
                format_args!("{ip} is not of the family in spec.ipFamilies"),
                remedy,
            );
        } else if let Some(special) = special(ip) {
            report.add(
                format_args!("{path}[{index}]"),
                format_args!("{ip} is a {special} address, which would be taken from the node"),
                remedy,
            );
        } else if ips.iter().any(|other| Family::of(*other) == family) {
            report.add(
                format_args!("{path}[{index}]"),
                format_args!("{ip} is a second {family} address"),
                remedy,
            );
        } else {
            ips.push(ip);
        }
    }
    ips
}

/// The ports, those without a number or with the name of another left out.
pub fn ports(
    list: Field<Vec<Field<objects::ServicePort>>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Vec<ServicePort> {
    const NAME: &str = "give each port of a protocol a name of its own";
    let list = report.list("spec.ports", MAP, list);
    let mut ports = Vec::with_capacity(list.len());
    let mut seen = HashSet::new();
    for (index, port) in list {
        let path = |field: &str| format!("spec.ports[{index}].{field}");
        let name = report.value(path("name"), TEXT, port.name);
        let protocol = match port.protocol {
            Field::Absent => Some(Protocol::Tcp),
            field => report.value(path("protocol"), PROTOCOL, field),
        };
        if port.port == Field::Absent {
            report.add(path("port"), "is missing", PORT);
        }
        let number = report.port(path("port"), port.port);
        let node_port = match port.node_port {
            // It stands for none.
            Field::Valid(0) => None,
            field => report.port(path("nodePort"), field),
        };
        let (Some(protocol), Some(number)) = (protocol, number) else {
            continue;
        };
        let name = names.intern(&name.unwrap_or_default());
        if seen.insert((name.clone(), protocol)) {
            ports.push(ServicePort {
                name,
                protocol,
                port: number,
                node_port,
            });
        } else {
            report.add(
                path("name"),
                format_args!("{name:?} is taken by another port"),
                NAME,
            );
        }
    }
    ports
}

/// How long a client stays with its endpoint, in seconds; `None`: not at all.
pub fn affinity(
    affinity: Field<Affinity>,
    config: Field<AffinityConfig>,
    report: &mut Report<'_>,
) -> Option<u32> {
    const PATH: &str = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    const SECONDS: &str = "give 1 to 86400 seconds; 10800 are used meanwhile";
    let affinity = report.value("spec.sessionAffinity", "use None or ClientIP", affinity);
    if affinity != Some(Affinity::ClientIp) {
        return None;
    }
    let config = report
        .value("spec.sessionAffinityConfig", MAP, config)
        .unwrap_or_default();
    let config = report.value("spec.sessionAffinityConfig.clientIP", MAP, config.client_ip);
    let seconds = report.value(PATH, SECONDS, config.unwrap_or_default().timeout_seconds);
    let Some(seconds) = seconds else {
        return Some(AFFINITY_SECONDS);
    };
    if let Ok(seconds @ 1..=MAX_AFFINITY_SECONDS) = u32::try_from(seconds) {
        return Some(seconds);
    }
    report.add(PATH, format_args!("found {seconds}"), SECONDS);
    Some(AFFINITY_SECONDS)
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
