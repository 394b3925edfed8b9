//! `ServiceImports`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::annotations::tuning;
use super::service::{affinity, one_per_family, ports, service_id};
use super::{MAP, Problem, Report};
use crate::config::annotations::Bearer;
use crate::model::{Said, Service, ServicePort, TrafficPolicy};
use crate::watch::lenient::Field;
use crate::watch::names::Names;
use crate::watch::objects::{self, DERIVED_SERVICE, ImportType};

/// Checks a `ServiceImport`. `None` for one that has no address (yet), or that a Service made for
/// the purpose stands for.
pub fn import(
    object: objects::ServiceImport,
    names: &mut Names,
) -> (Option<Service>, Vec<Problem>) {
    let objects::ServiceImport { metadata, spec } = object;
    let mut report = Report::new("ServiceImport", &metadata);
    let service = read(&metadata, spec, names, &mut report);
    (service, report.problems)
}

fn read(
    metadata: &ObjectMeta,
    spec: Field<objects::ImportSpec>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Service> {
    const TYPE: &str = "use ClusterSetIP or Headless";
    const REMEDY: &str = "give one address per family";
    let annotations = metadata.annotations.as_ref();
    if annotations.is_some_and(|annotations| annotations.contains_key(DERIVED_SERVICE)) {
        return None;
    }
    let spec = report.value("spec", MAP, spec)?;
    if spec.kind == Field::Absent {
        report.add("spec.type", "is missing", TYPE);
    }
    match report.value("spec.type", TYPE, spec.kind)? {
        ImportType::ClusterSetIp => {}
        ImportType::Headless => return None,
    }
    let ips = report.list("spec.ips", REMEDY, spec.ips).into_iter();
    let cluster_ips = one_per_family("spec.ips", ips, spec.ip_families, REMEDY, report);
    if cluster_ips.is_empty() {
        return None;
    }
    let ports = ports(spec.ports, names, report).into_iter();
    Some(Service {
        id: service_id(metadata, names).import(),
        cluster_ips,
        internal: TrafficPolicy::Cluster,
        external: None,
        ports: ports
            .map(|port| ServicePort {
                node_port: None,
                ..port
            })
            .collect(),
        affinity_seconds: affinity(spec.session_affinity, spec.session_affinity_config, report),
        tuning: tuning(Bearer::Import, report),
        global: Said::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::example::ip;
    use crate::model::{Mode, ServiceId};

    fn parse(metadata: &Value, spec: &Value) -> (Option<Service>, Vec<String>) {
        let object = json!({"metadata": metadata, "spec": spec});
        let object = serde_json::from_value(object).unwrap();
        let (service, problems) = import(object, &mut Names::default());
        let fields = problems.into_iter().map(|problem| problem.field);
        (service, fields.collect())
    }

    fn web() -> Value {
        json!({"namespace": "shop", "name": "web"})
    }

    #[test]
    fn an_import_is_a_service_of_another_origin() {
        let mut metadata = web();
        metadata["annotations"] = json!({"spillway.io/routing": "spill"});
        let (service, problems) = parse(
            &metadata,
            &json!({
                "type": "ClusterSetIP",
                "ips": ["10.112.0.1", "fd00:112::1"],
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            }),
        );
        assert_eq!(problems, Vec::<String>::new());
        let service = service.unwrap();
        assert_eq!(service.id, ServiceId::new("shop", "web").import());
        assert_eq!(service.cluster_ips, [ip("10.112.0.1"), ip("fd00:112::1")]);
        assert_eq!(service.ports.len(), 1);
        assert_eq!(service.ports[0].node_port, None);
        assert_eq!(service.affinity_seconds, Some(60));
        assert_eq!(service.tuning.routing, Said::Valid(Mode::Spill));
    }

    #[test]
    fn imports_that_are_not_ours_to_serve_are_left_out() {
        let mut derived = web();
        derived["annotations"] = json!({"multicluster.kubernetes.io/derived-service": "derived-1"});
        let sound = json!({"type": "ClusterSetIP", "ips": ["10.112.0.1"]});
        for (metadata, spec, problems) in [
            (derived, sound, vec![]),
            (web(), json!({"type": "Headless"}), vec![]),
            (web(), json!({"type": "ClusterSetIP"}), vec![]),
            (
                web(),
                json!({"type": "ClusterSetIP", "ips": ["10.1"]}),
                vec!["spec.ips[0]"],
            ),
            (
                web(),
                json!({"type": "Other", "ips": ["10.112.0.1"]}),
                vec!["spec.type"],
            ),
            (web(), json!({"ips": ["10.112.0.1"]}), vec!["spec.type"]),
            (web(), json!("nothing"), vec!["spec"]),
        ] {
            let (service, found) = parse(&metadata, &spec);
            assert_eq!(service, None, "{metadata} {spec}");
            assert_eq!(found, problems, "{metadata} {spec}");
        }
    }

    #[test]
    fn a_second_address_of_a_family_is_left_out() {
        let (service, problems) = parse(
            &web(),
            &json!({"type": "ClusterSetIP", "ips": ["10.112.0.1", "10.112.0.2"]}),
        );
        assert_eq!(service.unwrap().cluster_ips, [ip("10.112.0.1")]);
        assert_eq!(problems, ["spec.ips[1]"]);
    }
}
