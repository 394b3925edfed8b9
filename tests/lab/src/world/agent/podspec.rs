//! The part of a pod template that the lab acts on, and by name what it deliberately does not.
//! Any other field is an error.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use caps::{Capability, CapsHashSet};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What containerd leaves a container that asks for nothing (its `defaultUnixCaps`).
const DEFAULT_CAPABILITIES: [Capability; 14] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_KILL,
    Capability::CAP_AUDIT_WRITE,
];

/// `pod.spec`. Scheduling is the lab's own; seccomp is not reproduced.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pod {
    pub containers: Vec<Container>,
    pub service_account_name: String,
    #[serde(default)]
    pub host_network: bool,
    #[serde(default)]
    pub volumes: Vec<Volume>,
    #[serde(rename = "securityContext")]
    _security_context: Option<PodSecurity>,
    #[serde(rename = "priorityClassName")]
    _priority_class_name: Option<IgnoredAny>,
    #[serde(rename = "nodeSelector")]
    _node_selector: Option<IgnoredAny>,
    #[serde(rename = "tolerations")]
    _tolerations: Option<IgnoredAny>,
    #[serde(rename = "terminationGracePeriodSeconds")]
    _termination_grace_period_seconds: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodSecurity {
    #[serde(rename = "seccompProfile")]
    _seccomp_profile: Option<IgnoredAny>,
}

/// `pod.spec.containers`. Image, probes and resources have no meaning here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Container {
    pub command: Vec<String>,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: Vec<Variable>,
    #[serde(default)]
    pub security_context: Security,
    #[serde(default)]
    pub volume_mounts: Vec<VolumeMount>,
    #[serde(rename = "name")]
    _name: IgnoredAny,
    #[serde(rename = "image")]
    _image: IgnoredAny,
    #[serde(rename = "imagePullPolicy")]
    _image_pull_policy: Option<IgnoredAny>,
    #[serde(rename = "livenessProbe")]
    _liveness_probe: Option<IgnoredAny>,
    #[serde(rename = "readinessProbe")]
    _readiness_probe: Option<IgnoredAny>,
    #[serde(rename = "startupProbe")]
    _startup_probe: Option<IgnoredAny>,
    #[serde(rename = "ports")]
    _ports: Option<IgnoredAny>,
    #[serde(rename = "resources")]
    _resources: Option<IgnoredAny>,
}

/// `containers[].env`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Variable {
    pub name: String,
    value: Option<String>,
    value_from: Option<ValueFrom>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ValueFrom {
    field_ref: FieldRef,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FieldRef {
    field_path: String,
}

impl Variable {
    /// Its value in a pod on a node.
    pub fn value_on(self, node: &str) -> Result<String> {
        match (self.value, self.value_from) {
            (value, None) => Ok(value.unwrap_or_default()),
            (None, Some(from)) if from.field_ref.field_path == "spec.nodeName" => {
                Ok(node.to_owned())
            }
            _ => bail!("the lab cannot tell the value of {}", self.name),
        }
    }
}

/// `containers[].securityContext`, with the defaults of Kubernetes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Security {
    #[serde(default)]
    run_as_user: u32,
    allow_privilege_escalation: Option<bool>,
    #[serde(default)]
    pub read_only_root_filesystem: bool,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Capabilities {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    drop: Vec<String>,
}

impl Security {
    /// Whether nothing that the container starts may gain privileges.
    pub fn no_new_privileges(&self) -> bool {
        self.allow_privilege_escalation == Some(false)
    }

    /// What the container may do.
    pub fn capabilities(&self) -> Result<CapsHashSet> {
        if self.run_as_user != 0 {
            bail!("the lab runs containers as root only");
        }
        let named = |names: &[String]| -> Result<CapsHashSet> {
            names
                .iter()
                .map(|name| {
                    Capability::from_str(&caps::to_canonical(name))
                        .with_context(|| format!("there is no capability {name}"))
                })
                .collect()
        };
        let mut capabilities = CapsHashSet::from_iter(DEFAULT_CAPABILITIES);
        let Capabilities { add, drop } = &self.capabilities;
        if drop.iter().any(|name| name == "ALL") {
            capabilities.clear();
        } else {
            let dropped = named(drop)?;
            capabilities.retain(|capability| !dropped.contains(capability));
        }
        capabilities.extend(named(add)?);
        Ok(capabilities)
    }
}

/// `containers[].volumeMounts`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VolumeMount {
    pub name: String,
    pub mount_path: PathBuf,
    #[serde(default)]
    pub read_only: bool,
}

/// `pod.spec.volumes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Volume {
    pub name: String,
    pub config_map: Option<ConfigMap>,
    pub host_path: Option<HostPath>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConfigMap {
    pub name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HostPath {
    pub path: PathBuf,
    #[serde(rename = "type")]
    _kind: Option<IgnoredAny>,
}
