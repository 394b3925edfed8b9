//! What the values of annotations mean. Spaces around the parts of a list do not count.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use crate::model::{
    Capacity, Evacuation, Level, Mode, Reach, Remote, RemoteUse, Scheduler, SliceCapacity, Weight,
};

/// The largest capacity factor, in percent.
const MOST_PERCENT: u32 = 10_000;
/// The longest id of a cluster (KEP-2149: shorter than 128 characters).
const LONGEST_ID: usize = 127;

/// `prefer`, `spill` or `balance`
pub fn mode(text: &str) -> Option<Mode> {
    [Mode::Prefer, Mode::Spill, Mode::Balance]
        .into_iter()
        .find(|mode| mode.name() == text.trim())
}

/// `node=100,zone=30,cluster=10,remote=1`, or some of these, each once
pub fn weights(text: &str) -> Option<Vec<(Level, Weight)>> {
    let mut weights: Vec<(Level, Weight)> = Vec::new();
    for part in parts(text) {
        let (level, weight) = part.split_once('=')?;
        let level = shared_level(level.trim_end())?;
        let weight = u16::try_from(number(weight.trim_start())?).ok()?;
        if weights.iter().any(|(other, _)| *other == level) {
            return None;
        }
        weights.push((level, NonZeroU16::new(weight)?));
    }
    Some(weights)
}

/// `self,node,zone,cluster,remote`, or some of these, each once and in any order; but `self` only
/// before others, since it concerns only few of a service's clients
pub fn levels(text: &str) -> Option<Vec<Level>> {
    let mut levels = Vec::new();
    for part in parts(text) {
        let level = Level::from_name(part)?;
        if levels.contains(&level) {
            return None;
        }
        levels.push(level);
    }
    match levels.iter().position(|level| *level == Level::Own) {
        None => Some(levels),
        Some(0) if levels.len() > 1 => Some(levels),
        Some(_) => None,
    }
}

/// `unlimited`, `auto`, or a number of connections
pub fn capacity(text: &str) -> Option<Capacity> {
    match text.trim() {
        "unlimited" => Some(Capacity::Unlimited),
        "auto" => Some(Capacity::Auto),
        text => NonZeroU32::new(number(text)?)
            .filter(|number| number.get() <= Capacity::MOST)
            .map(Capacity::Connections),
    }
}

/// A capacity for all endpoints, or one for each address with `*` for the others, as in
/// `10.1.1.5=100,10.1.1.6=50,*=80`
pub fn slice_capacity(text: &str) -> Option<SliceCapacity> {
    if !text.contains('=') {
        return Some(SliceCapacity {
            default: Some(capacity(text)?),
            of: Vec::new(),
        });
    }
    let mut found = SliceCapacity::default();
    for part in parts(text) {
        let (address, value) = part.split_once('=')?;
        let value = capacity(value)?;
        match address.trim_end() {
            "*" => {
                if found.default.replace(value).is_some() {
                    return None;
                }
            }
            address => {
                // As the addresses of endpoints are read.
                let ip: IpAddr = address.parse().ok()?;
                found.of.push((ip.to_canonical(), value));
            }
        }
    }
    found.of.sort_unstable_by_key(|(ip, _)| *ip);
    let twice = found.of.windows(2).any(|pair| match pair {
        [(one, _), (other, _)] => one == other,
        _ => false,
    });
    (!twice).then_some(found)
}

/// A factor with at most two decimal places, in percent
pub fn percent(text: &str) -> Option<NonZeroU32> {
    let text = text.trim();
    let (whole, hundredths) = match text.split_once('.') {
        None => (text, 0),
        Some((whole, tenths)) if tenths.len() == 1 => (whole, 10 * number(tenths)?),
        Some((whole, hundredths)) if hundredths.len() == 2 => (whole, number(hundredths)?),
        Some(_) => return None,
    };
    let percent = number(whole)?.checked_mul(100)?.checked_add(hundredths)?;
    NonZeroU32::new(percent).filter(|percent| percent.get() <= MOST_PERCENT)
}

/// `fallback`, `always` or `never`, and perhaps the nearest clusters, as in `fallback:b,c`
pub fn remote(text: &str) -> Option<Remote> {
    let (when, named) = match text.split_once(':') {
        None => (text, None),
        Some((when, named)) => (when, Some(named)),
    };
    let when = match when.trim() {
        "fallback" => RemoteUse::Fallback,
        "always" => RemoteUse::Always,
        "never" => RemoteUse::Never,
        _ => return None,
    };
    let mut order = Vec::new();
    for part in named.into_iter().flat_map(parts) {
        let cluster = cluster_id(part)?;
        if order.contains(&cluster) {
            return None;
        }
        order.push(cluster);
    }
    Some(Remote { when, order })
}

/// The name of an IPVS scheduler
pub fn scheduler(text: &str) -> Option<Scheduler> {
    Scheduler::from_name(text.trim())
}

/// Levels, and clusters as `cluster:ID`; an empty text evacuates nothing
pub fn evacuation(text: &str) -> Option<Evacuation> {
    let (mut levels, mut clusters) = (BTreeSet::new(), BTreeSet::new());
    if text.trim().is_empty() {
        return Some(Evacuation { levels, clusters });
    }
    for part in parts(text) {
        match part.strip_prefix("cluster:") {
            Some(id) => clusters.insert(cluster_id(id)?),
            None => levels.insert(shared_level(part)?),
        };
    }
    Some(Evacuation { levels, clusters })
}

/// `true` or `false`
pub fn flag(text: &str) -> Option<bool> {
    match text.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// `direct` or `host`
pub fn reach(text: &str) -> Option<Reach> {
    match text.trim() {
        "direct" => Some(Reach::Direct),
        "host" => Some(Reach::Host),
        _ => None,
    }
}

/// The id of a cluster: a DNS subdomain (RFC 1123) of at most 127 characters (KEP-2149)
pub fn cluster_id(text: &str) -> Option<Arc<str>> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let sound = text.len() <= LONGEST_ID && text.split('.').all(label);
    sound.then(|| text.into())
}

/// A level whose endpoints several clients share
fn shared_level(name: &str) -> Option<Level> {
    Level::from_name(name).filter(|level| *level != Level::Own)
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// A number of digits alone: the standard library would take a sign as well.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
