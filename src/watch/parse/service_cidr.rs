//! `ServiceCIDRs`.

use std::sync::Arc;

use super::{MAP, Problem, Report};
use crate::model::ServiceCidr;
use crate::watch::names::Names;
use crate::watch::objects;

/// Checks a `ServiceCIDR`.
pub fn service_cidr(
    object: objects::ServiceCidr,
    names: &mut Names,
) -> (ServiceCidr, Vec<Problem>) {
    const REMEDY: &str = "give one network per family, like 10.96.0.0/16";
    let metadata = object.metadata;
    let name: Arc<str> = names.intern(metadata.name.as_deref().unwrap_or_default());
    let mut report = Report::new("ServiceCIDR", &metadata);
    let spec = report.value("spec", MAP, object.spec).unwrap_or_default();
    let networks = report.list("spec.cidrs", REMEDY, spec.cidrs);
    let networks = networks.into_iter().map(|(_, network)| network).collect();
    (ServiceCidr { name, networks }, report.problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_network_is_left_out() {
        let json = r#"{"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.1.0/16", "x"]}}"#;
        let object = serde_json::from_str(json).unwrap();
        let (parsed, problems) = service_cidr(object, &mut Names::default());
        assert_eq!(&*parsed.name, "more");
        assert_eq!(parsed.networks, ["10.97.0.0/16".parse().unwrap()]);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains("ServiceCIDR more: spec.cidrs[1]"),
            "{problems:?}"
        );
    }
}
