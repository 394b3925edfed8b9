//! Who is a pod: how pods' packets are told from those of clients from outside of the cluster
//! (`detectLocalMode` of kube-proxy).
//!
//! On the way in, everything about a packet can be seen. When IPVS sends it on, by the output hook, it
//! has no link any more that it came in by. So where pods are told by links, the connections of pods
//! are noted on the way in, in the set `inside`, for as long as it takes IPVS.

use ipnet::IpNet;

use super::field::Field;
use super::rule::Rule;
use crate::model::{Family, LinkName};

/// The set of connections whose first packet, which is still on its way, came from a pod.
pub const INSIDE: &str = "inside";
/// The most connections in `inside`. A pod's connection beyond that is masqueraded, not lost.
pub const INSIDE_SIZE: u32 = 65_536;
/// How long a connection is noted: IPVS is done with the packet in microseconds.
const INSIDE_MILLISECONDS: u64 = 1_000;

/// Who is a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pods {
    /// Who has an address in these networks. Of a family without any, nobody can tell.
    Within(Vec<IpNet>),
    /// Whose packets come in by these links.
    At(Links),
}

/// Which links are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// The one of this name.
    Named(LinkName),
    /// All whose names start so.
    StartingWith(LinkName),
}

impl Links {
    /// What the kernel's name for a link is compared with: as many bytes as matter.
    pub fn bytes(&self) -> Vec<u8> {
        /// `IFNAMSIZ`
        const LENGTH: usize = 16;
        match self {
            Self::Named(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(LENGTH, 0);
                bytes
            }
            Self::StartingWith(prefix) => prefix.as_str().as_bytes().to_vec(),
        }
    }
}

/// Clients of which some are known to be pods.
pub struct Known {
    /// For these clients.
    pub clients: Rule,
    /// For those of them that are pods.
    pub pods: Vec<Rule>,
}

impl Pods {
    /// Narrows a rule, for packets of a family on their way in, to those that are no pod's.
    pub fn except(&self, family: Family, rule: Rule) -> Rule {
        match self {
            Self::Within(networks) => family.among(networks).fold(rule, |rule, network| {
                rule.beyond(Field::Source(family), network)
            }),
            Self::At(links) => rule.came_otherwise(links),
        }
    }

    /// Notes connections that IPVS is going to send on, where they cannot be told from others later.
    pub fn note(&self) -> Option<Rule> {
        match self {
            Self::Within(_) => None,
            Self::At(links) => Some(
                Rule::new()
                    .unconfirmed()
                    .came_by(links)
                    .note_connection(INSIDE, INSIDE_MILLISECONDS),
            ),
        }
    }

    /// The clients of first packets that IPVS sends on, as far as pods can be told among them.
    pub fn known(&self) -> Vec<Known> {
        match self {
            Self::Within(networks) => {
                let known = Family::ALL.map(|family| Known {
                    clients: Rule::new().family(family),
                    pods: family
                        .among(networks)
                        .map(|network| {
                            let rule = Rule::new().family(family);
                            rule.within(Field::Source(family), network)
                        })
                        .collect(),
                });
                let is_known = |it: &Known| !it.pods.is_empty();
                known.into_iter().filter(is_known).collect()
            }
            Self::At(_) => vec![Known {
                clients: Rule::new(),
                pods: vec![Rule::new().when_in(&[Field::Connection], INSIDE)],
            }],
        }
    }
}
