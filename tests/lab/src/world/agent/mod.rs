//! Agents: the real `spillway` binary, run on a node as the project's manifests say.

mod container;
mod fellows;
mod log;
mod manifest;
mod podspec;
mod setup;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use self::log::Log;
use super::http;
use super::netns::Netns;

pub use setup::Setup;

/// Where the agent answers `/healthz` and `/livez`.
const HEALTHZ: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10256);
/// Where the agent answers `/metrics` (kube-proxy's default).
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);

/// How long anything else than a start may take, under emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a start may take. The first one in a machine reads the binary, tens of megabytes with its
/// debug information, through the shared file system.
const START: Duration = Duration::from_secs(75);
/// How often to look whether the agent is ready while it prints nothing.
const LOOK: Duration = Duration::from_millis(100);
/// How much of the log to show when something fails.
const TAIL: usize = 40;

/// A running agent. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Agent {
    node: String,
    netns: Arc<Netns>,
    child: Child,
    log: Log,
    /// Its binary, as it sees it.
    program: PathBuf,
    /// What its file system was put together on.
    _root: TempDir,
}

impl Agent {
    fn start(
        node: &str,
        netns: &Arc<Netns>,
        container: &manifest::Container,
        setup: &Setup,
    ) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let mut child = container::spawn(container, &setup.binary, netns, root.path())
            .with_context(|| format!("start the agent on {node}"))?;
        let log = Log::default();
        if let Some(stream) = child.stdout.take() {
            log.follow(node, stream);
        }
        if let Some(stream) = child.stderr.take() {
            log.follow(node, stream);
        }
        Ok(Self {
            node: node.to_owned(),
            netns: netns.clone(),
            child,
            log,
            program: container.program.clone(),
            _root: root,
        })
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits until it has printed a line with a certain text.
    pub fn wait_log(&self, text: &str) -> Result<()> {
        ensure!(
            self.log.wait_line(text, PATIENCE),
            "the agent on {} has not printed {text:?}; its log ends with\n{}",
            self.node,
            self.log.tail(TAIL)
        );
        Ok(())
    }

    /// Waits until `/healthz` says 200: the first complete sync is done.
    pub fn wait_ready(&self) -> Result<()> {
        let end = Instant::now() + START;
        loop {
            let answer = self.healthz("/healthz");
            if matches!(answer, Ok((200, _))) {
                return Ok(());
            }
            if self.log.has_ended() || Instant::now() > end {
                bail!(
                    "the agent on {} is not ready ({answer:?}); its log ends with\n{}",
                    self.node,
                    self.log.tail(TAIL)
                );
            }
            // It prints something as it gets ready, so this is seldom the whole time.
            self.log.wait_change(LOOK);
        }
    }

    /// Gets a path from its health server: the status code and the body.
    pub fn healthz(&self, path: &str) -> Result<(u16, String)> {
        Ok(http::get(&self.netns, HEALTHZ, path)?)
    }

    /// Its metrics, by name with labels as printed, e.g. `a_total{b="c"}`.
    pub fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let (code, body) = http::get(&self.netns, METRICS, "/metrics")?;
        ensure!(code == 200, "/metrics answers {code}: {body}");
        body.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').context("no value")?;
                Ok((name.to_owned(), value.parse()?))
            })
            .collect::<Result<_>>()
            .with_context(|| format!("parse the metrics of the agent on {}", self.node))
    }

    /// Runs its binary within its container, as `kubectl exec` does, and waits for its end.
    pub fn exec(&self, arguments: &[&str]) -> Result<Output> {
        container::exec(&self.program, self.pid(), &self.netns, arguments)
            .with_context(|| format!("run {arguments:?} in the agent on {}", self.node))
    }

    /// Its resident memory in MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .context("the process has no memory")?
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// Kills it, as the kernel does when memory runs out; returns when it is gone.
    pub fn kill9(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        kill(Pid::from_raw(self.pid().try_into()?), Signal::SIGTERM)?;
        // Its streams close when it ends, which needs no polling.
        ensure!(
            self.log.wait_end(PATIENCE),
            "the agent on {} does not end; its log ends with\n{}",
            self.node,
            self.log.tail(TAIL)
        );
        Ok(self.child.wait()?)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
