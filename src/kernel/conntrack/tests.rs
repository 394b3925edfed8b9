use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use netlink_packet_core::Emitable;
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Protocol, Tuple,
};
use proptest::prelude::*;

use super::*;
use crate::model::Family;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a port")
}

fn flow(destination: &str, answers: &str) -> Flow {
    let source = if destination.starts_with('[') {
        "[fd00::9]:4000"
    } else {
        "10.1.1.9:4000"
    };
    Flow::new(at(source), at(destination), at(answers))
}

fn stale(targets: &[(Target, &[&str])]) -> Stale {
    let mut stale = Stale::default();
    for (target, answering) in targets {
        let answering: HashSet<_> = answering.iter().map(|text| at(text)).collect();
        stale.insert(*target, Arc::new(answering));
    }
    stale
}

fn tuple(protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Vec<Tuple> {
    vec![
        Tuple::Ip(vec![
            IPTuple::SourceAddress(source.ip()),
            IPTuple::DestinationAddress(destination.ip()),
        ]),
        Tuple::Proto(vec![
            ProtoTuple::Protocol(protocol),
            ProtoTuple::SourcePort(source.port()),
            ProtoTuple::DestinationPort(destination.port()),
        ]),
    ]
}

/// A flow as the kernel lists it.
fn listed(protocol: Protocol, flow: &Flow) -> Vec<u8> {
    let message = ConntrackMessage::New(vec![
        ConntrackAttribute::CtaTupleOrig(tuple(protocol, flow.source, flow.destination)),
        ConntrackAttribute::CtaTupleReply(tuple(protocol, flow.answers, flow.source)),
    ]);
    let mut bytes = vec![0; 4 + message.buffer_len()];
    message.emit(&mut bytes[4..]);
    bytes
}

#[test]
fn a_udp_flow_is_read_and_any_other_passed_over() {
    for one in [
        flow("10.96.0.10:53", "10.1.1.5:5353"),
        flow("[fd00:96::a]:53", "[fd00:1::5]:5353"),
    ] {
        assert_eq!(Flow::parse(&listed(Protocol::Udp, &one)), Some(one));
        assert_eq!(Flow::parse(&listed(Protocol::Tcp, &one)), None);
        assert_eq!(Flow::parse(&listed(Protocol::Sctp, &one)), None);
    }
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Flow::parse(&bytes);
    }

    #[test]
    fn a_damaged_entry_is_read_or_passed_over(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = listed(Protocol::Udp, &flow("10.96.0.10:53", "10.1.1.5:5353"));
        let place = place.index(bytes.len());
        bytes[place] = byte;
        bytes.truncate(cut.index(bytes.len()));
        let _ = Flow::parse(&bytes);
    }

    #[test]
    fn every_flow_comes_back_as_it_went(
        v6 in any::<bool>(), ips in any::<[u128; 3]>(), ports in any::<[u16; 3]>(),
    ) {
        let address = |ip: u128, port| {
            let v4 = || u32::try_from(ip & u128::from(u32::MAX)).expect("32 bits");
            let ip = if v6 { IpAddr::from(ip.to_be_bytes()) } else { IpAddr::from(v4().to_be_bytes()) };
            SocketAddr::new(ip, port)
        };
        let [source, destination, answers] = [0, 1, 2].map(|n| address(ips[n], ports[n]));
        let one = Flow::new(source, destination, answers);
        prop_assert_eq!(Flow::parse(&listed(Protocol::Udp, &one)), Some(one));
    }
}

#[test]
fn flows_to_a_target_are_stale_unless_one_answers_who_may() {
    let vip: IpAddr = "10.96.0.10".parse().expect("an address");
    let stale = stale(&[
        (Target::Address(vip, port(53)), &["10.1.1.5:5353"]),
        (Target::Port(Family::V4, port(30_053)), &["10.1.1.5:5353"]),
    ]);
    for (destination, answers, wanted) in [
        ("10.96.0.10:53", "10.1.1.5:5353", false),
        ("10.96.0.10:53", "10.1.1.6:5353", true),
        ("10.96.0.10:53", "10.1.1.5:53", true),
        // It came when there was no endpoint yet.
        ("10.96.0.10:53", "10.96.0.10:53", true),
        ("10.96.0.10:54", "10.1.1.6:54", false),
        ("10.96.0.11:53", "10.1.1.6:53", false),
        ("192.0.2.1:30053", "10.1.1.6:5353", true),
        ("192.0.2.7:30053", "10.1.1.5:5353", false),
        ("[fd00::1]:30053", "[fd00::2]:5353", false),
    ] {
        let flow = flow(destination, answers);
        assert_eq!(stale.holds(&flow), wanted, "{destination} {answers}");
    }
}

#[test]
fn only_families_and_ports_that_are_meant_are_asked_for() {
    let one = Target::Address(IpAddr::from([10, 96, 0, 10]), port(53));
    let other = Target::Port(Family::V4, port(53));
    let third = Target::Port(Family::V4, port(54));
    let both = stale(&[(one, &[]), (other, &[])]);
    assert_eq!(both.families().collect::<Vec<_>>(), [Family::V4]);
    assert_eq!(both.port(Family::V4), Some(port(53)));
    assert_eq!(both.port(Family::V6), None);
    assert_eq!(stale(&[(one, &[]), (third, &[])]).port(Family::V4), None);
    assert!(Stale::default().is_empty());
}
