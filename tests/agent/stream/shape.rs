//! What a node's kernel holds, in words that do not depend on what was before: marks stand for
//! what is behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lab::world::{Node, Place};
use serde_json::Value;
use spillway::kernel::ipvs::{Client, ServiceKey};

use crate::bed::tool;

/// The marks of virtual servers, and the bits that make verdicts of them (docs/dataplane.md).
const MARKS: std::ops::Range<u64> = 0x0100_0000..0x0200_0000;
const REFUSED: u64 = 0x0080_0000;
const DROPPED: u64 = 0x0040_0000;

/// Addresses, members of sets and maps, virtual servers with their real servers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub lines: BTreeSet<String>,
    /// Real servers that only finish what they have.
    pub draining: usize,
}

impl Shape {
    /// What a node's kernel holds now.
    pub fn of(node: &Node) -> Result<Self> {
        let (servers, draining) = node.netns().enter(servers)??;
        let mut lines = BTreeSet::new();
        for (mark, text) in &servers {
            lines.insert(format!("virtual server {text}"));
            ensure!(MARKS.contains(mark), "whose is the mark {mark:#x}?");
        }
        let addresses = node
            .netns()
            .enter(|| tool("ip -o address show dev kube-ipvs0"))??;
        for address in addresses.lines() {
            let words: Vec<&str> = address.split_whitespace().skip(2).take(2).collect();
            lines.insert(words.join(" "));
        }
        let table = node
            .netns()
            .enter(|| tool("nft -j list table inet spillway"))??;
        let table: Value = serde_json::from_str(&table).context("nft's JSON")?;
        for object in table["nftables"].as_array().into_iter().flatten() {
            for kind in ["set", "map"] {
                let set = &object[kind];
                for element in set["elem"].as_array().into_iter().flatten() {
                    let element = without_marks(element, &servers);
                    lines.insert(format!("{} {element}", set["name"]));
                }
            }
        }
        Ok(Self { lines, draining })
    }

    /// What one has and the other has not.
    pub fn difference(&self, other: &Self) -> String {
        let only = |one: &Self, other: &Self, sign: &str| -> Vec<String> {
            let lines = one.lines.difference(&other.lines);
            lines.map(|line| format!("{sign} {line}")).collect()
        };
        [only(self, other, "-"), only(other, self, "+")]
            .concat()
            .join("\n")
    }
}

/// Whether any virtual server of a node leads to this real server.
pub fn routes_to(node: &Node, to: SocketAddr) -> Result<bool> {
    node.netns().enter(|| {
        let mut client = Client::connect()?;
        for entry in client.services()? {
            let reals = client.destinations(&entry.service.key)?;
            let mut reals = reals.iter().map(|real| &real.destination);
            if reals.any(|real| (real.ip, real.port) == (to.ip(), to.port()) && real.weight > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    })?
}

/// All virtual servers in words, by mark, and how many of their real servers take nothing new.
fn servers() -> Result<(BTreeMap<u64, String>, usize)> {
    let mut client = Client::connect()?;
    // The kernel lists the families of a mark in any order.
    let mut servers: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut draining = 0;
    for entry in client.services()? {
        let ServiceKey::Mark { family, mark } = entry.service.key else {
            continue;
        };
        let mut reals = Vec::new();
        for real in client.destinations(&entry.service.key)? {
            let real = real.destination;
            draining += usize::from(real.weight == 0);
            reals.push(format!(
                "{}:{} weight {} limits {} {}",
                real.ip,
                real.port,
                real.weight,
                capacity(real.lower_threshold),
                capacity(real.upper_threshold)
            ));
        }
        reals.sort();
        let service = entry.service;
        servers.entry(mark.into()).or_default().insert(format!(
            "[{family} {:?} {:?} {reals:?}]",
            service.scheduler, service.flags
        ));
    }
    let in_words = |(mark, families): (u64, BTreeSet<String>)| {
        let text = families.into_iter().collect::<String>();
        (mark, text)
    };
    Ok((servers.into_iter().map(in_words).collect(), draining))
}

/// The capacity behind a limit, in tens, as those of the stream are. What it lies above them is
/// head-room, three in a hundred at most, and a matter of what was before: a little more or less is not
/// worth an edit.
fn capacity(limit: u32) -> u32 {
    limit / 10 * 10
}

/// An element with what a mark stands for in its place.
fn without_marks(element: &Value, servers: &BTreeMap<u64, String>) -> Value {
    match element {
        Value::Array(all) => all.iter().map(|one| without_marks(one, servers)).collect(),
        Value::Object(all) => {
            let all = all
                .iter()
                .map(|(name, one)| (name.clone(), without_marks(one, servers)));
            Value::Object(all.collect())
        }
        Value::Number(number) => match number.as_u64().filter(|number| MARKS.contains(number)) {
            Some(mark) if mark & REFUSED != 0 => "refused".into(),
            Some(mark) if mark & DROPPED != 0 => "dropped".into(),
            Some(mark) => servers.get(&mark).map_or("nothing", String::as_str).into(),
            None => element.clone(),
        },
        _ => element.clone(),
    }
}
