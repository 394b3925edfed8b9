//! The chains: the path of a packet, rule by rule, with the reason for each.
//!
//! IPVS hangs on the input hook at priorities 98 and 99 and on the output hook at -99 and -98
//! (`ip_vs_core.c`); what it sends on to a real server elsewhere it injects into the output hook
//! from the start. Answers of real servers elsewhere it looks for on the forward hook, at 100. The
//! priorities of the base chains follow from that.

use netlink_packet_netfilter::nftables::InetHookNumber;

use super::Base;
use super::expression::Next;
use super::field::Field;
use super::masquerade::{MASQUERADE, masquerade, postrouting, sent_on};
use super::pinned::{self, Timeouts};
use super::reach;
use super::rule::Rule;
use super::set::Set;
use super::twins;
use crate::model::{Family, Protocol};

/// The map from connections to the marks that their packets had before ours.
pub const BORROWED: &str = "borrowed";
/// The most connections in `borrowed`; a mark beyond that is lost, never a packet.
pub const BORROWED_SIZE: u32 = 65_536;
/// How long `borrowed` keeps a mark. IPVS is done with the packet in microseconds, unless a
/// neighbour has it queued to user space.
const BORROWED_MILLISECONDS: u64 = 5_000;

const INPUT: &str = "input";
const OUTPUT: &str = "output";
const INPUT_AFTER: &str = "input_after";
const OUTPUT_AFTER: &str = "output_after";
const POSTROUTING: &str = "postrouting";
const POSTROUTING_AFTER: &str = "postrouting_after";
const FORWARD_ANSWERS: &str = "forward_answers";
const FORWARD: &str = "forward";
const OUTPUT_TO_NOBODY: &str = "output_unallocated";
/// Drops what is for a virtual address that nothing is allocated at.
pub const UNALLOCATED: &str = "unallocated";
const CLASSIFY: &str = "classify";
const MARKED: &str = "marked";
const CALL_BACK: &str = "call_back";
const REFUSE: &str = "refuse";
const SENT_ON: &str = "sent_on";
const KEPT: &str = "kept";
/// Puts back the mark that the packet had before ours.
pub const RESTORE: &str = "restore";

/// How many connections a second are ended so that they come back to nearer real servers.
const CALLED_PER_SECOND: u32 = 5;

/// A chain of rules.
#[derive(Debug)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where packets enter it, if not from another chain.
    pub hook: Option<Hook>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// The place of a base chain.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// `filter`, `nat` or `route`.
    pub kind: &'static str,
    /// The hook.
    pub point: InetHookNumber,
    /// Its place among all that hang there.
    pub priority: i32,
}

/// A chain that packets enter from another.
pub fn inner(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain {
        name,
        hook: None,
        rules,
    }
}

/// All chains; `timeouts` are those of session affinity that are in use.
pub fn chains(base: &Base, timeouts: &Timeouts) -> Vec<Chain> {
    let base_chain = |name, kind, point, priority, rules| Chain {
        name,
        hook: Some(Hook {
            kind,
            point,
            priority,
        }),
        rules,
    };
    let (input, output) = (InetHookNumber::LocalIn, InetHookNumber::LocalOut);
    let mut all = vec![
        base_chain(INPUT, "filter", input, 90, enter()),
        base_chain(INPUT_AFTER, "filter", input, 110, leave_or_stay(base)),
        // A chain of type route, since the restored mark may be one to route by.
        base_chain(OUTPUT, "route", output, -120, enter_or_sent_on(base)),
        base_chain(OUTPUT_AFTER, "filter", output, -90, leave(base)),
        base_chain(
            POSTROUTING,
            "nat",
            InetHookNumber::PostRouting,
            100,
            postrouting(base),
        ),
        base_chain(
            POSTROUTING_AFTER,
            "filter",
            InetHookNumber::PostRouting,
            110,
            vec![twins::notice()],
        ),
        base_chain(
            FORWARD_ANSWERS,
            "filter",
            InetHookNumber::Forward,
            90,
            vec![twins::translate()],
        ),
        inner(CLASSIFY, classify(base)),
        inner(MARKED, marked(base)),
        inner(CALL_BACK, call_back()),
        inner(REFUSE, refuse()),
        inner(SENT_ON, sent_on(base)),
        inner(KEPT, kept()),
        inner(RESTORE, restore()),
        inner(MASQUERADE, masquerade(base)),
    ];
    all.extend(pinned::chains(timeouts));
    all.extend(twins::chains());
    if !base.service_networks.is_empty() {
        let forward = InetHookNumber::Forward;
        all.extend([
            base_chain(FORWARD, "filter", forward, -110, reach::enter()),
            // After whoever translates addresses at the output hook, at -100.
            base_chain(OUTPUT_TO_NOBODY, "filter", output, -80, reach::enter()),
            inner(UNALLOCATED, reach::unallocated(&base.service_networks)),
        ]);
    }
    all
}

/// The rules of `input` and the second half of `output`: which packets need a mark. Of a connection
/// only the first does, since IPVS then knows it by its addresses and ports.
fn enter() -> Vec<Rule> {
    vec![
        Rule::new().new_connection().goto(CLASSIFY),
        Rule::new()
            .protocol(Protocol::Tcp)
            .by_client()
            .goto(CALL_BACK),
        // IPVS may have forgotten a flow of UDP that conntrack still knows, because its time is up
        // or its real server is gone: without a mark its next packet would not be scheduled anew.
        Rule::new()
            .protocol(Protocol::Udp)
            .by_client()
            .goto(CLASSIFY),
    ]
}

/// The rules of `output`. A mark of ours so early means that IPVS has chosen a real server and sends
/// the packet on. Answers come by here if the real server is on this node's own network.
fn enter_or_sent_on(base: &Base) -> Vec<Rule> {
    let mut rules = vec![ours(base).goto(SENT_ON), twins::translate()];
    rules.extend(enter());
    rules
}

/// The rules of `input_after`. For a real server on this node's own network, this is where a packet
/// has its last source address.
fn leave_or_stay(base: &Base) -> Vec<Rule> {
    let mut rules = vec![twins::notice()];
    rules.extend(leave(base));
    rules
}

/// The rules of `output_after`, and most of `input_after`: the mark has done its work. It is still
/// there if the real server is on this node, or if IPVS knows no virtual server with this mark.
fn leave(base: &Base) -> Vec<Rule> {
    vec![ours(base).goto(KEPT)]
}

/// `classify`: what the packet is for.
///
/// UDP comes here packet by packet (a node's own tunnels, too), so the cheapest rules that tell it
/// from services come first, and the routing table is asked last.
fn classify(base: &Base) -> Vec<Rule> {
    let mut rules = reach::not_from_loopback();
    for family in Family::ALL {
        let (client, address) = (Field::Source(family), Field::Destination(family));
        let service = [address, Field::Protocol, Field::Port];
        // Before all else, since it holds for every client: pods and this node, too.
        rules.push(
            Rule::new()
                .family(family)
                .when_in(&service, Set::Guarded(family).name())
                .unless_in(
                    &[address, Field::Protocol, Field::Port, client],
                    Set::Allowed(family).name(),
                )
                .next(Next::Drop),
        );
        // A client that is served by itself: what holds for all others does not hold for it.
        rules.extend(look_up(Set::Own(family), |rule, map| {
            let key = [client, address, Field::Protocol, Field::Port];
            rule.family(family).find_mark(&key, map)
        }));
        rules.extend(look_up(Set::Outside(family), |rule, map| {
            outside(base, family, rule.family(family).find_mark(&service, map))
        }));
        rules.extend(look_up(Set::Services(family), |rule, map| {
            rule.family(family).find_mark(&service, map)
        }));
        rules.push(
            Rule::new()
                .family(family)
                .when_in(&service, Set::Probed(family).name())
                .next(Next::Return),
        );
        // A virtual address is an address of this node, so without this rule every host port that
        // is open on all addresses would be open on it.
        rules.push(
            Rule::new()
                .family(family)
                .when_in(&[address], Set::Vips(family).name())
                .goto(REFUSE),
        );
    }
    rules.extend(reach::no_node_ports());
    for family in Family::ALL {
        rules.extend(reach::node_ports_within(family, &base.node_port_networks));
    }
    for family in Family::ALL {
        let node_port = [Field::Protocol, Field::Port];
        rules.extend(look_up(Set::OutsideNodePorts(family), |rule, map| {
            let found = rule.family(family).find_mark(&node_port, map);
            outside(base, family, found).local()
        }));
        rules.extend(look_up(Set::NodePorts(family), |rule, map| {
            rule.family(family).find_mark(&node_port, map).local()
        }));
    }
    rules
}

/// For clients from outside of the cluster: those that are neither pods nor this node. Where nobody
/// can tell who is a pod, pods are taken for clients from outside, as by kube-proxy.
fn outside(base: &Base, family: Family, rule: Rule) -> Rule {
    base.pods.except(family, rule).sent_elsewhere()
}

/// Sets the mark to the one that `find` finds in a map, after noting the mark that it replaces.
///
/// The second rule is for packets without a mark, and for those that the first one leaves because
/// `borrowed` is full: that costs the neighbour its mark, but not the client its connection.
fn look_up(map: Set, find: impl Fn(Rule, &str) -> Rule) -> [Rule; 2] {
    [
        find(Rule::new().marked(), map.name()).note_mark(BORROWED, BORROWED_MILLISECONDS),
        find(Rule::new(), map.name()),
    ]
    .map(|rule| rule.set_found_mark().goto(MARKED))
}

/// `marked`: marks that are not for IPVS but verdicts, the last look at where others come from, and
/// clients that come back.
fn marked(base: &Base) -> Vec<Rule> {
    let mut rules = vec![
        Rule::new()
            .mark_under(base.marks.verdict_mask(), base.marks.refusals())
            .goto(REFUSE),
        Rule::new()
            .mark_under(base.marks.verdict_mask(), base.marks.drops())
            .next(Next::Drop),
    ];
    rules.extend(base.pods.note());
    rules.extend(pinned::known_clients());
    rules
}

/// `call_back`: connections to real servers that are to come back to nearer ones are ended, a few a
/// second. IPVS still knows them: what the real server sends later reaches the client, which answers
/// it with a reset.
fn call_back() -> Vec<Rule> {
    let rule = |family| {
        let key = [
            Field::ReplySource(family),
            Field::Protocol,
            Field::ReplySourcePort,
        ];
        // Who asked the real server itself would come back to it.
        let asked = [
            Field::OriginalDestination(family),
            Field::Protocol,
            Field::OriginalPort,
        ];
        Rule::new()
            .family(family)
            .when_in(&key, Set::Called(family).name())
            .unless_in(&asked, Set::Called(family).name())
            .limit(CALLED_PER_SECOND)
            .reset()
    };
    Family::ALL.map(rule).into()
}

/// `refuse`: the protocols of services are refused, and so are pings, since a virtual address is no
/// host that could be up. Others are let through: the rest of ICMP is what keeps networks going.
fn refuse() -> Vec<Rule> {
    vec![
        // Not by ICMP, of which the kernel sends only so many a second.
        Rule::new().protocol(Protocol::Tcp).reset(),
        Rule::new().protocol(Protocol::Udp).unreachable(),
        Rule::new().protocol(Protocol::Sctp).unreachable(),
        Rule::new().ping(Family::V4).unreachable(),
        Rule::new().ping(Family::V6).unreachable(),
    ]
}

/// `kept`: IPVS has left the packet on this node.
fn kept() -> Vec<Rule> {
    let mut rules = vec![pinned::new_clients(), Rule::new().next(Next::Jump(RESTORE))];
    for family in Family::ALL {
        // It has not even changed the address: there is no such virtual server (any more), or the
        // packet is in the middle of a connection that IPVS does not know. No host process shall
        // get it.
        rules.push(
            Rule::new()
                .family(family)
                .when_in(&[Field::Destination(family)], Set::Vips(family).name())
                .goto(REFUSE),
        );
    }
    rules
}

/// `restore`: puts the mark back that the packet had before ours, which never leaves the node.
fn restore() -> Vec<Rule> {
    vec![
        Rule::new().set_mark(0),
        Rule::new()
            .find_mark(&[Field::Connection], BORROWED)
            .set_found_mark(),
    ]
}

/// For packets whose mark is one of ours.
fn ours(base: &Base) -> Rule {
    Rule::new().mark_under(base.marks.mask(), base.marks.prefix())
}
