//! Many clients at once, and who answered them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{ask_udp, connect, runtime};
use super::{Failure, Protocol};

/// How the answers to many clients were spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Answers by server name.
    pub answers: BTreeMap<String, usize>,
    /// Clients that got none, by reason.
    pub failures: BTreeMap<Failure, usize>,
}

impl Spread {
    /// How many clients a server answered.
    pub fn of(&self, server: &str) -> usize {
        self.answers.get(server).copied().unwrap_or(0)
    }

    /// How many clients got an answer.
    pub fn answered(&self) -> usize {
        self.answers.values().sum()
    }

    /// How many clients got none.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// How many clients were answered by any of these servers.
    pub fn of_all<'a>(&self, servers: impl IntoIterator<Item = &'a crate::world::Pod>) -> usize {
        servers.into_iter().map(|pod| self.of(&pod.name)).sum()
    }

    /// Adds others' results.
    pub fn add(&mut self, more: &Self) {
        for (server, count) in &more.answers {
            *self.answers.entry(server.clone()).or_default() += count;
        }
        for (failure, count) in &more.failures {
            *self.failures.entry(failure.clone()).or_default() += count;
        }
    }

    pub(super) fn count(&mut self, result: Result<String, Failure>) {
        match result {
            Ok(server) => *self.answers.entry(server).or_default() += 1,
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self
            .answers
            .iter()
            .map(|(server, n)| format!("{server}: {n}"));
        let failures = self
            .failures
            .iter()
            .map(|(failure, n)| format!("{failure}: {n}"));
        f.write_str(&answers.chain(failures).collect::<Vec<_>>().join(", "))
    }
}

/// Asks `count` times, each from a new connection or source port that is closed after its answer,
/// at most `concurrency` at a time.
pub fn spread(
    to: SocketAddr,
    protocol: Protocol,
    count: usize,
    concurrency: usize,
    patience: Duration,
) -> Result<Spread, Failure> {
    let ask = move || async move {
        match protocol {
            Protocol::Udp => Ok(ask_udp(to, None, patience).await?.answered_by),
            Protocol::Tcp | Protocol::Sctp => {
                Ok(connect(to, protocol, patience).await?.answered_by)
            }
        }
    };
    let mut spread = Spread::default();
    repeat(count, concurrency, ask)?
        .into_iter()
        .for_each(|result| spread.count(result));
    Ok(spread)
}

/// Runs `once` `count` times in the calling thread's namespace, `concurrency` at a time.
pub(super) fn repeat<T, F>(
    count: usize,
    concurrency: usize,
    once: impl Fn() -> F + Clone + Send + 'static,
) -> Result<Vec<Result<T, Failure>>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    runtime()?.block_on(async {
        let started = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..concurrency.clamp(1, count.max(1)) {
            let (started, once) = (started.clone(), once.clone());
            workers.spawn(async move {
                let mut results = Vec::new();
                while started.fetch_add(1, Ordering::Relaxed) < count {
                    results.push(once().await);
                }
                results
            });
        }
        Ok(workers.join_all().await.into_iter().flatten().collect())
    })
}
