//! `EndpointSlices`.

use std::sync::Arc;
use std::time::SystemTime;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::address::special;
use super::annotations::slice_words;
use super::{FLAG, MAP, PROTOCOL, Problem, Report, TEXT};
use crate::model::{
    Conditions, Endpoint, EndpointSlice, Family, Hints, Protocol, ServiceId, Since, SliceId,
    SlicePort,
};
use crate::watch::lenient::Field;
use crate::watch::names::Names;
use crate::watch::objects::{
    self, AddressType, HEADLESS, IMPORT_NAME, SERVICE_NAME, SOURCE_CLUSTER, TRIGGER,
};

/// An `EndpointSlice`'s name.
pub fn slice_id(metadata: &ObjectMeta, names: &mut Names) -> SliceId {
    SliceId {
        namespace: names.intern(metadata.namespace.as_deref().unwrap_or_default()),
        name: metadata.name.as_deref().unwrap_or_default().into(),
    }
}

/// Checks an `EndpointSlice`. `None` for one that is of no use to a proxy: of host names, for DNS
/// only, or without a Service or `ServiceImport`.
pub fn slice(
    mut object: objects::EndpointSlice,
    names: &mut Names,
) -> (Option<EndpointSlice>, Vec<Problem>) {
    let metadata = std::mem::take(&mut object.metadata);
    let mut report = Report::new("EndpointSlice", &metadata);
    let slice = read(&metadata, object, names, &mut report);
    (slice, report.problems)
}

/// When what it shows happened; not known if whoever made it does not say so, or not clearly.
fn since(metadata: &ObjectMeta) -> Since {
    let annotations = metadata.annotations.as_ref();
    let text = annotations.and_then(|all| all.get(TRIGGER));
    let time = text.and_then(|text| text.parse::<Timestamp>().ok());
    Since(time.map(SystemTime::from))
}

/// Checks what is not `metadata`.
fn read(
    metadata: &ObjectMeta,
    object: objects::EndpointSlice,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<EndpointSlice> {
    const TYPE: &str = "use IPv4, IPv6 or FQDN";
    if label(metadata, HEADLESS).is_some() {
        return None;
    }
    if object.address_type == Field::Absent {
        report.add("addressType", "is missing", TYPE);
    }
    let AddressType::Ip(family) = report.value("addressType", TYPE, object.address_type)? else {
        return None;
    };
    let id = slice_id(metadata, names);
    let (service, cluster) = owner(metadata, &id, names, report)?;
    let (capacity, reach) = slice_words(report);
    Some(EndpointSlice {
        id,
        service,
        cluster,
        capacity,
        reach,
        family,
        ports: ports(object.ports, names, report),
        endpoints: endpoints(object.endpoints, family, names, report),
        since: since(metadata),
    })
}

fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// What the slice belongs to, and the cluster that exports it. The slices of a Service that stands
/// for a `ServiceImport` have the labels of both, and are the Service's.
fn owner(
    metadata: &ObjectMeta,
    id: &SliceId,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<(ServiceId, Option<Arc<str>>)> {
    let said = |name| label(metadata, name).filter(|value| !value.is_empty());
    let mut missing = |label: &str, remedy| {
        report.add(
            "metadata.labels",
            format_args!("{label} is missing"),
            remedy,
        );
    };
    if let Some(service) = said(SERVICE_NAME) {
        let service = ServiceId::new(id.namespace.clone(), names.intern(service));
        return Some((service, None));
    }
    let Some(import) = said(IMPORT_NAME) else {
        missing(SERVICE_NAME, "name the Service in this label");
        return None;
    };
    let Some(cluster) = said(SOURCE_CLUSTER) else {
        missing(
            SOURCE_CLUSTER,
            "name the cluster that exports it in this label",
        );
        return None;
    };
    let import = ServiceId::new(id.namespace.clone(), names.intern(import)).import();
    Some((import, Some(names.intern(cluster))))
}

/// The ports; those without name or number mean nothing to a proxy.
fn ports(
    list: Field<Vec<Field<objects::SlicePort>>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Vec<SlicePort> {
    let list = report.list("ports", MAP, list);
    let mut ports = Vec::with_capacity(list.len());
    for (index, port) in list {
        let path = |field: &str| format!("ports[{index}].{field}");
        let name = report.value(path("name"), TEXT, port.name);
        let protocol = match port.protocol {
            Field::Absent => Some(Protocol::Tcp),
            field => report.value(path("protocol"), PROTOCOL, field),
        };
        let number = report.port(path("port"), port.port);
        if let (Some(name), Some(protocol), Some(port)) = (name, protocol, number) {
            ports.push(SlicePort {
                name: names.intern(&name),
                protocol,
                port,
            });
        }
    }
    ports
}

fn endpoints(
    list: Field<Vec<Field<objects::Endpoint>>>,
    family: Family,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Vec<Endpoint> {
    const REMEDY: &str = "give an address of the slice's addressType";
    const SPECIAL: &str = "give an address that other nodes can reach";
    let list = report.list("endpoints", MAP, list);
    let mut endpoints = Vec::with_capacity(list.len());
    for (index, endpoint) in list {
        // Thousands of them are read and few have problems: no path is built beforehand.
        let path = |field: &str| format!("endpoints[{index}].{field}");
        let address = match endpoint.addresses {
            Field::Valid(addresses) => addresses.into_iter().next().unwrap_or_default(),
            Field::Invalid(found) => Field::Invalid(found),
            Field::Absent => Field::Absent,
        };
        let ip = match address {
            Field::Absent => continue,
            Field::Valid(ip) if Family::of(ip) != family => {
                report.add(path("addresses[0]"), format_args!("found {ip}"), REMEDY);
                continue;
            }
            Field::Valid(ip) => {
                if let Some(special) = special(ip) {
                    let wrong = format_args!("{ip} is a {special} address");
                    report.add(path("addresses[0]"), wrong, SPECIAL);
                    continue;
                }
                ip
            }
            Field::Invalid(found) => {
                report.add(
                    path("addresses[0]"),
                    format_args!("found {found:?}"),
                    REMEDY,
                );
                continue;
            }
        };
        let mut name = |field: &str, value: Field<String>| match value {
            Field::Valid(name) => Some(names.intern(&name)).filter(|name| !name.is_empty()),
            Field::Absent => None,
            invalid @ Field::Invalid(_) => {
                report.value(path(field), TEXT, invalid);
                None
            }
        };
        endpoints.push(Endpoint {
            ip,
            node: name("nodeName", endpoint.node_name),
            zone: name("zone", endpoint.zone),
            conditions: conditions(index, endpoint.conditions, report),
            hints: hints(index, endpoint.hints, names, report).map(Box::new),
        });
    }
    endpoints
}

fn conditions(
    index: usize,
    conditions: Field<objects::Conditions>,
    report: &mut Report<'_>,
) -> Conditions {
    let path = format_args!("endpoints[{index}].conditions");
    let conditions = report.value(path, MAP, conditions).unwrap_or_default();
    let mut flag = |name: &str, field, default| {
        report
            .value(format_args!("{path}.{name}"), FLAG, field)
            .unwrap_or(default)
    };
    Conditions {
        ready: flag("ready", conditions.ready, true),
        serving: flag("serving", conditions.serving, true),
        terminating: flag("terminating", conditions.terminating, false),
    }
}

/// Whose clients the endpoint is meant for; `None` where that is not said.
fn hints(
    index: usize,
    hints: Field<objects::Hints>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Hints> {
    let path = format_args!("endpoints[{index}].hints");
    let hints = report.value(path, MAP, hints)?;
    let mut listed = |list: &str, hints| -> Vec<Arc<str>> {
        let hints = report.list(format_args!("{path}.{list}"), MAP, hints);
        let mut name = |(place, hint): (usize, objects::Hint)| {
            let path = format_args!("{path}.{list}[{place}].name");
            let name = report.value(path, TEXT, hint.name)?;
            Some(names.intern(&name))
        };
        hints.into_iter().filter_map(&mut name).collect()
    };
    let hints = Hints {
        nodes: listed("forNodes", hints.for_nodes),
        zones: listed("forZones", hints.for_zones),
    };
    (hints != Hints::default()).then_some(hints)
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
