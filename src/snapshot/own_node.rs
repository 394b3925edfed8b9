use std::net::IpAddr;

use crate::model::Node;
use crate::watch::Change;

/// The Node that this agent runs on.
#[derive(Debug, Default)]
pub struct OwnNode {
    /// What the operator wrote, which goes before the addresses that it says it has.
    first: Option<IpAddr>,
    node: Node,
    /// Whether the list that has begun has named it.
    named: bool,
    listed: bool,
}

impl OwnNode {
    /// Whose first address is this.
    pub fn at(first: Option<IpAddr>) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// As it was last said to be.
    pub fn get(&self) -> &Node {
        &self.node
    }

    /// Whether a full list has been completed.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Takes in a change; true if Services have to be planned again for it.
    pub fn apply(&mut self, change: Change<Node, ()>) -> bool {
        match change {
            Change::Apply(mut node) => {
                node.tuning.or_before(&self.node.tuning);
                if let Some(first) = self.first {
                    node.ips.retain(|ip| *ip != first);
                    node.ips.insert(0, first);
                }
                let before = std::mem::replace(&mut self.node, node);
                self.named = true;
                self.node.zone != before.zone
                    || self.node.ips != before.ips
                    || self.node.tuning != before.tuning
            }
            Change::Delete(()) => {
                self.delete();
                false
            }
            Change::Listing => {
                self.named = false;
                false
            }
            Change::Listed => {
                self.listed = true;
                if !self.named {
                    self.delete();
                }
                false
            }
        }
    }

    /// All else stays as it was: a node whose object is gone still has its pods.
    fn delete(&mut self) {
        self.node.eligible = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example::ip;

    fn node(ips: &[&str]) -> Change<Node, ()> {
        Change::Apply(Node {
            zone: Some("a".into()),
            ips: ips.iter().map(|text| ip(text)).collect(),
            eligible: true,
            ..Node::default()
        })
    }

    /// It was deleted while the watch was down.
    #[test]
    fn a_node_that_a_new_list_does_not_name_is_as_good_as_deleted() {
        let mut own = OwnNode::default();
        own.apply(node(&[]));
        own.apply(Change::Listing);
        assert!(own.get().eligible, "the list has not ended");
        assert!(!own.apply(Change::Listed), "what it has stays as it was");
        assert!(!own.get().eligible);
        assert_eq!(own.get().zone.as_deref(), Some("a"));
        // It may come back, by a list too.
        for change in [Change::Listing, node(&[]), Change::Listed] {
            own.apply(change);
        }
        assert!(own.get().eligible);
    }

    #[test]
    fn its_first_address_is_the_one_that_the_operator_has_given() {
        let mut own = OwnNode::at(Some(ip("192.0.2.2")));
        assert!(own.get().ips.is_empty(), "nothing is known of it yet");
        for said in [
            &["192.0.2.1", "192.0.2.2", "2001:db8::1"] as &[_],
            &["192.0.2.1", "2001:db8::1"],
        ] {
            own.apply(node(said));
            let wanted = ["192.0.2.2", "192.0.2.1", "2001:db8::1"].map(ip);
            assert_eq!(own.get().ips, wanted);
        }
    }
}
