//! The exchange of reports, without the network.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{
    ENTRY, Entry, REPORT, SUMMARIES, read_report, read_summaries, write_entry, write_summary,
    write_zone,
};
use super::local::{FRESH, Wanted};
use super::post::Post;
use super::seal::{Keys, Rejected, Sealer};
use super::table::{Due, LASTS, Table};
use super::{Peers, key_hash};
use crate::capacity::{Key, Summary};

/// After how long without a word from the core its demand is none.
const SILENT: Duration = Duration::from_secs(5);

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Of the clock that never goes back.
    pub instant: Instant,
    /// Of the clock that all nodes have: microseconds since 1970.
    pub unix_micros: u64,
}

/// What this node wants and has of a virtual server.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The virtual server.
    pub key: Key,
    /// Connections at a time that it wants, wherever they are served now.
    pub demand: f64,
    /// Connections at a time that the pods on it accept together; 0: it has none.
    pub capacity: u32,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// A summary that has come.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// The virtual server.
    pub key: Key,
    /// What all nodes want of it.
    pub summary: Arc<Summary>,
    /// When it came.
    pub at: Instant,
}

/// One agent's part in the exchange, as a reporter and as a keeper.
#[derive(Debug)]
pub struct Exchange {
    node: Arc<str>,
    zone: Option<Arc<str>>,
    sealer: Sealer,
    peers: Arc<Peers>,
    wanted: BTreeMap<u64, Wanted>,
    asked: Option<Instant>,
    table: Table,
    /// When another agent was heard of last.
    heard: Option<Instant>,
}

impl Exchange {
    /// Of the agent on this node, which knows of no other yet. With keys, what is sent is sealed
    /// and only what is sealed is taken; without, what comes from the addresses of agents.
    pub fn new(node: Arc<str>, keys: Keys) -> Self {
        Self {
            sealer: Sealer::new(node.clone(), keys),
            node,
            zone: None,
            peers: Arc::default(),
            wanted: BTreeMap::new(),
            asked: None,
            table: Table::default(),
            heard: None,
        }
    }

    /// Which agents there are.
    pub fn peers(&mut self, peers: Arc<Peers>) {
        if self.peers == peers {
            return;
        }
        self.peers = peers;
        for (key, wanted) in &mut self.wanted {
            wanted.keep(self.peers.keepers(*key));
        }
    }

    /// What this node, in this zone, wants and has. Whatever is not named is not wanted any more.
    pub fn demand(&mut self, zone: Option<Arc<str>>, asked: &[Asked], now: Now) {
        self.zone = zone;
        self.asked = Some(now.instant);
        let mut before = std::mem::take(&mut self.wanted);
        for asked in asked.iter().cloned() {
            let key = key_hash(&asked.key);
            let wanted = match before.remove(&key) {
                Some(mut wanted) => {
                    wanted.ask(asked);
                    wanted
                }
                None => Wanted::new(asked, self.peers.keepers(key)),
            };
            self.wanted.insert(key, wanted);
        }
    }

    /// Whether [`Self::tick`] has nothing to do until something comes.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.table.is_empty()
    }

    /// Takes a datagram. Answers wait for the next tick: one summary then covers all reports.
    pub fn on_datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), Rejected> {
        let opened = self.sealer.open(bytes, now.unix_micros)?;
        let peer = self.peers.get(opened.node).ok_or(Rejected::Stranger)?;
        if !self.sealer.is_keyed() && peer.address.ip() != from.ip().to_canonical() {
            return Err(Rejected::Stranger);
        }
        let node = peer.node.clone();
        let before = self.heard.replace(now.instant);
        let gap = before.map(|at| now.instant.saturating_duration_since(at));
        if gap.is_some_and(|gap| gap >= LASTS) {
            self.table.listen(now.instant);
        }
        match opened.kind {
            REPORT => {
                let (zone, entries) = read_report(opened.body).ok_or(Rejected::Malformed)?;
                for entry in entries {
                    self.table
                        .take(&node, zone, entry, opened.stamp, now.instant);
                }
            }
            SUMMARIES => {
                let summaries = read_summaries(opened.body).ok_or(Rejected::Malformed)?;
                for (key, summary) in summaries {
                    if let Some(wanted) = self.wanted.get_mut(&key) {
                        wanted.hear(&node, Arc::new(summary), opened.stamp, now.instant);
                    }
                }
            }
            _ => return Err(Rejected::Malformed),
        }
        Ok(())
    }

    /// What is to be sent now, and which summaries have come since the last tick. To be called a
    /// few times a second.
    pub fn tick(&mut self, now: Now) -> (Vec<Outgoing>, Vec<News>) {
        let silent = |at: Instant| now.instant.saturating_duration_since(at) >= SILENT;
        if self.asked.is_some_and(silent) {
            self.wanted.clear();
        }
        let mut outgoing = self.report(now);
        outgoing.extend(self.sum_up(now));
        let wanted = self.wanted.values_mut();
        let news = wanted.filter_map(|wanted| wanted.news(now.instant));
        (outgoing, news.collect())
    }

    fn report(&mut self, now: Now) -> Vec<Outgoing> {
        let stamp = self.sealer.stamp(now.unix_micros);
        let mut head = Vec::new();
        write_zone(self.zone.as_deref(), &mut head);
        let mut post = Post::new(self.sealer.space(), head);
        for (key, wanted) in &mut self.wanted {
            let Some(entry) = wanted.report(*key, now.instant) else {
                continue;
            };
            for keeper in &wanted.keepers {
                if *keeper == self.node {
                    let zone = self.zone.as_deref();
                    self.table.take(keeper, zone, entry, stamp, now.instant);
                } else {
                    post.add(keeper, &entry_bytes(entry));
                }
            }
        }
        self.seal(REPORT, stamp, post)
    }

    fn sum_up(&mut self, now: Now) -> Vec<Outgoing> {
        let stamp = self.sealer.stamp(now.unix_micros);
        let space = self.sealer.space();
        let mut post = Post::new(space, Vec::new());
        // One that hears of nobody is cut off, and would take all there is. The other keeper of
        // what it keeps would be heard of, even if nobody else wants anything.
        let lately = |at| now.instant.saturating_duration_since(at) < FRESH;
        let believes = self.heard.is_some_and(lately);
        for Due { key, summary, to } in self.table.tick(space, now.instant) {
            let mut bytes = Vec::new();
            write_summary(key, &summary, &mut bytes);
            for node in &to {
                if *node != self.node {
                    post.add(node, &bytes);
                } else if let Some(wanted) = self.wanted.get_mut(&key)
                    && (believes || wanted.keepers == [self.node.clone()])
                {
                    wanted.hear(node, summary.clone(), stamp, now.instant);
                }
            }
        }
        self.seal(SUMMARIES, stamp, post)
    }

    /// Who is no agent any more, or not reachable, gets nothing.
    fn seal(&self, kind: u8, stamp: u64, post: Post) -> Vec<Outgoing> {
        post.bodies()
            .filter_map(|(node, body)| {
                Some(Outgoing {
                    to: self.peers.get(&node)?.address,
                    bytes: self.sealer.seal(kind, stamp, &body),
                })
            })
            .collect()
    }
}

fn entry_bytes(entry: Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRY);
    write_entry(entry, &mut bytes);
    bytes
}
