//! Two connections of one client that nothing but the address they asked for tells apart.
//!
//! A client may use one source port for several servers at a time. If it asks for two virtual
//! addresses or ports, and both lead it to the same real server, IPVS cannot tell the answers of the
//! one from those of the other: it looks for client and real server only, and takes the younger, until
//! that has been forgotten. The older connection would be dead to its client.
//! (`ip_vs_conn_out_get`; kubernetes/kubernetes#107249)
//!
//! Connection tracking can: it has seen that the younger one needs another source port on its way to
//! the real server, and has given it one. So that is how twins are noticed, and from then on the
//! answers to both are translated here, by what connection tracking knows, before they come to IPVS.
//!
//! Where one of the two is masqueraded there is no such sign, and they go unnoticed.

use super::chains::{Chain, inner};
use super::expression::Next;
use super::field::Field;
use super::rule::Rule;
use super::set::Set;
use crate::model::{Family, Protocol};

/// Notes the first packet of a twin.
const TWIN: &str = "twin";
/// Finds the answers to twins.
const ANSWER: &str = "answer";
/// Translates them.
const ANSWER_TO_TWIN: &str = "answer_to_twin";

/// The most pairs of client and real server with twins, in a family. Beyond that, the older twin is
/// lost.
pub const TWINS_SIZE: u32 = 65_536;
/// How long they are noted after the last answer to the younger: longer than IPVS remembers that one
/// (`ipvs.tcpTimeout`, 15 minutes). What is over counts until then, and ports come round again.
const TWINS_MILLISECONDS: u64 = 3_600_000;

/// Those whose checksums the kernel finds by itself.
const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// The set of clients and real servers that have two connections.
pub const fn twins(family: Family) -> &'static str {
    match family {
        Family::V4 => "twins_v4",
        Family::V6 => "twins_v6",
    }
}

/// For a chain that packets enter when they have their last source address.
pub fn notice() -> Rule {
    Rule::new()
        .new_connection()
        .source_translated()
        .next(Next::Jump(TWIN))
}

/// For a chain that answers enter before they come to IPVS.
pub fn translate() -> Rule {
    Rule::new().by_server().goto(ANSWER)
}

/// The chains.
pub fn chains() -> [Chain; 3] {
    let families = || Family::ALL.into_iter();
    [
        inner(TWIN, families().flat_map(twin).collect()),
        inner(ANSWER, families().map(answer).collect()),
        inner(
            ANSWER_TO_TWIN,
            families().flat_map(answer_to_twin).collect(),
        ),
    ]
}

/// `twin`: another port, but the client's own address, and somebody whom IPVS serves: others change
/// ports as well.
fn twin(family: Family) -> Vec<Rule> {
    let original = Field::OriginalDestination(family);
    let key = [
        Field::OriginalSource(family),
        Field::Protocol,
        Field::OriginalSourcePort,
        Field::Destination(family),
        Field::Port,
    ];
    let rules = |protocol| {
        let rule = || {
            let rule = Rule::new().family(family).protocol(protocol);
            rule.sent_elsewhere()
        };
        // All who are not masqueraded.
        let by_vip = rule().when_in(&[original], Set::Vips(family).name());
        let by_address = rule().when_mapped(
            &[original, Field::Protocol, Field::OriginalPort],
            Set::Outside(family).name(),
        );
        let by_node_port = rule()
            .unless_in(&[original], Set::Vips(family).name())
            .when_mapped(
                &[Field::Protocol, Field::OriginalPort],
                Set::OutsideNodePorts(family).name(),
            );
        [by_vip, by_address, by_node_port]
            .map(|rule| rule.note(&key, twins(family), TWINS_MILLISECONDS))
    };
    PROTOCOLS.into_iter().flat_map(rules).collect()
}

/// `answer`: is it to a twin?
fn answer(family: Family) -> Rule {
    Rule::new()
        .family(family)
        .when_in(&answered(family), twins(family))
        .goto(ANSWER_TO_TWIN)
}

/// `answer_to_twin`: as the client expects it.
fn answer_to_twin(family: Family) -> [Rule; 2] {
    let rule = || Rule::new().family(family);
    [
        rule()
            .source_translated()
            .note(&answered(family), twins(family), TWINS_MILLISECONDS),
        rule().source_as_asked(family),
    ]
}

/// The key of an answer.
fn answered(family: Family) -> [Field; 5] {
    [
        Field::OriginalSource(family),
        Field::Protocol,
        Field::OriginalSourcePort,
        Field::Source(family),
        Field::SourcePort,
    ]
}
