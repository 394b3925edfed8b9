//! The kernel modules that are loaded before the first program.

use std::process::Command;

use crate::machine::packages::output_of;

/// What a node of a cluster has loaded before Spillway starts: most of it by other components and by
/// a Spillway that ran before.
///
/// Left to itself the kernel loads each on request, by a `modprobe` of its own, and for each that
/// nftables lacks it begins the agent's transaction anew and asks again for all that it met before:
/// 30 processes for 6 modules. On an emulated processor they took five seconds of a first start on
/// an idle machine, and more than half a minute on a busy one. Here it is one process.
///
/// `ip_vs_dh` is left out: a test looks whether it is loaded on request.
const MODULES: [&str; 22] = [
    "ip_vs",
    "ip_vs_fo",
    "ip_vs_lc",
    "ip_vs_mh",
    "ip_vs_nq",
    "ip_vs_ovf",
    "ip_vs_rr",
    "ip_vs_sed",
    "ip_vs_sh",
    "ip_vs_wlc",
    "ip_vs_wrr",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib_inet",
    "nft_masq",
    "nft_reject_inet",
    "nf_conntrack_netlink",
    "dummy",
    // Those of the lab's own links and echo servers.
    "bridge",
    "sctp",
    "veth",
];

/// Loads them.
pub fn load() -> anyhow::Result<()> {
    output_of(Command::new("/sbin/modprobe").arg("--all").args(MODULES)).map(drop)
}
