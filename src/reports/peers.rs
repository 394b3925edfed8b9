use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Endpoint, EndpointSlice, Family, Protocol, mix, stable_hash};

/// The name of the port, in the agents' own Service, that takes reports.
pub const PORT_NAME: &str = "reports";

/// How many agents keep the reports of one virtual server.
const KEEPERS: usize = 2;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The name of its node.
    pub node: Arc<str>,
    /// Where it takes reports.
    pub address: SocketAddr,
    /// Whether it is ready, so that it may be a keeper.
    pub ready: bool,
    hash: u64,
}

/// All agents of the cluster, as the endpoints of their own Service tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    of: BTreeMap<Arc<str>, Peer>,
    agents: u32,
}

impl Peers {
    /// The agents that the slices of their Service name, as the agent on the node `me` reaches
    /// them: by the family of its own address; IPv4 if it has both.
    pub fn of(slices: &[&EndpointSlice], me: &str) -> Self {
        let listed: Vec<(&Endpoint, Family, u16)> = slices
            .iter()
            .filter(|slice| slice.cluster.is_none())
            .flat_map(|slice| {
                let port = slice
                    .ports
                    .iter()
                    .find(|port| &*port.name == PORT_NAME && port.protocol == Protocol::Udp);
                let endpoints = port.map(|port| (port.port.get(), &slice.endpoints));
                endpoints.into_iter().flat_map(move |(port, endpoints)| {
                    endpoints.iter().map(move |one| (one, slice.family, port))
                })
            })
            .collect();
        let mine =
            |(endpoint, ..): &&(&Endpoint, Family, u16)| endpoint.node.as_deref() == Some(me);
        let family = listed
            .iter()
            .filter(mine)
            .map(|(_, family, _)| *family)
            .min();
        let mut peers = Self::default();
        let mut agents = BTreeSet::new();
        for (endpoint, of, port) in listed {
            let Some(node) = &endpoint.node else { continue };
            agents.insert(node);
            if Some(of) == family {
                let address = SocketAddr::new(endpoint.ip, port);
                peers.put(node, address, endpoint.conditions.ready);
            }
        }
        peers.agents = u32::try_from(agents.len()).unwrap_or(u32::MAX);
        peers
    }

    /// Of two pods on one node, as while an agent is replaced, the one that is ready counts, else
    /// that with the lower address.
    fn put(&mut self, node: &Arc<str>, address: SocketAddr, ready: bool) {
        let peer = Peer {
            node: node.clone(),
            address,
            ready,
            hash: stable_hash([&**node]),
        };
        let known = self.of.entry(node.clone()).or_insert_with(|| peer.clone());
        if (peer.ready, known.address) > (known.ready, peer.address) {
            *known = peer;
        }
    }

    /// The agent on a node, if it is reachable.
    pub fn get(&self, node: &str) -> Option<&Peer> {
        self.of.get(node)
    }

    /// How many agents there are, with this one.
    pub fn agents(&self) -> u32 {
        self.agents
    }

    /// The nodes of the agents that keep the reports of a virtual server, the first one first:
    /// those with the highest hash of its name and theirs (rendezvous hashing: Thaler and
    /// Ravishankar, 1998). Who comes or goes moves only the virtual servers that it keeps.
    pub fn keepers(&self, key: u64) -> Vec<Arc<str>> {
        let mut best: Vec<(u64, &Peer)> = Vec::with_capacity(KEEPERS + 1);
        for peer in self.of.values().filter(|peer| peer.ready) {
            best.push((mix(key ^ peer.hash.rotate_left(32)), peer));
            best.sort_unstable_by(|a, b| (b.0, &a.1.node).cmp(&(a.0, &b.1.node)));
            best.truncate(KEEPERS);
        }
        best.into_iter()
            .map(|(_, peer)| peer.node.clone())
            .collect()
    }
}
