//! Reading the table back.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NlasIterator};
use netlink_packet_netfilter::nftables::{
    ChainMessage, NfTablesMessage, SetElementList, SetElementMessage,
};
use nix::errno::Errno;

use super::batch::request;
use super::key::Entry;
use super::schema::TABLE;
use super::set::Set;
use crate::kernel::socket::Socket;

/// How often to start again when the ruleset changed while it was read.
const ATTEMPTS: usize = 16;
/// The length of `struct nfgenmsg`, with which every reply begins.
const HEADER: usize = 4;

/// The names of the table's chains; none if there is no table.
pub fn chains(socket: &mut Socket) -> io::Result<Vec<String>> {
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_NAME: u16 = 3;
    let message = NfTablesMessage::GetChain(ChainMessage { attributes: vec![] });
    let mut names = Vec::new();
    dump(socket, &message, &mut names, |attributes, names| {
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
    dump(socket, &message, &mut entries, |attributes, entries| {
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
    message: &NfTablesMessage,
    found: &mut Vec<T>,
    each: impl Fn(&[u8], &mut Vec<T>),
) -> io::Result<()> {
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        found.clear();
        let sequence = socket.next_sequence();
        let bytes = request(sequence, NLM_F_DUMP, message.clone());
        outcome = socket.dump(&bytes, sequence, |reply| {
            each(reply.get(HEADER..).unwrap_or_default(), found);
            Ok(())
        });
        match &outcome {
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
            _ => break,
        }
    }
    outcome
}

/// The attributes in a buffer, by their kind, as far as they are well-formed.
fn nested(buffer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The length of `struct nlattr`.
    const HEADER: usize = 4;
    NlasIterator::new(buffer).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let end = usize::from(attribute.length());
        Some((attribute.kind(), attribute.into_inner().get(HEADER..end)?))
    })
}

/// The first attribute of a kind.
fn find(buffer: &[u8], kind: u16) -> Option<&[u8]> {
    nested(buffer).find_map(|(found, value)| (found == kind).then_some(value))
}

/// A string that ends with a zero.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.strip_suffix(&[0])?).ok()
}
