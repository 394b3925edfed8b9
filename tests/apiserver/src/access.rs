//! Who asks (bearer tokens) and what they may (RBAC, read from the stored roles and bindings).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Refusal;
use crate::kinds::Kind;
use crate::object::Key;
use crate::record::Recorded;
use crate::request::Target;
use crate::store::Store;

/// Somebody who makes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// E.g. `system:serviceaccount:kube-system:spillway`.
    pub name: String,
    /// E.g. `system:authenticated`.
    pub groups: Vec<String>,
}

impl User {
    /// An authenticated user without further groups.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            groups: vec!["system:authenticated".to_owned()],
        }
    }

    /// A pod's identity.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let mut user = Self::named(format!("system:serviceaccount:{namespace}:{name}"));
        user.groups.push("system:serviceaccounts".to_owned());
        user.groups
            .push(format!("system:serviceaccounts:{namespace}"));
        user
    }

    /// A user who may do everything.
    pub fn admin() -> Self {
        let mut user = Self::named("kubernetes-admin");
        user.groups.push("system:masters".to_owned());
        user
    }

    /// Whoever shows no token.
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }
}

/// One thing that a role allows, taken apart: a role with two verbs on two resources is four.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// E.g. `list`, or `*`.
    pub verb: String,
    /// API group, empty for the core group, or `*`.
    pub group: String,
    /// E.g. `nodes/status`, or `*`.
    pub resource: String,
    /// The only object, where the rule has resourceNames.
    pub name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

impl Rule {
    fn grants(&self) -> Vec<Grant> {
        let names = match &self.resource_names[..] {
            [] => vec![None],
            names => names.iter().cloned().map(Some).collect(),
        };
        let mut grants = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    grants.extend(names.iter().map(|name| Grant {
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                    }));
                }
            }
        }
        grants
    }
}

impl Grant {
    fn allows(&self, verb: &str, group: &str, resource: &str, name: &str) -> bool {
        let subresource_of_any = |pattern: &str| {
            let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
            pattern
                .strip_prefix("*/")
                .is_some_and(|wanted| Some(wanted) == subresource)
        };
        (self.verb == "*" || self.verb == verb)
            && (self.group == "*" || self.group == group)
            && (["*", resource].contains(&&*self.resource) || subresource_of_any(&self.resource))
            && self.name.as_ref().is_none_or(|only| only == name)
    }
}

/// Everything that bindings grant to a user in a namespace; `None`: in any.
fn grants(store: &mut Store, user: &User, namespace: Option<&str>) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for plural in ["clusterrolebindings", "rolebindings"] {
        let Some(kind) = Kind::named(plural) else {
            continue;
        };
        let bindings: Vec<_> = store
            .objects(kind)
            .iter()
            .filter(|(key, binding)| {
                let here = namespace.is_none_or(|namespace| key.namespace == namespace);
                (!kind.namespaced || here) && binds(&binding.value, key, user)
            })
            .map(|(key, binding)| (key.namespace.clone(), binding.value["roleRef"].clone()))
            .collect();
        for (namespace, role) in bindings {
            let name = role["name"].as_str().unwrap_or_default().to_owned();
            let Some(kind) = Kind::named(role["kind"].as_str().unwrap_or_default()) else {
                continue;
            };
            let namespace = if kind.namespaced {
                namespace
            } else {
                String::new()
            };
            let Ok(role) = store.get(kind, &Key { namespace, name }) else {
                continue;
            };
            let rules = Vec::<Rule>::deserialize(&role.value["rules"]).unwrap_or_default();
            grants.extend(rules.iter().flat_map(Rule::grants));
        }
    }
    grants
}

fn binds(binding: &Value, key: &Key, user: &User) -> bool {
    let subjects = binding["subjects"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    subjects.iter().any(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => user.name == name,
            Some("Group") => user.groups.iter().any(|group| group == name),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or(&key.namespace);
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    })
}

/// Refuses what no role allows, in the words of Kubernetes.
pub fn authorise(
    store: &mut Store,
    user: &User,
    verb: &str,
    target: &Target,
) -> Result<(), Refusal> {
    let Target {
        kind,
        namespace,
        name,
        ..
    } = target;
    let resource = target.resource();
    let namespace = namespace.as_deref();
    let allowed = user.is_admin()
        || grants(store, user, Some(namespace.unwrap_or_default()))
            .iter()
            .any(|grant| {
                grant.allows(
                    verb,
                    kind.group,
                    &resource,
                    name.as_deref().unwrap_or_default(),
                )
            });
    if allowed {
        return Ok(());
    }
    let subject = match name {
        Some(name) => format!("{} {name:?} is", kind.qualified()),
        None => format!("{} is", kind.qualified()),
    };
    let place = match namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    Err(Refusal::new(
        403,
        format!(
            "{subject} forbidden: User {:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
            user.name, kind.group
        ),
    ))
}

/// What roles grant to a user and none of these requests made use of: a tight role leaves nothing.
pub fn unused(store: &mut Store, user: &User, requests: &[Recorded]) -> BTreeSet<Grant> {
    let exercised = |grant: &Grant| {
        requests
            .iter()
            .filter(|request| request.user == user.name)
            .any(|request| {
                let Recorded {
                    verb,
                    group,
                    resource,
                    name,
                    ..
                } = request;
                let exactly = grant.verb == *verb && grant.group == *group;
                exactly && grant.resource == *resource && grant.allows(verb, group, resource, name)
            })
    };
    let mut grants = grants(store, user, None);
    grants.retain(|grant| !exercised(grant));
    grants
}
