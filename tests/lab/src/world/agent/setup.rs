//! What an operator does before the agent can run: fill in the manifests' blanks, apply them.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use apiserver::User;
use serde_json::Value;

use super::manifest::{Manifests, Source};
use super::{Agent, fellows};
use crate::world::cluster::Cluster;
use crate::world::node::Node;

/// Names the binary to run as the agent.
const BINARY: &str = "SPILLWAY_BIN";
/// The blank in the manifests' kubeconfig.
const SERVER: &str = "https://CONTROL_PLANE_ENDPOINT:6443";
/// The blank in the manifests' configuration.
const CLUSTER_CIDR: &str = "clusterCIDR: \"\"";
/// A certificate authority that nobody here asks: the lab's API servers speak plain HTTP.
const CA: &str = include_str!("ca.crt");

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary to run: `$SPILLWAY_BIN`, or what `cargo build` made.
    pub binary: PathBuf,
    /// The folder of the manifests.
    pub manifests: PathBuf,
    /// Arguments in addition to the manifests'.
    pub arguments: Vec<String>,
    /// What to change in `config.conf`: a text in it (which must be there) and its replacement.
    pub config: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Self {
            binary: env::var_os(BINARY)
                .map_or_else(|| checkout.join("target/debug/spillway"), PathBuf::from),
            manifests: checkout.join("daemonset"),
            arguments: Vec::new(),
            config: Vec::new(),
        }
    }
}

impl Setup {
    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Replaces a text in `config.conf`.
    #[must_use]
    pub fn config(mut self, text: &str, replacement: &str) -> Self {
        self.config.push((text.to_owned(), replacement.to_owned()));
        self
    }

    /// Applies the manifests to a cluster and starts their container on one of its nodes.
    pub(in crate::world) fn start(&self, cluster: &Cluster, node: &Node) -> Result<Agent> {
        ensure!(
            self.binary.is_file(),
            "there is no binary {}",
            self.binary.display()
        );
        let manifests = Manifests::read(&self.manifests)?;
        let objects = manifests.objects().iter();
        // No controller would act on the DaemonSet; the lab does.
        for object in objects.filter(|object| object["kind"] != "DaemonSet") {
            // A Service that has been given its address keeps it.
            if object["kind"] != "Service" || !is_there(cluster, object) {
                cluster.api().apply(object.clone())?;
            }
        }
        let mut container = manifests.container(&node.spec.name)?;
        let (namespace, name) = (&container.user.namespace, &container.user.name);
        let token = format!("token-of-{namespace}-{name}");
        cluster
            .api()
            .add_token(&token, User::service_account(namespace, name));
        container.add_account(BTreeMap::from([
            ("token".to_owned(), token),
            ("ca.crt".to_owned(), CA.to_owned()),
            ("namespace".to_owned(), namespace.clone()),
        ]));
        let pods = cluster.spec().pods;
        let mut blanks = vec![
            (SERVER.to_owned(), cluster.api().url()),
            (
                CLUSTER_CIDR.to_owned(),
                format!("clusterCIDR: \"{},{}\"", pods.v4, pods.v6),
            ),
        ];
        blanks.extend(self.config.iter().cloned());
        for (blank, value) in blanks {
            let filled = container
                .mounts
                .iter_mut()
                .any(|mount| match &mut mount.source {
                    Source::Files(files) => replace(files, &blank, &value),
                    Source::Host(_) => false,
                });
            ensure!(filled, "the manifests' configuration has no {blank:?}");
        }
        container.arguments.extend(self.arguments.iter().cloned());
        Agent::start(&node.spec.name, &node.netns, &container, self)
    }

    /// Has the agents' own Service name those on these nodes.
    pub(in crate::world) fn publish(&self, cluster: &Cluster, nodes: &[&Node]) -> Result<()> {
        fellows::publish(&Manifests::read(&self.manifests)?, cluster, nodes)
    }

    /// Runs the binary on a node as root does by hand, and waits for its end.
    pub(in crate::world) fn run(&self, node: &Node, arguments: &[&str]) -> Result<Output> {
        let output = node
            .netns
            .enter(|| Command::new(&self.binary).args(arguments).output())??;
        Ok(output)
    }
}

fn is_there(cluster: &Cluster, object: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let kind = text(&object["kind"]);
    cluster.api().get(&kind, &namespace, &name).is_some()
}

/// Replaces a text in files; whether it was there.
fn replace(files: &mut BTreeMap<String, String>, text: &str, replacement: &str) -> bool {
    let mut found = false;
    for content in files.values_mut().filter(|content| content.contains(text)) {
        *content = content.replace(text, replacement);
        found = true;
    }
    found
}
