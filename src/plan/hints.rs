//! Hints: endpoints that are meant for the clients of some nodes or zones only.
//!
//! The control plane writes them (`spec.trafficDistribution`, KEP-4444). They are a filter, as in
//! kube-proxy's `CategorizeEndpoints`: what is not meant for this node's clients does not serve
//! them, and levels, weights and capacity hold among what is left.

use super::Here;
use crate::model::{Endpoint, Hints};

/// Which endpoints are meant for this node's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// All of them.
    All,
    /// Those with a hint for this node.
    Node,
    /// Those with a hint for its zone.
    Zone,
}

impl Meant {
    /// What the hints of these endpoints say together, all of the cluster that are ready. A kind
    /// of hint counts only if every endpoint has one, since they are written one by one, and if
    /// any is for this node.
    pub fn of(ready: &[&Endpoint], here: &Here) -> Self {
        let every = |kind: fn(&Hints) -> bool| {
            let mut hints = ready.iter().map(|endpoint| endpoint.hints.as_deref());
            hints.all(|hints| hints.is_some_and(kind))
        };
        let any = |meant: Self| ready.iter().any(|endpoint| meant.includes(endpoint, here));
        if every(|hints| !hints.nodes.is_empty()) && any(Self::Node) {
            Self::Node
        } else if every(|hints| !hints.zones.is_empty()) && any(Self::Zone) {
            Self::Zone
        } else {
            Self::All
        }
    }

    /// Whether an endpoint is among them.
    pub fn includes(self, endpoint: &Endpoint, here: &Here) -> bool {
        let hints = endpoint.hints.as_deref();
        match (self, hints, &here.zone) {
            (Self::All, ..) => true,
            (Self::Node, Some(hints), _) => hints.nodes.contains(&here.node),
            (Self::Zone, Some(hints), Some(zone)) => hints.zones.contains(zone),
            (Self::Node | Self::Zone, ..) => false,
        }
    }
}
