//! The ground that the other tests stand on.

use std::fs;

use anyhow::ensure;

/// Nothing but `lo`, which is up and has its addresses, and no virtual server.
pub fn a_test_has_a_network_namespace_of_its_own() -> anyhow::Result<()> {
    let links = fs::read_to_string("/proc/thread-self/net/dev")?;
    let names: Vec<&str> = links
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect();
    ensure!(names == ["lo"], "links: {names:?}");

    let routes = fs::read_to_string("/proc/thread-self/net/fib_trie")?;
    ensure!(routes.contains("127.0.0.1"), "lo is down: {routes:?}");

    let servers = fs::read_to_string("/proc/thread-self/net/ip_vs")?;
    ensure!(
        servers.lines().skip(3).count() == 0,
        "virtual servers: {servers}"
    );
    Ok(())
}
