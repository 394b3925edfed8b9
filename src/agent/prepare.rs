//! What a node's kernel needs once, before any Service: sysctls and time-outs, and how dear the agent is
//! to it.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::unistd::{SysconfVar, sysconf};
use tracing::warn;

use crate::config::Settings;
use crate::kernel::ipvs::{Client, Command};
use crate::kernel::sysctl::{self, KernelVersion, Setting};

/// Gives the node's sysctls the values that the data plane needs, and as far as possible those
/// that are configured for connection tracking: services work without them too.
///
/// The ones of IPVS are there only once its module is, so it is loaded first.
pub fn node(settings: &Settings) -> anyhow::Result<()> {
    Client::connect()?;
    let kernel = KernelVersion::running().context("the kernel's version cannot be told")?;
    let needed = sysctl::required(settings.strict_arp, kernel);
    if let Err(errors) = sysctl::apply(&settings.proc_sys, &needed) {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        bail!("{}", lines.join("\n"));
    }
    for error in sysctl::apply(&settings.proc_sys, &conntrack(settings))
        .err()
        .into_iter()
        .flatten()
    {
        warn!("{error}");
    }
    Ok(())
}

/// Whether the node has no IPv6. Its kernel would refuse every address of that family, for ever.
pub fn lacks_ipv6(settings: &Settings) -> bool {
    let lacks = !sysctl::has_ipv6(&settings.proc_sys);
    if lacks {
        warn!(
            "this node has no IPv6: Services are served at their IPv4 addresses alone; for the others \
             set net.ipv6.conf.all.disable_ipv6 to 0 (and boot without ipv6.disable), then restart the agent"
        );
    }
    lacks
}

/// Sets the IPVS time-outs that are configured; the others stay as they are.
pub fn timeouts(settings: &Settings) -> anyhow::Result<()> {
    let wanted = &settings.timeouts;
    if wanted.tcp.is_none() && wanted.tcp_fin.is_none() && wanted.udp.is_none() {
        return Ok(());
    }
    let mut ipvs = Client::connect()?;
    let mut timeouts = ipvs.timeouts()?;
    for (timeout, wanted) in [
        (&mut timeouts.tcp, wanted.tcp),
        (&mut timeouts.tcp_fin, wanted.tcp_fin),
        (&mut timeouts.udp, wanted.udp),
    ] {
        if let Some(seconds) = wanted.map(seconds) {
            *timeout = seconds;
        }
    }
    ipvs.submit(&[Command::SetConfig(timeouts)])
        .context("the IPVS time-outs cannot be set")
}

/// Does the same, as far as possible: services work without them too.
pub fn timeouts_or_warn(settings: &Settings) {
    if let Err(error) = timeouts(settings) {
        warn!("the IPVS time-outs (ipvs.*Timeout) stay as they are in the kernel: {error:#}");
    }
}

/// Has the kernel spare this process, or not, when memory runs out, as far as that is configured and
/// allowed.
pub fn spare(settings: &Settings) {
    let Some(score) = settings.oom_score_adj else {
        return;
    };
    if let Err(error) = adjust(score) {
        warn!(
            "oomScoreAdj: {score} cannot be had: {error}; give the container the capability \
             SYS_RESOURCE, or leave it to the kubelet, which spares pods that are system-node-critical"
        );
    }
}

fn adjust(score: i16) -> io::Result<()> {
    const SCORE: &str = "/proc/self/oom_score_adj";
    // What is right already may well be less than this process could ask for.
    if fs::read_to_string(SCORE)?.trim().parse() == Ok(score) {
        return Ok(());
    }
    fs::write(SCORE, score.to_string())
}

/// How many processors the node has, of which this container may have a few only.
fn processors() -> u32 {
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    let online = online.and_then(|number| u32::try_from(number).ok());
    online.unwrap_or(1).max(1)
}

/// The connection tracking sysctls, as kube-proxy sets them.
fn conntrack(settings: &Settings) -> Vec<Setting> {
    let wanted = &settings.conntrack;
    let processors = processors();
    [
        ("net/netfilter/nf_conntrack_max", wanted.max(processors)),
        (
            "net/netfilter/nf_conntrack_tcp_timeout_established",
            wanted.tcp_established.map(seconds),
        ),
        (
            "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
            wanted.tcp_close_wait.map(seconds),
        ),
        (
            "net/netfilter/nf_conntrack_tcp_be_liberal",
            wanted.tcp_be_liberal.then_some(1),
        ),
        (
            "net/netfilter/nf_conntrack_udp_timeout",
            wanted.udp.map(seconds),
        ),
        (
            "net/netfilter/nf_conntrack_udp_timeout_stream",
            wanted.udp_stream.map(seconds),
        ),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(Setting { key, value: value? }))
    .collect()
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_how_dear_this_process_is() {
        let score = || {
            let text = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
            text.trim().parse::<i16>().unwrap()
        };
        // To offer oneself more readily is allowed to everybody; not to be offered at all is not.
        let wanted = (score() + 1).min(1000);
        adjust(wanted).unwrap();
        assert_eq!(score(), wanted);
        adjust(wanted).unwrap();
        assert_eq!(score(), wanted);
    }
}
