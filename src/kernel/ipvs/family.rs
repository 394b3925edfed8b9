//! The number that the kernel gave the IPVS family when its module was loaded.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NlasIterator, parse_u16};
use netlink_packet_generic::GenlFamily;
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, GENL_HDRLEN, GENL_ID_CTRL};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use nix::errno::Errno;

use super::Error;
use super::batch::Batch;
use super::wire::{Attributes, Message};
use crate::kernel::socket::Socket;

/// Asks the generic netlink controller for the family's number.
///
/// On a kernel without it, the question alone makes the controller load the module that claims the
/// name (`net-pf-16-proto-16-family-IPVS`, an alias of `ip_vs`), even for a container without
/// modules of its own.
pub fn resolve(socket: &mut Socket) -> Result<u16, Error> {
    let name = Message::<Attributes>::family_name();
    let question = GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(name.to_owned())],
    };
    let sequence = socket.next_sequence();
    let mut request = Batch::default();
    request.push(GENL_ID_CTRL, sequence, NLM_F_ACK, &question);

    let mut id = None;
    let asked = socket.dump(request.bytes(), sequence, |reply| {
        id = id.or(family_id(reply));
        Ok(())
    });
    let unclear = |cause| Error::Query {
        what: "the family number",
        cause,
    };
    match asked {
        Ok(()) => id.ok_or_else(|| unclear(io::ErrorKind::InvalidData.into())),
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Err(Error::Missing),
        Err(error) => Err(unclear(error)),
    }
}

/// The number in the controller's reply. Only this attribute is read: kernels differ in the others.
fn family_id(reply: &[u8]) -> Option<u16> {
    NlasIterator::new(reply.get(GENL_HDRLEN..)?)
        .flatten()
        .find(|attribute| attribute.kind() == CTRL_ATTR_FAMILY_ID)
        .and_then(|attribute| parse_u16(attribute.value()).ok())
}
