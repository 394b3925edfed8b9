//! What the agent may do, and what it does.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use apiserver::User;
use lab::traffic::Protocol;

use crate::bed::{Bed, until, until_served_by};

const TRACING: &str = "/sys/kernel/tracing";
/// Programs that are executed, and modules that the kernel wants.
const EVENTS: [&str; 2] = ["sched/sched_process_exec", "module/module_request"];

/// The kernel's own trace of every program that is executed on the machine, from before the agent
/// starts until after it has ended.
pub fn the_agent_never_executes_anything() -> Result<()> {
    let _trace = Trace::start()?;
    let mut bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    bed.cluster()?.set_endpoints(&web, &bed.pods[1..])?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all[1..])?;
    let agent = bed.agent.take().context("an agent")?;
    let pid = agent.pid();
    agent.terminate()?;

    let executed = Trace::lines("sched_process_exec")?;
    let own = |line: &&String| line.contains(&format!(" pid={pid} "));
    let (own, others): (Vec<&String>, Vec<&String>) = executed.iter().partition(own);
    ensure!(
        own.len() == 1,
        "the agent itself was started once: {executed:#?}"
    );
    // Not even the kernel's own `modprobe`, which could not be told from an agent's: what the agent
    // needs is loaded beforehand, by the lab.
    ensure!(
        others.is_empty(),
        "these were executed too: {others:#?}; modules were asked for: {:#?}",
        Trace::lines("module_request")?
    );
    Ok(())
}

pub fn the_cluster_role_is_no_wider_than_what_the_agent_asks_for() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web(&bed.pods)?;
    let all: Vec<_> = bed.pods.iter().collect();
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all)?;
    let api = bed.cluster()?.api();
    // A cut watch and a compaction make it list as well.
    api.serve_watch_list(false);
    api.compact();
    api.cut_watches();
    bed.cluster()?.set_endpoints(&web, &bed.pods[1..])?;
    until_served_by(&bed.client, web.v4(80), Protocol::Tcp, &all[1..])?;

    // Events are told by a node whose turn it is, and again half a minute later: the tests of
    // `serve::events` use these grants.
    let user = User::service_account("kube-system", "spillway");
    let unused = || {
        let mut unused = api.unused_grants(&user);
        unused.retain(|grant| !format!("{grant:?}").contains("events"));
        unused
    };
    until("it does all that it may", || Ok(unused().is_empty()))
        .with_context(|| format!("it may do more than it does: {:?}", unused()))?;
    let refused: Vec<_> = api
        .requests()
        .into_iter()
        .filter(|request| request.user == user.name && request.status == Some(403))
        .collect();
    ensure!(
        refused.is_empty(),
        "it asked for more than it may: {refused:?}"
    );
    Ok(())
}

/// The kernel's trace of `execve`, and of what makes the kernel itself execute something.
struct Trace;

impl Trace {
    fn start() -> Result<Self> {
        if !Path::new(TRACING).join("events").exists() {
            nix::mount::mount(
                Some("tracefs"),
                TRACING,
                Some("tracefs"),
                nix::mount::MsFlags::empty(),
                None::<&str>,
            )
            .context("the kernel's tracing file system cannot be mounted")?;
        }
        fs::write(format!("{TRACING}/trace"), "")?;
        for event in EVENTS {
            fs::write(format!("{TRACING}/events/{event}/enable"), "1")?;
        }
        fs::write(format!("{TRACING}/tracing_on"), "1")?;
        Ok(Self)
    }

    /// One line for each event of this name: who, when, what.
    fn lines(event: &str) -> Result<Vec<String>> {
        let trace = fs::read_to_string(format!("{TRACING}/trace"))?;
        let lines = trace.lines().filter(|line| line.contains(event));
        Ok(lines.map(str::to_owned).collect())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        for event in EVENTS {
            // A test that fails to switch it off leaves a trace that nobody reads.
            let _ = fs::write(format!("{TRACING}/events/{event}/enable"), "0");
        }
    }
}
