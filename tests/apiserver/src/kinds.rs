//! The kinds that are served: a fixed table in place of schemas and definitions.

/// One kind of object, as API discovery describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The only served version of the group.
    pub version: &'static str,
    /// The name in paths and in RBAC rules, e.g. `services`.
    pub plural: &'static str,
    /// The name in objects, e.g. `Service`.
    pub kind: &'static str,
    /// Abbreviations that `kubectl` accepts.
    pub short: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether `status` is a subresource, which the main resource then leaves alone.
    pub status: bool,
}

impl Kind {
    /// The kind behind a path's group, version and plural.
    pub fn served(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| (kind.group, kind.version, kind.plural) == (group, version, plural))
    }

    /// The kind of an object with these `apiVersion` and `kind` fields.
    pub fn of(api_version: &str, name: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.kind == name && kind.api_version() == api_version)
    }

    /// The kind that people mean by `services`, `Service`, `svc` or `events.events.k8s.io`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let (plural, group) = match name.split_once('.') {
            Some((plural, group)) => (plural, Some(group)),
            None => (name, None),
        };
        KINDS.iter().find(|kind| {
            group.is_none_or(|group| kind.group == group)
                && (kind.plural == plural || kind.kind == plural || kind.short.contains(&plural))
        })
    }

    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `services` or `endpointslices.discovery.k8s.io`, as error messages name a resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// What a row of the table says of namespaces and the status subresource.
#[derive(Clone, Copy)]
enum Scope {
    Cluster,
    ClusterStatus,
    Namespace,
    NamespaceStatus,
}

const fn kind(
    (group, version): (&'static str, &'static str),
    plural: &'static str,
    kind: &'static str,
    scope: Scope,
    short: &'static [&'static str],
) -> Kind {
    Kind {
        group,
        version,
        plural,
        kind,
        short,
        namespaced: matches!(scope, Scope::Namespace | Scope::NamespaceStatus),
        status: matches!(scope, Scope::ClusterStatus | Scope::NamespaceStatus),
    }
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const CRDS: (&str, &str) = ("apiextensions.k8s.io", "v1");
const DISCOVERY: (&str, &str) = ("discovery.k8s.io", "v1");
const EVENTS: (&str, &str) = ("events.k8s.io", "v1");
const LEASES: (&str, &str) = ("coordination.k8s.io", "v1");
const NETWORKING: (&str, &str) = ("networking.k8s.io", "v1");
const MCS: (&str, &str) = ("multicluster.x-k8s.io", "v1beta1");
const ABOUT: (&str, &str) = ("about.k8s.io", "v1beta1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");

/// All kinds, core group first: a bare name such as `events` means the first that matches.
pub static KINDS: &[Kind] = {
    use Scope::{Cluster, ClusterStatus, Namespace, NamespaceStatus};
    &[
        kind(CORE, "services", "Service", NamespaceStatus, &["svc"]),
        kind(CORE, "nodes", "Node", ClusterStatus, &["no"]),
        kind(CORE, "namespaces", "Namespace", ClusterStatus, &["ns"]),
        kind(CORE, "pods", "Pod", NamespaceStatus, &["po"]),
        kind(CORE, "events", "Event", Namespace, &["ev"]),
        kind(CORE, "secrets", "Secret", Namespace, &[]),
        kind(CORE, "configmaps", "ConfigMap", Namespace, &["cm"]),
        kind(
            CORE,
            "serviceaccounts",
            "ServiceAccount",
            Namespace,
            &["sa"],
        ),
        kind(EVENTS, "events", "Event", Namespace, &["ev"]),
        kind(DISCOVERY, "endpointslices", "EndpointSlice", Namespace, &[]),
        kind(LEASES, "leases", "Lease", Namespace, &[]),
        kind(
            NETWORKING,
            "servicecidrs",
            "ServiceCIDR",
            ClusterStatus,
            &[],
        ),
        kind(
            MCS,
            "serviceimports",
            "ServiceImport",
            NamespaceStatus,
            &["svcim"],
        ),
        kind(
            MCS,
            "serviceexports",
            "ServiceExport",
            NamespaceStatus,
            &["svcex"],
        ),
        kind(ABOUT, "clusterproperties", "ClusterProperty", Cluster, &[]),
        kind(APPS, "daemonsets", "DaemonSet", NamespaceStatus, &["ds"]),
        kind(
            APPS,
            "deployments",
            "Deployment",
            NamespaceStatus,
            &["deploy"],
        ),
        kind(
            CRDS,
            "customresourcedefinitions",
            "CustomResourceDefinition",
            ClusterStatus,
            &["crd"],
        ),
        kind(RBAC, "clusterroles", "ClusterRole", Cluster, &[]),
        kind(
            RBAC,
            "clusterrolebindings",
            "ClusterRoleBinding",
            Cluster,
            &[],
        ),
        kind(RBAC, "roles", "Role", Namespace, &[]),
        kind(RBAC, "rolebindings", "RoleBinding", Namespace, &[]),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_a_kind_in_several_ways() {
        for name in ["services", "Service", "svc"] {
            assert_eq!(Kind::named(name).unwrap().plural, "services");
        }
        assert_eq!(Kind::named("events").unwrap().group, "");
        assert_eq!(
            Kind::named("events.events.k8s.io").unwrap().group,
            "events.k8s.io"
        );
        assert_eq!(Kind::named("gateways"), None);
    }
}
