//! A network namespace for one test.

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::LinkUnspec;

/// `lo` is the first link of every network namespace.
const LOOPBACK: u32 = 1;

/// Moves the calling thread, and the threads and processes that it starts from now on, into a new
/// network namespace that has nothing but `lo`, which is up.
///
/// Beware of `/proc/net` and `/proc/self/net`, which show the namespace of the process' first
/// thread: read `/proc/thread-self/net` instead.
pub fn enter_fresh() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
    raise_loopback().context("set lo up")
}

/// Sets `lo` of the calling thread's network namespace up. Without it the namespace has no local
/// routing table, and IPVS refuses destinations with `EINVAL`.
pub fn raise_loopback() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let up = LinkUnspec::new_with_index(LOOPBACK).up().build();
        let outcome = handle.link().set(up).execute().await;
        connection.abort();
        Ok(outcome?)
    })
}
