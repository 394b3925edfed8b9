//! What holds for the encoding of every message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DecodeError, Emitable, NLA_F_NESTED, Parseable, ParseableParametrized};
use netlink_packet_generic::GenlHeader;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::wire::{
    Attributes, Counter, DestinationAttributes, InfoAttributes, MaskedFlags, Message, Operation,
    ServiceAttributes, StatsAttributes,
};
use super::*;
use crate::model::{Family, Protocol};

fn encode(attributes: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

fn decode<A: Parseable<[u8]>>(command: u8, bytes: &[u8]) -> Result<Message<A>, DecodeError> {
    let header = GenlHeader {
        cmd: command,
        version: 1,
    };
    Message::parse_with_param(bytes, header)
}

/// Reads bytes as every kind of answer that the client reads.
fn read_everything(command: u8, bytes: &[u8]) {
    if let Ok(Message { attributes, .. }) = decode::<Attributes>(command, bytes) {
        let _ = Timeouts::from(&attributes);
        let _ = attributes.service.map(|it| ServiceEntry::parse(&it));
        let _ = attributes
            .destination
            .map(|it| DestinationEntry::parse(&it));
    }
    if let Ok(Message { attributes, .. }) = decode::<InfoAttributes>(command, bytes) {
        let _ = Info::from(&attributes);
    }
}

/// An attribute as bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::from),
        any::<Ipv6Addr>().prop_map(IpAddr::from),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    "[!-~]{1,15}".prop_map(|name| Name::new(&name).unwrap())
}

fn key() -> impl Strategy<Value = ServiceKey> {
    let family = prop::sample::select(Family::ALL.to_vec());
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    prop_oneof![
        (family, 1..=u32::MAX).prop_map(|(family, mark)| ServiceKey::Mark { family, mark }),
        (protocol, ip(), any::<u16>()).prop_map(|(protocol, ip, port)| ServiceKey::Address {
            protocol,
            ip,
            port
        }),
    ]
}

fn service() -> impl Strategy<Value = Service> {
    let flags = any::<u32>().prop_map(ServiceFlags::from_bits_truncate);
    let engine = option::of(name());
    (key(), name(), flags, any::<u32>(), any::<u8>(), engine).prop_map(
        |(key, scheduler, flags, timeout_seconds, netmask, persistence_engine)| Service {
            key,
            scheduler,
            flags,
            timeout_seconds,
            netmask: match key.family() {
                Family::V4 => netmask % 33,
                Family::V6 => netmask % 128 + 1,
            },
            persistence_engine,
        },
    )
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let flags = || any::<u16>().prop_map(TunnelFlags::from_bits_truncate);
    let tunnel = prop_oneof![
        Just(Tunnel::IpInIp),
        (any::<u16>(), flags()).prop_map(|(port, flags)| Tunnel::Gue { port, flags }),
        flags().prop_map(|flags| Tunnel::Gre { flags }),
    ];
    prop_oneof![
        Just(Forwarding::Masquerade),
        Just(Forwarding::LocalNode),
        tunnel.prop_map(Forwarding::Tunnel),
        Just(Forwarding::DirectRoute),
        Just(Forwarding::Bypass),
    ]
}

fn destination() -> impl Strategy<Value = Destination> {
    (ip(), any::<u16>(), forwarding(), any::<[u32; 3]>()).prop_map(
        |(ip, port, forwarding, [weight, upper_threshold, lower_threshold])| Destination {
            ip,
            port,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    )
}

fn counters() -> impl Strategy<Value = StatsAttributes> {
    any::<[Option<u64>; 10]>().prop_map(|counters| {
        let counter = |place: usize| counters[place].map(Counter);
        StatsAttributes {
            connections: counter(0),
            packets_in: counter(1),
            packets_out: counter(2),
            bytes_in: counter(3),
            bytes_out: counter(4),
            connection_rate: counter(5),
            packet_rate_in: counter(6),
            packet_rate_out: counter(7),
            byte_rate_in: counter(8),
            byte_rate_out: counter(9),
        }
    })
}

/// Everything that a message can carry.
fn attributes() -> impl Strategy<Value = Attributes> {
    let service = (service(), option::of(counters()), option::of(counters())).prop_map(
        |(service, stats, stats64)| ServiceAttributes {
            stats,
            stats64,
            ..ServiceAttributes::from(&service)
        },
    );
    let destination = (destination(), any::<[u32; 3]>(), option::of(counters())).prop_map(
        |(destination, [active, inactive, persistent], stats64)| DestinationAttributes {
            active: Some(active),
            inactive: Some(inactive),
            persistent: Some(persistent),
            stats64,
            ..DestinationAttributes::from(&destination)
        },
    );
    let timeouts = any::<[Option<u32>; 3]>();
    (option::of(service), option::of(destination), timeouts).prop_map(
        |(service, destination, [timeout_tcp, timeout_tcp_fin, timeout_udp])| Attributes {
            service,
            destination,
            timeout_tcp,
            timeout_tcp_fin,
            timeout_udp,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(sent in attributes()) {
        let read = decode::<Attributes>(1, &encode(&sent)).unwrap();
        prop_assert_eq!(read.attributes, sent);
    }

    #[test]
    fn info_comes_back(version: Option<u32>, connection_table_size: Option<u32>) {
        let sent = InfoAttributes { version, connection_table_size };
        let read = decode::<InfoAttributes>(14, &encode(&sent)).unwrap();
        prop_assert_eq!(read.attributes, sent);
    }

    #[test]
    fn a_service_comes_back(sent in service()) {
        let attributes = ServiceAttributes::parse(&encode(&ServiceAttributes::from(&sent)));
        prop_assert_eq!(Service::parse(&attributes.unwrap()).unwrap(), sent);
    }

    #[test]
    fn a_destination_comes_back(sent in destination()) {
        let attributes = DestinationAttributes::parse(&encode(&DestinationAttributes::from(&sent)));
        prop_assert_eq!(Destination::parse(&attributes.unwrap()).unwrap(), sent);
    }

    #[test]
    fn unknown_attributes_are_passed_over(
        sent in attributes(),
        kind in 16..0x4000_u16,
        value in vec(any::<u8>(), 0..20),
    ) {
        let unknown = attribute(kind, &value);
        let known = encode(&sent);
        for bytes in [[&*unknown, &*known].concat(), [&*known, &*unknown].concat()] {
            prop_assert_eq!(&decode::<Attributes>(1, &bytes).unwrap().attributes, &sent);
        }
        let nested = attribute(1, &unknown);
        let read = decode::<Attributes>(1, &nested).unwrap().attributes;
        prop_assert_eq!(read.service, Some(ServiceAttributes::default()));
    }

    #[test]
    fn no_bytes_make_it_panic(command: u8, bytes in vec(any::<u8>(), 0..512)) {
        read_everything(command, &bytes);
    }

    #[test]
    fn no_damage_to_a_message_makes_it_panic(
        command in 1..18_u8,
        sent in attributes(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&sent);
        if !bytes.is_empty() {
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            read_everything(command, &bytes);
            bytes.truncate(cut.index(bytes.len()));
        }
        read_everything(command, &bytes);
    }
}

#[test]
fn a_destination_for_a_mark_is_encoded_as_the_kernel_header_says() {
    let key = ServiceKey::Mark {
        family: Family::V4,
        mark: 0x0100_0002,
    };
    let destination = Destination {
        upper_threshold: 50,
        ..Destination::new([10, 1, 2, 3].into(), 8080, 100)
    };
    let message = Message::from(&Command::NewDestination(key, destination));
    assert_eq!(message.operation.number(), 5);

    let service = [
        attribute(1, &2_u16.to_ne_bytes()),
        attribute(5, &0x0100_0002_u32.to_ne_bytes()),
    ];
    let real = [
        attribute(1, &[10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        attribute(2, &[0x1f, 0x90]),
        attribute(3, &0_u32.to_ne_bytes()),
        attribute(4, &100_u32.to_ne_bytes()),
        attribute(5, &50_u32.to_ne_bytes()),
        attribute(6, &0_u32.to_ne_bytes()),
        attribute(11, &2_u16.to_ne_bytes()),
    ];
    let expected = [
        attribute(1 | NLA_F_NESTED, &service.concat()),
        attribute(2 | NLA_F_NESTED, &real.concat()),
    ];
    assert_eq!(encode(&message), expected.concat());
}

#[test]
fn netmasks_are_masks_for_ipv4_and_lengths_for_ipv6() {
    let netmask = |family, netmask| {
        let service = Service {
            netmask,
            ..Service::new(ServiceKey::Mark { family, mark: 1 }, Name::RR)
        };
        ServiceAttributes::from(&service).netmask.unwrap()
    };
    assert_eq!(netmask(Family::V4, 0), [0, 0, 0, 0]);
    assert_eq!(netmask(Family::V4, 20), [255, 255, 240, 0]);
    assert_eq!(netmask(Family::V4, 32), [255, 255, 255, 255]);
    assert_eq!(netmask(Family::V6, 64), 64_u32.to_ne_bytes());
}

#[test]
fn the_kernels_own_flag_is_left_out() {
    let service = Service::new(
        ServiceKey::Mark {
            family: Family::V6,
            mark: 1,
        },
        Name::RR,
    );
    let hashed = ServiceAttributes {
        flags: Some(MaskedFlags { flags: 2, mask: 0 }),
        ..ServiceAttributes::from(&service)
    };
    assert_eq!(Service::parse(&hashed).unwrap(), service);
}

#[test]
fn the_wide_counters_are_preferred_to_the_narrow_ones() {
    let narrow = StatsAttributes::parse(&attribute(1, &7_u32.to_ne_bytes())).unwrap();
    let wide = StatsAttributes::parse(&attribute(1, &(1_u64 << 40).to_ne_bytes())).unwrap();
    let connections = |wide, narrow| Stats::of(wide, narrow).connections;
    assert_eq!(connections(Some(&wide), Some(&narrow)), 1 << 40);
    assert_eq!(connections(None, Some(&narrow)), 7);
    assert_eq!(connections(None, None), 0);
}

#[test]
fn an_attribute_that_is_left_out_is_named() {
    let error = Service::parse(&ServiceAttributes::default()).unwrap_err();
    assert!(error.to_string().contains("service family"), "{error}");
}

#[test]
fn names_that_the_kernel_has_no_room_for_are_none() {
    for name in ["", "sixteen-bytes-it", "w\0r"] {
        assert_eq!(Name::new(name), None, "{name:?}");
    }
    assert_eq!(Name::new("wrr"), Some(Name::WRR));
    assert_eq!(
        Name::new("fifteen-bytes-x").unwrap().as_str(),
        "fifteen-bytes-x"
    );
}

#[test]
fn operations_are_known_by_their_numbers() {
    for operation in Operation::ALL {
        assert_eq!(Operation::from_number(operation.number()), Some(operation));
    }
    assert_eq!(Operation::from_number(0), None);
    assert_eq!(Operation::from_number(18), None);
}
