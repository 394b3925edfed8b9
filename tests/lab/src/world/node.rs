//! Nodes and the pods on them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::netns::Netns;
use super::place::Place;
use super::topology::{Addresses, NodeSpec};
use super::wiring;
use crate::traffic::echo::{Bound, Echo};

/// The port that a pod's echo server listens on.
pub const ECHO_PORT: u16 = 8080;

/// The first pod's place in its node's range; the two before are the network and, by habit, its
/// gateway.
const FIRST_POD: u16 = 2;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its name, zone and addresses.
    pub spec: Arc<NodeSpec>,
    pub(super) netns: Arc<Netns>,
    runtime: Arc<Runtime>,
    next_pod: AtomicU16,
}

/// A pod with an echo server. It is gone when this value is dropped.
#[derive(Debug)]
pub struct Pod {
    /// Its name as the echo server gives it, e.g. `east-1/echo-1`.
    pub name: String,
    /// The node it runs on.
    pub node: Arc<NodeSpec>,
    /// Its addresses: its own or, on the host's network, the node's.
    pub addresses: Addresses,
    /// The port of its echo server.
    pub port: u16,
    netns: Arc<Netns>,
    /// Its node's end of its link; none on the host's network.
    link: Option<(Arc<Netns>, String)>,
    echo: Option<Echo>,
    runtime: Arc<Runtime>,
}

impl Node {
    pub(super) fn new(spec: NodeSpec, netns: Netns, runtime: Arc<Runtime>) -> Self {
        Self {
            spec: Arc::new(spec),
            netns: Arc::new(netns),
            runtime,
            next_pod: AtomicU16::new(FIRST_POD),
        }
    }

    /// Starts a pod with a network of its own; its echo server listens on [`ECHO_PORT`].
    pub fn pod(&self, name: &str) -> Result<Pod> {
        let number = self.next_pod.fetch_add(1, Ordering::Relaxed);
        let addresses = self.spec.pods.host(number);
        let link = format!("pod{number}");
        let netns = wiring::pod(name, addresses, &link, &self.spec, &self.netns)
            .with_context(|| format!("start the pod {name} on {}", self.spec.name))?;
        let link = Some((self.netns.clone(), link));
        self.serve(name, addresses, ECHO_PORT, Arc::new(netns), link)
    }

    /// Starts a pod on the host's network; its echo server listens on a port of the node.
    pub fn echo(&self, port: u16) -> Result<Pod> {
        let name = format!("host-{port}");
        let addresses = self.spec.addresses;
        self.serve(&name, addresses, port, self.netns.clone(), None)
    }

    fn serve(
        &self,
        name: &str,
        addresses: Addresses,
        port: u16,
        netns: Arc<Netns>,
        link: Option<(Arc<Netns>, String)>,
    ) -> Result<Pod> {
        let name = format!("{}/{name}", self.spec.name);
        let bound = netns
            .enter(|| Bound::open(&addresses.both(), port))?
            .with_context(|| format!("listen on port {port} of {name}"))?;
        let echo = Echo::start(&self.runtime, &name, bound)?;
        Ok(Pod {
            name,
            node: self.spec.clone(),
            addresses,
            port,
            netns,
            link,
            echo: Some(echo),
            runtime: self.runtime.clone(),
        })
    }

    /// Its IPv4 address with a port.
    pub fn v4(&self, port: u16) -> SocketAddr {
        (self.spec.addresses.v4, port).into()
    }

    /// Its IPv6 address with a port.
    pub fn v6(&self, port: u16) -> SocketAddr {
        (self.spec.addresses.v6, port).into()
    }

    /// Whether an address is one of this node's own.
    pub fn has(&self, address: IpAddr) -> bool {
        self.spec.addresses.both().contains(&address)
    }
}

impl Pod {
    /// Where its echo server listens over IPv4.
    pub fn v4(&self) -> SocketAddr {
        (self.addresses.v4, self.port).into()
    }

    /// Where its echo server listens over IPv6.
    pub fn v6(&self) -> SocketAddr {
        (self.addresses.v6, self.port).into()
    }

    /// Refuses new clients; open connections go on being answered.
    pub fn stop_listening(&self) {
        if let Some(echo) = &self.echo {
            echo.stop_listening(&self.runtime);
        }
    }

    /// Ends the pod as a kill of its processes does: its connections are cut, and its network is
    /// gone on return.
    ///
    /// # Errors
    /// If its link cannot be removed.
    pub fn kill(mut self) -> Result<()> {
        self.end()
    }

    /// Takes the pod off the network without a word to anybody, as a crash of its host would; on
    /// the host's network this does nothing.
    pub fn unplug(&mut self) -> Result<()> {
        match self.link.take() {
            Some((home, link)) => home.configure(|net| net.remove(&link)),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        if let Some(echo) = self.echo.take() {
            echo.kill(&self.runtime);
        }
        self.unplug()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("{}: {error:#}", self.name);
        }
    }
}

impl Place for Node {
    fn netns(&self) -> &Netns {
        &self.netns
    }
}

impl Place for Pod {
    fn netns(&self) -> &Netns {
        &self.netns
    }
}
