//! Reads the project's DaemonSet manifests and says what a kubelet would run for them.
//!
//! What the lab cannot act on is an error, not silence: a manifest that asks for more than is
//! tested must not pass for tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use caps::Capability;
use serde::Deserialize;
use serde_json::Value;

/// Where every container finds its service account (KEP-1205).
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

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

/// A folder of manifests.
#[derive(Clone, Debug)]
pub struct Manifests {
    objects: Vec<Value>,
}

/// A container as it is to be run on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The program's path in the container, which is where its binary goes.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// What is mounted, in order.
    pub mounts: Vec<Mount>,
    /// What it may do.
    pub capabilities: BTreeSet<Capability>,
    /// Nothing that it starts may gain privileges (`allowPrivilegeEscalation: false`).
    pub no_new_privileges: bool,
    /// Its root file system is read-only.
    pub read_only_root: bool,
    /// Its service account, as the API server names such a user.
    pub user: ServiceAccount,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Something to see in a container that is not of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where in the container.
    pub target: PathBuf,
    /// What.
    pub source: Source,
    /// Whether it may not be written to.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder of files with given contents.
    Files(BTreeMap<String, String>),
    /// A path of the node.
    Host(PathBuf),
}

impl Manifests {
    /// Reads all `*.yaml` files of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("read the folder {}", folder.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        let mut objects = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)?;
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
                .with_context(|| format!("parse {}", file.display()))?;
            objects.extend(documents);
        }
        Ok(Self { objects })
    }

    /// All objects but the DaemonSet itself: what an operator applies to the API server.
    pub fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// The one container of the one DaemonSet, for a node. `account` are the files of its service
    /// account.
    pub fn container(&self, node: &str, account: BTreeMap<String, String>) -> Result<Container> {
        let daemonset = self.one("DaemonSet")?;
        let namespace = text(daemonset, "/metadata/namespace")?;
        let pod = daemonset
            .pointer("/spec/template/spec")
            .context("the DaemonSet has no pod template")?;
        let pod: Pod = serde_json::from_value(pod.clone())
            .context("the DaemonSet's pod asks for something that the lab does not know")?;
        ensure!(pod.host_network, "the lab runs agents on the host's network only");
        let Ok([container]) = <[ContainerSpec; 1]>::try_from(pod.containers) else {
            bail!("the lab runs exactly one container");
        };

        let environment = container
            .env
            .into_iter()
            .map(|variable| Ok((variable.name.clone(), variable.value_on(node)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let mut words = container
            .command
            .iter()
            .chain(&container.args)
            .map(|word| expand(word, &environment))
            .collect::<Vec<_>>();
        ensure!(!container.command.is_empty(), "the container does not name its command");
        let program = PathBuf::from(words.remove(0));

        let mut mounts = container
            .volume_mounts
            .into_iter()
            .map(|mount| {
                let source = pod
                    .volumes
                    .iter()
                    .find(|volume| volume.name == mount.name)
                    .with_context(|| format!("there is no volume {}", mount.name))?;
                self.mount(mount, source, namespace)
            })
            .collect::<Result<Vec<_>>>()?;
        mounts.push(Mount {
            target: ACCOUNT.into(),
            source: Source::Files(account),
            read_only: true,
        });
        let security = container.security_context;
        Ok(Container {
            program,
            arguments: words,
            environment,
            mounts,
            capabilities: security.capabilities.resolve()?,
            no_new_privileges: !security.allow_privilege_escalation,
            read_only_root: security.read_only_root_filesystem,
            user: ServiceAccount {
                namespace: namespace.to_owned(),
                name: pod.service_account_name,
            },
        })
    }

    fn mount(&self, mount: VolumeMount, volume: &Volume, namespace: &str) -> Result<Mount> {
        let source = match (&volume.config_map, &volume.host_path) {
            (Some(map), None) => Source::Files(self.config_map(namespace, &map.name)?),
            (None, Some(host)) => Source::Host(host.path.clone()),
            _ => bail!("the lab cannot mount the volume {}", volume.name),
        };
        Ok(Mount {
            target: mount.mount_path,
            read_only: mount.read_only || volume.config_map.is_some(),
            source,
        })
    }

    fn config_map(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, String>> {
        let map = self
            .objects
            .iter()
            .filter(|object| object["kind"] == "ConfigMap")
            .find(|map| {
                map["metadata"]["name"] == name && map["metadata"]["namespace"] == namespace
            })
            .with_context(|| format!("there is no ConfigMap {namespace}/{name}"))?;
        serde_json::from_value(map["data"].clone())
            .with_context(|| format!("read the data of the ConfigMap {name}"))
    }

    fn one(&self, kind: &str) -> Result<&Value> {
        let mut found = self.objects.iter().filter(|object| object["kind"] == kind);
        match (found.next(), found.next()) {
            (Some(object), None) => Ok(object),
            _ => bail!("the manifests do not have exactly one {kind}"),
        }
    }
}

/// Replaces `$(NAME)` by the variable's value, as a kubelet does; an unknown name stays.
fn expand(word: &str, environment: &BTreeMap<String, String>) -> String {
    environment
        .iter()
        .fold(word.to_owned(), |word, (name, value)| word.replace(&format!("$({name})"), value))
}

fn text<'a>(object: &'a Value, path: &str) -> Result<&'a str> {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .with_context(|| format!("the manifest has no {path}"))
}
