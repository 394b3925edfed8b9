use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::kernel::mark::Mark;

fn protocols() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

/// Who may use a frontend.
fn allowed() -> impl Strategy<Value = Element> {
    (
        any::<IpAddr>(),
        0..=128_u8,
        protocols(),
        any::<NonZeroU16>(),
    )
        .prop_map(|(ip, prefix, protocol, port)| {
            let prefix = if ip.is_ipv4() { prefix / 4 } else { prefix };
            let source = IpNet::new(ip, prefix).expect("a network").trunc();
            Element::Allowed {
                ip,
                protocol,
                port,
                source,
            }
        })
}

/// What session affinity needs.
fn affinity(mark: impl Strategy<Value = Mark> + Clone + 'static) -> impl Strategy<Value = Element> {
    let lasting = (mark.clone(), any::<NonZeroU32>())
        .prop_map(|(server, seconds)| Affinity::Lasting { server, seconds });
    let alive =
        (mark.clone(), mark.clone()).prop_map(|(server, pin)| Affinity::Alive { server, pin });
    let pin = (mark.clone(), any::<IpAddr>(), any::<NonZeroU16>(), mark).prop_map(
        |(server, ip, port, pin)| Affinity::Pin {
            server,
            ip,
            port,
            pin,
        },
    );
    prop_oneof![lasting, alive, pin].prop_map(Element::Affinity)
}

/// The same frontend for clients from outside.
fn from_outside(element: Element) -> Element {
    match element {
        Element::Service {
            ip,
            protocol,
            port,
            mark,
        } => Element::Outside {
            ip,
            protocol,
            port,
            mark,
        },
        Element::NodePort {
            family,
            protocol,
            port,
            mark,
        } => Element::OutsideNodePort {
            family,
            protocol,
            port,
            mark,
        },
        other => other,
    }
}

fn elements() -> impl Strategy<Value = Element> {
    let mark =
        (0..0x00ff_ffff_u32).prop_map(|low| MarkRange::default().mark(0x0100_0000 | low).unwrap());
    let service = (
        any::<IpAddr>(),
        protocols(),
        any::<NonZeroU16>(),
        mark.clone(),
    )
        .prop_map(|(ip, protocol, port, mark)| Element::Service {
            ip,
            protocol,
            port,
            mark,
        })
        .boxed();
    let own = (
        any::<bool>(),
        any::<(u128, u128)>(),
        protocols(),
        any::<NonZeroU16>(),
        mark.clone(),
    )
        .prop_map(|(six, (client, ip), protocol, port, mark)| {
            let address = |number: u128| -> IpAddr {
                let low = u32::try_from(number >> 96).expect("32 bits");
                if six {
                    Ipv6Addr::from_bits(number).into()
                } else {
                    Ipv4Addr::from_bits(low).into()
                }
            };
            Element::Own {
                client: address(client),
                ip: address(ip),
                protocol,
                port,
                mark,
            }
        });
    let families = prop::sample::select(Family::ALL.to_vec());
    let affinity = affinity(mark.clone());
    let node_port = (families, protocols(), any::<NonZeroU16>(), mark)
        .prop_map(|(family, protocol, port, mark)| Element::NodePort {
            family,
            protocol,
            port,
            mark,
        })
        .boxed();
    let outside = service.clone().prop_map(from_outside);
    let outside_node_port = node_port.clone().prop_map(from_outside);
    prop_oneof![
        own,
        service,
        node_port,
        any::<IpAddr>().prop_map(Element::Vip),
        any::<IpAddr>().prop_map(Element::Hairpin),
        (any::<IpAddr>(), protocols(), any::<NonZeroU16>())
            .prop_map(|(ip, protocol, port)| Element::External { ip, protocol, port }),
        (any::<IpAddr>(), protocols(), any::<NonZeroU16>())
            .prop_map(|(ip, protocol, port)| Element::Guarded { ip, protocol, port }),
        (any::<IpAddr>(), any::<NonZeroU16>()).prop_map(|(ip, port)| Element::Probed {
            ip,
            protocol: Protocol::Tcp,
            port,
        }),
        allowed(),
        affinity,
        outside,
        outside_node_port,
        (any::<IpAddr>(), protocols(), any::<NonZeroU16>())
            .prop_map(|(ip, protocol, port)| Element::Host { ip, protocol, port }),
        (any::<IpAddr>(), protocols(), any::<NonZeroU16>())
            .prop_map(|(ip, protocol, port)| Element::Called { ip, protocol, port }),
    ]
}

proptest! {
    #[test]
    fn an_element_is_read_back_as_it_was_written(element in elements()) {
        let entry = Entry {
            key: element.key(),
            end: element.key_end(),
            value: element.value().map(|value| value.to_ne_bytes().to_vec()),
        };
        let read = Element::decode(element.set(), &entry, MarkRange::default());
        prop_assert_eq!(read, Some(element));
    }

    #[test]
    fn no_key_makes_it_panic(
        set in prop::sample::select(Set::ALL.to_vec()),
        key: Vec<u8>,
        end: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) {
        let _ = Element::decode(set, &Entry { key, end, value }, MarkRange::default());
    }
}

#[test]
fn a_mark_outside_of_the_range_is_not_ours() {
    let marks = MarkRange::default();
    let service = Element::Service {
        ip: [10, 96, 0, 1].into(),
        protocol: Protocol::Tcp,
        port: NonZeroU16::MIN,
        mark: marks.mark(0x0100_0001).expect("in the range"),
    };
    let entry = Entry {
        key: service.key(),
        end: None,
        value: Some(0x0200_0000_u32.to_ne_bytes().to_vec()),
    };
    assert_eq!(Element::decode(service.set(), &entry, marks), None);
}

#[test]
fn addresses_that_are_no_network_are_not_ours() {
    let allowed = |source: &str| Element::Allowed {
        ip: [203, 0, 113, 1].into(),
        protocol: Protocol::Tcp,
        port: NonZeroU16::MIN,
        source: source.parse().expect("a network"),
    };
    let entry = Entry {
        key: allowed("10.0.1.0/24").key(),
        end: allowed("10.0.2.0/24").key_end(),
        value: None,
    };
    let set = allowed("10.0.1.0/24").set();
    assert_eq!(Element::decode(set, &entry, MarkRange::default()), None);
}
