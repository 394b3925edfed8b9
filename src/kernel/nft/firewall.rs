//! Others' chains that IPVS cannot help: on the way in to it or on the way of pods' answers, and dropping
//! what no rule of theirs accepts.
//!
//! Only what is an nftables table can be seen here: that of `iptables-nft`, too, but not the policy of
//! `iptables-legacy`.

use std::fmt;

use netlink_packet_netfilter::nftables::{ChainMessage, NfTablesMessage};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::schema::TABLE;
use super::{Error, dump};
use crate::kernel::attributes::find;
use crate::kernel::netfilter::{self, HEADER};
use crate::kernel::socket::Socket;

/// Where IPVS is on the input hook (`ip_vs_core.c`).
const IPVS: i32 = 98;

/// What a chain takes of services' packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those of clients, on the input hook before IPVS.
    In,
    /// The answers of pods to clients that are not this node, on the forward hook.
    Back,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::In, Self::Back];

    /// The name of the hook.
    pub fn hook(self) -> &'static str {
        match self {
            Self::In => "input",
            Self::Back => "forward",
        }
    }
}

/// A chain that drops by default what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What it takes.
    pub way: Way,
    /// The family of its table, as the `nft` tool writes it.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            family,
            table,
            chain,
            ..
        } = self;
        write!(f, "chain {chain} of table {family} {table}")
    }
}

/// All such chains of this network namespace.
pub fn closed() -> Result<Vec<Closed>, Error> {
    let mut socket = Socket::open(NETLINK_NETFILTER).map_err(Error::Unavailable)?;
    let message = NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0),
        NetfilterMessageInner::from(NfTablesMessage::GetChain(ChainMessage {
            attributes: vec![],
        })),
    );
    let mut found = Vec::new();
    netfilter::dump(
        &mut socket,
        &message,
        dump::ATTEMPTS,
        &mut found,
        |reply, found| {
            found.extend(read(reply));
        },
    )
    .map_err(Error::Unavailable)?;
    Ok(found)
}

/// The chain of a reply, if it is such a one.
fn read(reply: &[u8]) -> Option<Closed> {
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_NAME: u16 = 3;
    const NFTA_CHAIN_HOOK: u16 = 4;
    const NFTA_CHAIN_POLICY: u16 = 5;
    const NFTA_HOOK_HOOKNUM: u16 = 1;
    const NFTA_HOOK_PRIORITY: u16 = 2;
    const NF_INET_LOCAL_IN: u32 = 1;
    const NF_INET_FORWARD: u32 = 2;
    const NF_DROP: u32 = 0;
    let family = match *reply.first()? {
        // NFPROTO_INET, NFPROTO_IPV4 and NFPROTO_IPV6
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let chain = reply.get(HEADER..)?;
    let hook = find(chain, NFTA_CHAIN_HOOK)?;
    let priority = number(find(hook, NFTA_HOOK_PRIORITY)?)?.cast_signed();
    let way = match number(find(hook, NFTA_HOOK_HOOKNUM)?)? {
        NF_INET_LOCAL_IN if priority < IPVS => Way::In,
        NF_INET_FORWARD => Way::Back,
        _ => return None,
    };
    let drops = number(find(chain, NFTA_CHAIN_POLICY)?)? == NF_DROP;
    let text = |kind| find(chain, kind).and_then(dump::text).map(str::to_owned);
    let closed = Closed {
        way,
        family,
        table: text(NFTA_CHAIN_TABLE)?,
        chain: text(NFTA_CHAIN_NAME)?,
    };
    let ours = closed.family == "inet" && closed.table == TABLE;
    (drops && !ours).then_some(closed)
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}
