//! Who is masqueraded: whose address the real server does not see, but that of this node.
//!
//! | client | to | masqueraded |
//! |---|---|---|
//! | a pod that is its own real server | anything | yes |
//! | this node, from a virtual address | anything | yes |
//! | outside, or a pod | outside's frontends of a service with policy `Local` | no |
//! | this node | the same | yes |
//! | any | other frontends of outside: node ports, external addresses | yes |
//! | outside | `ClusterIP` | yes, where pods can be told from others |
//! | a pod | `ClusterIP` | no |

use super::Base;
use super::chains::RESTORE;
use super::expression::Next;
use super::field::Field;
use super::pinned;
use super::rule::Rule;
use super::set::Set;
use crate::model::Family;

/// Sets the bit that `postrouting` acts on.
pub const MASQUERADE: &str = "masquerade";

/// `sent_on`: the packet is on its way to a real server elsewhere. Whether that will see the
/// client's own address is decided here, while the packet can still be told from others.
pub fn sent_on(base: &Base) -> Vec<Rule> {
    let mut rules = vec![
        pinned::new_clients(),
        Rule::new().next(Next::Jump(RESTORE)),
        // The decision stands for the connection: no nat chain sees its later packets.
        Rule::new().confirmed().next(Next::Return),
    ];
    for family in Family::ALL {
        rules.extend(without_a_way_back(family));
        rules.extend(under_policy_local(family));
    }
    if base.masquerade_all {
        rules.push(Rule::new().goto(MASQUERADE));
        return rules;
    }
    for family in Family::ALL {
        rules.extend(by_external_frontend(family));
    }
    rules.extend(from_outside(base));
    rules
}

/// Those whose replies would not find back, whatever they asked for.
fn without_a_way_back(family: Family) -> [Rule; 3] {
    let source = Field::Source(family);
    [
        // A host process that talks to a virtual address has that one for its source, since it
        // is local; every node has it, so the reply would not find back.
        Rule::new()
            .family(family)
            .when_in(&[source], Set::Vips(family).name())
            .goto(MASQUERADE),
        // An endpoint that is its own client would answer itself directly.
        Rule::new()
            .family(family)
            .when_in(
                &[source, Field::Destination(family)],
                Set::Hairpin(family).name(),
            )
            .goto(MASQUERADE),
        // A host of another cluster has no route to the pods of this one.
        Rule::new()
            .family(family)
            .when_in(
                &[Field::Destination(family), Field::Protocol, Field::Port],
                Set::Hosts(family).name(),
            )
            .goto(MASQUERADE),
    ]
}

/// The point of policy `Local` is that real servers see who their clients are. Clients from outside
/// get those of this node, which answer through it; pods have a way back from every node. Only the
/// node itself might be asked back at an address that the other nodes have as well.
fn under_policy_local(family: Family) -> Vec<Rule> {
    let original = Field::OriginalDestination(family);
    let by_address = || {
        let key = [original, Field::Protocol, Field::OriginalPort];
        Rule::new()
            .family(family)
            .when_mapped(&key, Set::Outside(family).name())
    };
    let by_node_port = || {
        let key = [Field::Protocol, Field::OriginalPort];
        Rule::new()
            .family(family)
            .unless_in(&[original], Set::Vips(family).name())
            .when_mapped(&key, Set::OutsideNodePorts(family).name())
    };
    vec![
        by_address().sent_here().goto(MASQUERADE),
        by_address().next(Next::Return),
        by_node_port().sent_here().goto(MASQUERADE),
        by_node_port().next(Next::Return),
    ]
}

/// Replies to what came to a node port or an external address must go back through this node, to
/// which alone the client speaks. That holds for pods, too: they asked for an address of the outside.
fn by_external_frontend(family: Family) -> [Rule; 2] {
    let original = Field::OriginalDestination(family);
    [
        Rule::new()
            .family(family)
            .unless_in(&[original], Set::Vips(family).name())
            .goto(MASQUERADE),
        Rule::new()
            .family(family)
            .when_in(
                &[original, Field::Protocol, Field::OriginalPort],
                Set::External(family).name(),
            )
            .goto(MASQUERADE),
    ]
}

/// Clients from outside of the cluster are masqueraded, since the network may give them another way
/// back than through this node. Nobody is outside where nobody can tell who is.
fn from_outside(base: &Base) -> Vec<Rule> {
    let mut rules = Vec::new();
    for all in base.pods.known() {
        rules.extend(all.pods.into_iter().map(|pod| pod.next(Next::Return)));
        rules.push(all.clients.goto(MASQUERADE));
    }
    rules
}

/// `masquerade`: only a nat chain can masquerade, so leave it word.
pub fn masquerade(base: &Base) -> Vec<Rule> {
    vec![Rule::new().set_mark_bit(base.masquerade_mark(), true)]
}

/// `postrouting`: does what the bit says. It is Kubernetes' own bit: as with kube-proxy, others may
/// set it and get the same.
pub fn postrouting(base: &Base) -> Vec<Rule> {
    let bit = base.masquerade_mark();
    vec![
        Rule::new()
            .mark_under(bit, bit)
            .set_mark_bit(bit, false)
            .masquerade(),
    ]
}
