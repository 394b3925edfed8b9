//! Reads the project's DaemonSet manifests and says what a kubelet would run for them.
//!
//! What the lab cannot act on is an error, not silence: a manifest that asks for more than is
//! tested must not pass for tested.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use caps::CapsHashSet;
use serde_json::Value;

use super::podspec::{self, Pod, Volume, VolumeMount};

/// Where every container finds its service account (KEP-1205).
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

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
    pub capabilities: CapsHashSet,
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

impl Container {
    /// Mounts the files of the service account where clients look for them.
    pub fn add_account(&mut self, files: BTreeMap<String, String>) {
        self.mounts.push(Mount {
            target: ACCOUNT.into(),
            source: Source::Files(files),
            read_only: true,
        });
    }
}

impl Manifests {
    /// Reads all `*.yaml` files of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("read the folder {}", folder.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "yaml")
        });
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

    /// The one Service, whose endpoints are the DaemonSet's pods.
    pub fn service(&self) -> Result<&Value> {
        let service = self.one("Service")?;
        let labels = &self.one("DaemonSet")?["spec"]["template"]["metadata"]["labels"];
        let selector = service["spec"]["selector"].as_object();
        let selector = selector.context("the Service selects no pods")?;
        ensure!(
            selector.iter().all(|(key, value)| labels[key] == *value),
            "the Service does not select the DaemonSet's pods"
        );
        Ok(service)
    }

    /// The one container of the one DaemonSet, for a node; without its service account's files.
    pub fn container(&self, node: &str) -> Result<Container> {
        let daemonset = self.one("DaemonSet")?;
        let namespace = text(daemonset, "/metadata/namespace")?;
        let pod = daemonset
            .pointer("/spec/template/spec")
            .context("the DaemonSet has no pod template")?;
        let pod: Pod = serde_json::from_value(pod.clone())
            .context("the DaemonSet's pod asks for something that the lab does not know")?;
        ensure!(
            pod.host_network,
            "the lab runs agents on the host's network only"
        );
        let Ok([container]) = <[podspec::Container; 1]>::try_from(pod.containers) else {
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
        ensure!(
            !container.command.is_empty(),
            "the container does not name its command"
        );
        let program = PathBuf::from(words.remove(0));

        let mounts = container
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
        let security = container.security_context;
        Ok(Container {
            program,
            arguments: words,
            environment,
            mounts,
            capabilities: security.capabilities()?,
            no_new_privileges: security.no_new_privileges(),
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
        .fold(word.to_owned(), |word, (name, value)| {
            word.replace(&format!("$({name})"), value)
        })
}

fn text<'a>(object: &'a Value, path: &str) -> Result<&'a str> {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .with_context(|| format!("the manifest has no {path}"))
}

#[cfg(test)]
mod tests {
    use caps::Capability;

    use super::*;

    const MANIFEST: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: kube-system}
data: {config.conf: 'mode: ipvs'}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: proxy, namespace: kube-system}
spec:
  template:
    spec:
      serviceAccountName: proxy
      hostNetwork: true
      containers:
      - name: proxy
        image: proxy
        command: [/bin/proxy]
        args: [agent, --node=$(NODE_NAME), $(OTHER)]
        env:
        - name: NODE_NAME
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL], add: [NET_ADMIN]}
        volumeMounts:
        - {name: conf, mountPath: /etc/proxy}
        - {name: proc-sys, mountPath: /host/proc/sys}
      volumes:
      - {name: conf, configMap: {name: conf}}
      - {name: proc-sys, hostPath: {path: /proc/sys, type: Directory}}
";

    fn container(manifest: &str) -> Result<Container> {
        let objects = serde_saphyr::from_multiple(manifest)?;
        Manifests { objects }.container("east-1")
    }

    #[test]
    fn a_container_runs_as_its_manifest_says() {
        let container = container(MANIFEST).expect("a container");
        assert_eq!(container.program, Path::new("/bin/proxy"));
        assert_eq!(container.arguments, ["agent", "--node=east-1", "$(OTHER)"]);
        assert_eq!(
            container.capabilities,
            CapsHashSet::from_iter([Capability::CAP_NET_ADMIN])
        );
        assert!(container.no_new_privileges && container.read_only_root);
        assert_eq!(container.user.name, "proxy");
    }

    #[test]
    fn config_maps_and_host_paths_are_mounted() {
        let mounts = container(MANIFEST).expect("a container").mounts;
        let [config, host] = mounts.as_slice() else {
            panic!("{mounts:?}");
        };
        let files = BTreeMap::from([("config.conf".to_owned(), "mode: ipvs".to_owned())]);
        assert_eq!(config.source, Source::Files(files));
        assert!(config.read_only, "a ConfigMap is read-only, asked or not");
        assert_eq!(host.source, Source::Host("/proc/sys".into()));
        assert!(!host.read_only);
    }

    #[test]
    fn what_the_lab_cannot_reproduce_is_refused() {
        for (asked, instead) in [
            (
                "hostNetwork: true",
                "hostNetwork: true\n      hostPID: true",
            ),
            ("drop: [ALL]", "drop: [EVERYTHING]"),
            ("readOnlyRootFilesystem: true", "privileged: true"),
            ("configMap: {name: conf}", "emptyDir: {}"),
        ] {
            let manifest = MANIFEST.replace(asked, instead);
            assert_ne!(manifest, MANIFEST);
            assert!(container(&manifest).is_err(), "{instead}");
        }
    }
}
