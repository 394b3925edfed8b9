//! Reading the table back.

use std::io;

use netlink_packet_netfilter::nftables::{
    ChainMessage, NfTablesMessage, SetElementList, SetElementMessage,
};

use super::batch::inet;
use super::key::Entry;
use super::schema::TABLE;
use super::set::Set;
use crate::kernel::attributes::{find, nested};
use crate::kernel::netfilter::{self, HEADER};
use crate::kernel::socket::Socket;

/// How often to start again when the ruleset changed while it was read.
pub const ATTEMPTS: usize = 16;

/// The names of the table's chains; none if there is no table.
pub fn chains(socket: &mut Socket) -> io::Result<Vec<String>> {
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_NAME: u16 = 3;
    let message = NfTablesMessage::GetChain(ChainMessage { attributes: vec![] });
    let mut names = Vec::new();
    dump(socket, message, &mut names, |attributes, names| {
        if find(attributes, NFTA_CHAIN_TABLE).and_then(text) == Some(TABLE) {
            names.extend(
                find(attributes, NFTA_CHAIN_NAME)
                    .and_then(text)
                    .map(String::from),
            );
        }
    })?;
    Ok(names)
}

/// The elements of a set.
pub fn entries(socket: &mut Socket, set: Set) -> io::Result<Vec<Entry>> {
    const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
    const NFTA_SET_ELEM_KEY: u16 = 1;
    const NFTA_SET_ELEM_DATA: u16 = 2;
    const NFTA_SET_ELEM_KEY_END: u16 = 10;
    const NFTA_DATA_VALUE: u16 = 1;
    let message = NfTablesMessage::GetSetElement(SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(set.name().to_owned()),
        ],
    });
    let mut entries = Vec::new();
    dump(socket, message, &mut entries, |attributes, entries| {
        let list = find(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default();
        for (_, element) in nested(list) {
            let value = |kind| find(find(element, kind)?, NFTA_DATA_VALUE).map(<[u8]>::to_vec);
            entries.extend(value(NFTA_SET_ELEM_KEY).map(|key| Entry {
                key,
                end: value(NFTA_SET_ELEM_KEY_END),
                value: value(NFTA_SET_ELEM_DATA),
            }));
        }
    })?;
    Ok(entries)
}

/// Collects from the attributes of every reply.
fn dump<T>(
    socket: &mut Socket,
    message: NfTablesMessage,
    found: &mut Vec<T>,
    each: impl Fn(&[u8], &mut Vec<T>),
) -> io::Result<()> {
    netfilter::dump(socket, &inet(message), ATTEMPTS, found, |reply, found| {
        each(reply.get(HEADER..).unwrap_or_default(), found);
    })
}

/// A string that ends with a zero.
pub fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.strip_suffix(&[0])?).ok()
}
