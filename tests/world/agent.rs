//! How the lab runs agents. A shell script stands in for the agent and tells what it sees.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lab::world::{Setup, Topology, World};
use tempfile::TempDir;

/// Prints `KEY=VALUE` lines of what the container is like.
const OBSERVER: &str = r#"#!/bin/sh
echo "arguments=$*"
echo "node=$NODE_NAME"
echo "home=$HOME"
grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\t' | sed 's/:/=/'
grep server: /var/lib/spillway/kubeconfig.conf | sed 's/.*server: /server=/'
grep clusterCIDR: /var/lib/spillway/config.conf | sed 's/.*clusterCIDR: /cidr=/'
echo "token=$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)"
touch /new 2>/dev/null && echo "root=writable" || echo "root=sealed"
echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward && echo "own=writable" || echo "own=sealed"
echo 4321 2>/dev/null >/host/proc/sys/net/ipv4/conf/eth0/tag && echo "host=writable"
for link in /sys/class/net/*; do echo "link=$link"; done
echo "started"
"#;

/// Lives until it is told to end.
const OBEDIENT: &str =
    "#!/bin/sh\ntrap 'echo bye; exit 3' TERM\necho started\nwhile :; do sleep 0.1; done\n";

/// Fails as a misconfigured agent would.
const DOOMED: &str = "#!/bin/sh\necho 'no such thing' >&2\nexit 1\n";

pub fn an_agent_runs_as_the_manifests_say() -> Result<()> {
    let world = World::start(&Topology::one_cluster(2))?;
    let (_home, setup) = stand_in(OBSERVER)?;
    let agent = world.agent_with("east-2", &setup.argument("--more"))?;
    agent.wait_log("started")?;
    let log = agent.log();
    for wanted in [
        "arguments=agent --config=/var/lib/spillway/config.conf \
         --kubeconfig=/var/lib/spillway/kubeconfig.conf --node=east-2 --proc-sys=/host/proc/sys \
         --more",
        "node=east-2",
        "home=",
        // CAP_NET_ADMIN is number 12, and there is nothing else.
        "CapEff=0000000000001000",
        "CapBnd=0000000000001000",
        "NoNewPrivs=1",
        "server=http://172.16.1.254:6443",
        "cidr=\"10.1.0.0/16,fd00:10:1::/48\"",
        "token=token-of-kube-system-spillway",
        "root=sealed",
        "own=sealed",
        "host=writable",
        "link=/sys/class/net/eth0",
    ] {
        ensure!(
            log.iter().any(|line| line == wanted),
            "no {wanted:?} in {log:#?}"
        );
    }
    // The node's own setting was written, not this thread's namespace's.
    let key = "/proc/sys/net/ipv4/conf/eth0/tag";
    let node = world.node("east-2")?;
    let written = lab::world::Place::netns(node).enter(|| fs::read_to_string(key))??;
    ensure!(written.trim() == "4321", "{key} is {written}");
    ensure!(
        world
            .cluster("east")?
            .api()
            .get("ClusterRole", "", "spillway")
            .is_some(),
        "the manifests are not applied"
    );
    Ok(())
}

pub fn an_agent_ends_as_told() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let (_home, setup) = stand_in(OBEDIENT)?;
    let agent = world.agent_with("east-1", &setup)?;
    agent.wait_log("started")?;
    ensure!(agent.rss_mib()? > 0.1, "it uses {} MiB", agent.rss_mib()?);
    let status = agent.terminate()?;
    ensure!(status.code() == Some(3), "it ended by {status}");

    let agent = world.agent_with("east-1", &setup)?;
    agent.wait_log("started")?;
    let process = format!("/proc/{}", agent.pid());
    ensure!(fs::exists(&process)?);
    agent.kill9()?;
    ensure!(!fs::exists(&process)?);
    Ok(())
}

pub fn an_agent_that_dies_at_once_is_reported_with_its_last_words() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let (_home, setup) = stand_in(DOOMED)?;
    let agent = world.agent_with("east-1", &setup)?;
    let begin = Instant::now();
    let error = agent.wait_ready().err().context("it claims to be ready")?;
    ensure!(error.to_string().ends_with("no such thing"), "{error}");
    ensure!(
        begin.elapsed().as_secs() < 10,
        "that took {:?}",
        begin.elapsed()
    );
    Ok(())
}

/// A setup that runs a shell script in the agent's place, and the folder that holds it.
fn stand_in(script: &str) -> Result<(TempDir, Setup)> {
    let home = tempfile::tempdir()?;
    let binary = home.path().join("spillway");
    fs::write(&binary, script)?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
    Ok((
        home,
        Setup {
            binary,
            ..Setup::default()
        },
    ))
}
