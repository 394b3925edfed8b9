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
//! Where clients are masqueraded each has a port of its own anyway, and twins go unnoticed.

use super::expression::Next;
use super::field::Field;
use super::rule::Rule;
use super::set::Set;
use crate::model::{Family, Protocol};

/// Notes the first packet of a twin.
pub const TWIN: &str = "twin";
/// Translates the answers to twins.
pub const ANSWER: &str = "answer";

/// The most pairs of client and real server with twins, in a family. Beyond that, the older twin is
/// lost.
pub const TWINS_SIZE: u32 = 65_536;
/// How long they are noted after the last answer: as long as connection tracking keeps an established
/// connection (`conntrack.tcpEstablishedTimeout`).
const TWINS_MILLISECONDS: u64 = 86_400_000;

/// Those whose checksums the kernel's rules can mend.
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

/// `twin`: another port, but the client's own address.
pub fn twin() -> Vec<Rule> {
    let rule = |(family, protocol)| {
        let key = [
            Field::OriginalSource(family),
            Field::Protocol,
            Field::OriginalSourcePort,
            Field::Destination(family),
            Field::Port,
        ];
        Rule::new()
            .family(family)
            .protocol(protocol)
            .sent_elsewhere()
            .when_in(
                &[Field::OriginalDestination(family)],
                Set::Vips(family).name(),
            )
            .note(&key, twins(family), TWINS_MILLISECONDS)
    };
    each().map(rule).collect()
}

/// `answer`: those to twins, as the client expects them.
pub fn answer() -> Vec<Rule> {
    let rule = |(family, protocol)| {
        let key = [
            Field::OriginalSource(family),
            Field::Protocol,
            Field::OriginalSourcePort,
            Field::Source(family),
            Field::SourcePort,
        ];
        Rule::new()
            .family(family)
            .protocol(protocol)
            .when_in(&key, twins(family))
            .note(&key, twins(family), TWINS_MILLISECONDS)
            .source_as_asked(family, protocol)
    };
    each().map(rule).collect()
}

fn each() -> impl Iterator<Item = (Family, Protocol)> {
    let families = Family::ALL.into_iter();
    families.flat_map(|family| PROTOCOLS.map(|protocol| (family, protocol)))
}
