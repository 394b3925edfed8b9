//! One UDP flow, and the messages that list flows and delete one.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, ConntrackMessageType, IPTuple, ProtoTuple, Protocol,
    Tuple,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use crate::kernel::attributes::find;
use crate::kernel::netfilter::HEADER;
use crate::model::Family;

// `enum ctattr_type`
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;

/// A UDP flow that the kernel tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The client.
    pub source: SocketAddr,
    /// Where the client sends to: a frontend, if it is a service's flow.
    pub destination: SocketAddr,
    /// Who answers: an endpoint, or the destination itself where addresses were not translated.
    pub answers: SocketAddr,
    /// The kernel's number for it, as it came, so that not another flow between the same ends goes
    /// in its place.
    pub(super) id: Option<[u8; 4]>,
    /// The zone that it is in, as it came; none for the usual one.
    pub(super) zone: Option<[u8; 2]>,
}

impl Flow {
    /// A flow in the usual zone.
    pub const fn new(source: SocketAddr, destination: SocketAddr, answers: SocketAddr) -> Self {
        Self {
            source,
            destination,
            answers,
            id: None,
            zone: None,
        }
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.destination.ip())
    }

    /// Reads an entry of a dump; none where it is no UDP flow or not well-formed. Never panics,
    /// whatever the bytes.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(HEADER..)?;
        let (source, destination) = ends(find(attributes, CTA_TUPLE_ORIG)?)?;
        let (answers, _) = ends(find(attributes, CTA_TUPLE_REPLY)?)?;
        let array = |kind| find(attributes, kind)?.try_into().ok();
        Some(Self {
            source,
            destination,
            answers,
            id: array(CTA_ID),
            zone: find(attributes, CTA_ZONE).and_then(|zone| zone.try_into().ok()),
        })
    }

    /// The request that makes the kernel forget it.
    pub(super) fn deletion(&self) -> ConntrackMessage {
        let tuple = ConntrackAttribute::CtaTupleOrig(vec![
            Tuple::Ip(vec![
                IPTuple::SourceAddress(self.source.ip()),
                IPTuple::DestinationAddress(self.destination.ip()),
            ]),
            Tuple::Proto(vec![
                ProtoTuple::Protocol(Protocol::Udp),
                ProtoTuple::SourcePort(self.source.port()),
                ProtoTuple::DestinationPort(self.destination.port()),
            ]),
        ]);
        let other =
            |kind, value: &[u8]| ConntrackAttribute::Other(DefaultNla::new(kind, value.to_vec()));
        let id = self.id.map(|id| other(CTA_ID, &id));
        let zone = self.zone.map(|zone| other(CTA_ZONE, &zone));
        ConntrackMessage::Delete([tuple].into_iter().chain(id).chain(zone).collect())
    }
}

/// The source and the destination in one direction of a flow.
fn ends(tuple: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    // `enum ctattr_tuple`, `ctattr_ip`, `ctattr_l4proto`
    const CTA_TUPLE_IP: u16 = 1;
    const CTA_TUPLE_PROTO: u16 = 2;
    const V4: (u16, u16) = (1, 2);
    const V6: (u16, u16) = (3, 4);
    const CTA_PROTO_NUM: u16 = 1;
    const CTA_PROTO_SRC_PORT: u16 = 2;
    const CTA_PROTO_DST_PORT: u16 = 3;

    let (ip, proto) = (find(tuple, CTA_TUPLE_IP)?, find(tuple, CTA_TUPLE_PROTO)?);
    if find(proto, CTA_PROTO_NUM)? != [u8::from(Protocol::Udp)] {
        return None;
    }
    let v4 = |kind| Some(IpAddr::from(<[u8; 4]>::try_from(find(ip, kind)?).ok()?));
    let v6 = |kind| Some(IpAddr::from(<[u8; 16]>::try_from(find(ip, kind)?).ok()?));
    let port = |kind| Some(u16::from_be_bytes(find(proto, kind)?.try_into().ok()?));
    let source = v4(V4.0).or_else(|| v6(V6.0))?;
    let destination = v4(V4.1).or_else(|| v6(V6.1))?;
    Some((
        SocketAddr::new(source, port(CTA_PROTO_SRC_PORT)?),
        SocketAddr::new(destination, port(CTA_PROTO_DST_PORT)?),
    ))
}

/// The request for all UDP flows of a family, or for those to one port.
///
/// Kernels since 5.8 filter themselves; older ones do not know the filter and send everything.
pub(super) fn listing(port: Option<NonZeroU16>) -> ConntrackMessage {
    // `enum ctattr_filter`, and the bits of its value (`CTA_FILTER_F_*`)
    const CTA_FILTER_ORIG_FLAGS: u16 = 1;
    const PROTO_NUM: u32 = 1 << 3;
    const PROTO_DST_PORT: u32 = 1 << 5;
    /// The length of `struct nlattr` with 4 bytes of value.
    const LENGTH: u16 = 8;

    let mut proto = vec![ProtoTuple::Protocol(Protocol::Udp)];
    let mut flags = PROTO_NUM;
    if let Some(port) = port {
        proto.push(ProtoTuple::DestinationPort(port.get()));
        flags |= PROTO_DST_PORT;
    }
    let proto = [Tuple::Proto(proto)];
    let mut tuple = vec![0; proto.as_slice().buffer_len()];
    proto.as_slice().emit(&mut tuple);
    let header = [LENGTH.to_ne_bytes(), CTA_FILTER_ORIG_FLAGS.to_ne_bytes()].concat();
    let filter = [header, flags.to_ne_bytes().to_vec()].concat();
    // Not `ConntrackMessage::Get`: it would lose the flag that the kernel wants on the filter.
    ConntrackMessage::Other {
        message_type: ConntrackMessageType::Get.into(),
        attributes: vec![
            DefaultNla::new(CTA_TUPLE_ORIG | NLA_F_NESTED, tuple),
            DefaultNla::new(CTA_FILTER | NLA_F_NESTED, filter),
        ],
    }
}

/// A message about the flows of a family.
pub(super) fn about(family: Family, message: ConntrackMessage) -> NetfilterMessage {
    let family = match family {
        Family::V4 => NetfilterProtoFamily::IPv4,
        Family::V6 => NetfilterProtoFamily::IPv6,
    };
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message)
}
