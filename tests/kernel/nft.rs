//! The nftables table, with the `nft` tool as the judge. None of this needs IPVS.

pub mod affinity;
pub mod traffic;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroU32};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netlink_sys::protocols::NETLINK_NETFILTER;
use spillway::kernel::mark::{Mark, MarkRange};
use spillway::kernel::nft::{
    Action, Affinity, Base, Element, Error, Links, Pods, Table, Transaction,
};
use spillway::kernel::socket::Socket;
use spillway::model::{Family, LinkName, Protocol};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1));

pub fn opening_makes_a_table_that_the_nft_tool_prints_in_its_own_language() -> Result<()> {
    Table::open(&Base {
        pods: Pods::Within(vec!["10.244.0.0/16".parse()?, "fd00:244::/56".parse()?]),
        ..base()
    })?;
    let table = nft("list table inet spillway")?;
    for line in [
        "type filter hook input priority 90; policy accept;",
        "type route hook output priority -120; policy accept;",
        "type nat hook postrouting priority srcnat; policy accept;",
        "type ipv4_addr . inet_proto . inet_service : mark",
        "meta mark 0x01000000/8 goto sent_on",
        "ct state new goto classify",
        "meta mark != 0x00000000 meta nfproto ipv6 update @borrowed { ct id timeout 5s : meta mark } meta mark set ip6 daddr . meta l4proto . th dport map @services_v6 goto marked",
        "meta mark set ip daddr . meta l4proto . th dport map @services_v4 goto marked",
        "ip daddr @vips_v4 goto refuse",
        "ip6 daddr fe80::/10 return",
        "fib daddr type local meta mark set meta l4proto . th dport map @nodeports_v4 goto marked",
        "ip daddr . meta l4proto . th dport @guarded_v4 ip daddr . meta l4proto . th dport . ip saddr != @allowed_v4 drop",
        "ip saddr != 10.244.0.0/16 fib saddr type != local meta mark set ip daddr . meta l4proto . th dport map @outside_v4 goto marked",
        "fib saddr type != local fib daddr type local meta mark set meta l4proto . th dport map @outside_nodeports_v6 goto marked",
        "ct original ip daddr . meta l4proto . ct original proto-dst map @outside_v4 != 0x0 [invalid type] return",
        "ct original ip6 daddr . meta l4proto . ct original proto-dst @external_v6 goto masquerade",
        "meta mark 0x01800000/10 goto refuse",
        "meta mark 0x01400000/10 drop",
        "ct state new jump renew",
        "update @asked { ct id timeout 1s : meta mark } meta mark set ip saddr . meta mark map @pinned_v4 meta mark . meta mark @alive return",
        "meta mark set ct id map @asked delete @pinned_v6 { ip6 saddr . meta mark : meta mark }",
        "meta l4proto tcp reject with tcp reset",
        "icmp type echo-request reject",
        "icmpv6 type echo-request reject",
        "ct original ip daddr != @vips_v4 goto masquerade",
        "ip6 saddr . ip6 daddr @hairpin_v6 goto masquerade",
        "ip saddr 10.244.0.0/16 return",
        "ip6 saddr fd00:244::/56 return",
        "meta mark set ct id map @borrowed",
        "meta mark set meta mark | 0x00004000",
        "meta mark set meta mark & 0xffffbfff masquerade fully-random",
    ] {
        ensure!(table.contains(line), "no `{line}` in\n{table}");
    }
    Ok(())
}

pub fn rules_are_exchanged_while_the_elements_stay() -> Result<()> {
    let mut table = Table::open(&base())?;
    let there = service(VIP, 80, mark(2)?);
    table.commit(&adding(&[there]))?;
    let link = |name| LinkName::new(name).context("a link");
    table.rewrite(&Base {
        pods: Pods::At(Links::StartingWith(link("veth")?)),
        node_port_networks: vec!["192.0.2.0/24".parse()?, "198.51.100.7/32".parse()?],
        service_networks: vec!["10.96.0.0/16".parse()?, "fd00:96::/112".parse()?],
        ..base()
    })?;
    ensure!(table.elements()? == [there]);
    let printed = nft("list table inet spillway")?;
    for line in [
        "iifname != \"veth*\" fib saddr type != local meta mark set ip daddr . meta l4proto . th dport map @outside_v4 goto marked",
        "iifname \"veth*\" update @inside { ct id timeout 1s }",
        "ct id @inside return",
        "ip saddr 127.0.0.0/8 return",
        "ip6 saddr ::1 return",
        "ip daddr != 192.0.2.0/24 ip daddr != 198.51.100.7 return",
        "meta nfproto ipv6 return",
        "type filter hook forward priority -110; policy accept;",
        "type filter hook output priority -80; policy accept;",
        "ip daddr 10.96.0.0/16 fib daddr type != local drop",
        "ip6 daddr fd00:96::/112 fib daddr type != local drop",
        "ct original ip daddr @vips_v4 update @twins_v4",
        "@twins_v4 goto answer_to_twin",
        "th sport set ct original proto-dst ip saddr set ct original ip daddr",
        "th sport set ct original proto-dst ip6 saddr set ct original ip6 daddr",
    ] {
        ensure!(printed.contains(line), "no `{line}` in\n{printed}");
    }
    table.rewrite(&Base {
        pods: Pods::At(Links::Named(link("cni0")?)),
        ..base()
    })?;
    let printed = nft("list table inet spillway")?;
    ensure!(
        printed.contains("iifname \"cni0\" update @inside"),
        "{printed}"
    );
    ensure!(!printed.contains("hook forward priority -110"), "{printed}");
    ensure!(table.elements()? == [there]);
    Ok(())
}

pub fn elements_are_read_back_as_they_were_written() -> Result<()> {
    let mut table = Table::open(&base())?;
    let elements = one_of_each()?;
    table.commit(&adding(&elements))?;
    ensure!(read(&mut table)? == elements.iter().copied().collect());

    let printed = nft("list table inet spillway")?;
    for element in [
        "10.96.0.1 . tcp . 80 : 0x01000002",
        "fd00:96::1 . udp . 53 : 0x01000003",
        "sctp . 30080 : 0x01000004",
        "elements = { 10.244.0.7 . 10.244.0.7 }",
        "203.0.113.1 . tcp . 80 . 198.51.100.0/24",
        "0x01000002 : 0x0000003c",
        "0x01000002 . fd00:96::1 . 8080 : 0x01000006",
        "0x01000002 . 0x01000006",
        "2001:db8::1 . tcp . 80 . 2001:db8:1::/48",
    ] {
        ensure!(printed.contains(element), "no `{element}` in\n{printed}");
    }

    let remove = elements;
    let add = Vec::new();
    table.commit(&Transaction { remove, add })?;
    ensure!(table.elements()?.is_empty());
    Ok(())
}

pub fn a_mark_is_exchanged_in_one_transaction() -> Result<()> {
    let mut table = Table::open(&base())?;
    let [old, new] = [service(VIP, 80, mark(2)?), service(VIP, 80, mark(3)?)];
    table.commit(&adding(&[old]))?;
    table.commit(&Transaction {
        remove: vec![old],
        add: vec![new],
    })?;
    ensure!(table.elements()? == [new]);
    Ok(())
}

pub fn a_refused_element_is_named_and_nothing_changes() -> Result<()> {
    let mut table = Table::open(&base())?;
    let there = service(VIP, 80, mark(2)?);
    table.commit(&adding(&[there]))?;

    let others: Vec<_> = (1000..2000)
        .map(|port| Ok(service(VIP, port, mark(7)?)))
        .collect::<Result<_>>()?;
    let clash = service(VIP, 80, mark(3)?);
    let mut add = others.clone();
    add.insert(700, clash);
    match table.commit(&adding(&add)) {
        Err(Error::Element {
            action: Action::Add,
            element,
            cause,
        }) => {
            ensure!(element == clash);
            ensure!(cause.kind() == ErrorKind::AlreadyExists, "{cause}");
        }
        other => bail!("{other:?}"),
    }
    ensure!(table.elements()? == [there]);

    let absent = Element::Vip(VIP);
    match table.commit(&Transaction {
        remove: vec![there, absent],
        add: others,
    }) {
        Err(Error::Element {
            action: Action::Remove,
            element,
            cause,
        }) => {
            ensure!(element == absent);
            ensure!(cause.kind() == ErrorKind::NotFound, "{cause}");
        }
        other => bail!("{other:?}"),
    }
    ensure!(table.elements()? == [there]);
    Ok(())
}

pub fn taking_over_replaces_the_chains_and_keeps_the_elements() -> Result<()> {
    let mut table = Table::open(&base())?;
    let elements = one_of_each()?;
    table.commit(&adding(&elements))?;
    let fresh = nft("list table inet spillway")?;
    nft("add rule inet spillway classify drop")?;
    nft("add chain inet spillway older { type filter hook input priority 5; }")?;
    nft("add rule inet spillway older jump classify")?;
    nft("delete chain inet spillway output_after")?;
    drop(table);

    let mut table = Table::open(&base())?;
    ensure!(nft("list table inet spillway")? == fresh);
    ensure!(read(&mut table)? == elements.into_iter().collect());
    Ok(())
}

pub fn taking_over_after_a_change_of_the_mark_range_empties_the_maps() -> Result<()> {
    Table::open(&base())?.commit(&adding(&one_of_each()?))?;
    let marks = MarkRange::new(0x0200_0000, 8).context("a range")?;
    let mut table = Table::open(&Base { marks, ..base() })?;
    let has_a_mark = |element: &Element| {
        matches!(
            element,
            Element::Service { .. }
                | Element::Outside { .. }
                | Element::NodePort { .. }
                | Element::OutsideNodePort { .. }
                | Element::Affinity(_)
        )
    };
    let all = one_of_each()?.into_iter();
    let left: BTreeSet<_> = all.filter(|element| !has_a_mark(element)).collect();
    ensure!(read(&mut table)? == left);
    Ok(())
}

pub fn an_element_that_is_not_ours_is_reported() -> Result<()> {
    let mut table = Table::open(&base())?;
    nft("add element inet spillway services_v4 { 10.96.0.1 . tcp . 80 : 0x7 }")?;
    ensure!(matches!(
        table.elements(),
        Err(Error::Foreign("services_v4"))
    ));
    Ok(())
}

/// A batch for another generation of the ruleset than the running one.
pub fn a_transaction_that_is_refused_as_such_says_so_at_once() -> Result<()> {
    Table::open(&base())?;
    let mut socket = Socket::open(NETLINK_NETFILTER)?;
    let (begin, end) = (socket.next_sequence(), socket.next_sequence());
    // A netlink header, `struct nfgenmsg` for subsystem 10, and for the begin NFNL_BATCH_GENID.
    let message = |kind: u16, sequence: u32, attributes: &[u8]| {
        let length = u32::try_from(20 + attributes.len()).unwrap_or(0);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 10]);
        bytes.extend(attributes);
        bytes
    };
    let generation = [&8_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &[0xff; 4]].concat();
    let batch = [message(0x10, begin, &generation), message(0x11, end, &[])].concat();
    let start = Instant::now();
    let refusals = socket.transact(&batch, begin, end)?;
    let [refusal] = refusals[..] else {
        bail!("{refusals:?}");
    };
    ensure!(refusal.sequence == begin, "{refusal:?}");
    ensure!(start.elapsed() < Duration::from_secs(20), "it waited");
    Ok(())
}

/// Each of kube-proxy's sets holds 65,536 elements at most.
pub fn seventy_thousand_elements_of_a_map_are_one_transaction() -> Result<()> {
    let mut table = Table::open(&base())?;
    let mut add = Vec::new();
    for number in 0..70_000_u32 {
        let v4 = IpAddr::from(Ipv4Addr::from_bits(0x0a60_0000 + number));
        add.push(service(v4, 80, mark(2 + number)?));
    }
    for number in 0..5_000_u32 {
        let v6 = IpAddr::from(Ipv6Addr::from_bits(
            0xfd00_0096_u128 << 96 | u128::from(number),
        ));
        add.extend([Element::Vip(v6), service(v6, 80, mark(2 + number)?)]);
    }
    let start = Instant::now();
    table.commit(&adding(&add))?;
    let added = start.elapsed();
    let all = read(&mut table)?;
    let dumped = start.elapsed().saturating_sub(added);
    eprintln!("80,000 elements: added in {added:?}, read in {dumped:?}");
    ensure!(all == add.iter().copied().collect());

    // Even if many of them are refused.
    let others = add.iter().rev().take(15_000).map(|&element| match element {
        Element::Service { ip, port, .. } => Ok(service(ip, port.get(), mark(1_000_000)?)),
        other => Ok(other),
    });
    let refused = table.commit(&adding(&others.collect::<Result<Vec<_>>>()?));
    ensure!(matches!(refused, Err(Error::Element { .. })), "{refused:?}");
    ensure!(read(&mut table)? == all);
    Ok(())
}

pub fn deleting_needs_no_table() -> Result<()> {
    Table::delete()?;
    Table::open(&base())?;
    Table::delete()?;
    ensure!(nft("list tables")?.is_empty());
    Ok(())
}

pub fn a_masquerade_bit_within_the_prefix_of_the_marks_is_refused() -> Result<()> {
    for masquerade_bit in [24, 31, 32] {
        let refused = Table::open(&Base {
            masquerade_bit,
            ..base()
        });
        ensure!(matches!(refused, Err(Error::MasqueradeBit(bit)) if bit == masquerade_bit));
    }
    Ok(())
}

/// A wider network takes the place of narrower ones, which it overlaps.
pub fn networks_are_exchanged_in_one_transaction() -> Result<()> {
    let mut table = Table::open(&base())?;
    let narrow = vec![
        allowed("203.0.113.1", "198.51.100.0/24")?,
        allowed("203.0.113.1", "198.51.103.0/24")?,
    ];
    let wide = vec![allowed("203.0.113.1", "198.51.0.0/16")?];
    table.commit(&adding(&narrow))?;
    for (remove, add) in [(narrow.clone(), wide.clone()), (wide, narrow.clone())] {
        table.commit(&Transaction {
            remove,
            add: add.clone(),
        })?;
        ensure!(read(&mut table)? == add.into_iter().collect());
    }
    Ok(())
}

fn base() -> Base {
    Base::new(MarkRange::default())
}

fn mark(number: u32) -> Result<Mark> {
    let range = base().marks;
    range.mark(range.prefix() | number).context("a mark")
}

fn service(ip: IpAddr, port: u16, mark: Mark) -> Element {
    Element::Service {
        ip,
        protocol: Protocol::Tcp,
        port: NonZeroU16::new(port).unwrap_or(NonZeroU16::MIN),
        mark,
    }
}

fn one_of_each() -> Result<Vec<Element>> {
    Ok(vec![
        Element::Vip(VIP),
        Element::Hairpin([10, 244, 0, 7].into()),
        service(VIP, 80, mark(2)?),
        Element::Service {
            ip: VIP6,
            protocol: Protocol::Udp,
            port: NonZeroU16::new(53).context("a port")?,
            mark: mark(3)?,
        },
        Element::NodePort {
            family: Family::V6,
            protocol: Protocol::Sctp,
            port: NonZeroU16::new(30080).context("a port")?,
            mark: mark(4)?,
        },
        Element::Outside {
            ip: VIP,
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(81).context("a port")?,
            mark: base().marks.dropping(mark(5)?),
        },
        Element::OutsideNodePort {
            family: Family::V6,
            protocol: Protocol::Sctp,
            port: NonZeroU16::new(30081).context("a port")?,
            mark: mark(5)?,
        },
        Element::External {
            ip: VIP6,
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(80).context("a port")?,
        },
        Element::Probed {
            ip: VIP6,
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(31000).context("a port")?,
        },
        Element::Guarded {
            ip: VIP,
            protocol: Protocol::Udp,
            port: NonZeroU16::new(80).context("a port")?,
        },
        allowed("203.0.113.1", "198.51.100.0/24")?,
        allowed("203.0.113.1", "198.51.102.7/32")?,
        allowed("2001:db8::1", "2001:db8:1::/48")?,
        lasting(2, 60)?,
        Element::Affinity(Affinity::Alive {
            server: mark(2)?,
            pin: mark(6)?,
        }),
        Element::Affinity(Affinity::Pin {
            server: mark(2)?,
            ip: VIP6,
            port: NonZeroU16::new(8080).context("a port")?,
            pin: mark(6)?,
        }),
    ])
}

/// The clients of a virtual server come back for so long.
fn lasting(server: u32, seconds: u32) -> Result<Element> {
    Ok(Element::Affinity(Affinity::Lasting {
        server: mark(server)?,
        seconds: NonZeroU32::new(seconds).context("a time-out")?,
    }))
}

/// Who may use port 80 of an address.
fn allowed(ip: &str, source: &str) -> Result<Element> {
    Ok(Element::Allowed {
        ip: ip.parse()?,
        protocol: Protocol::Tcp,
        port: NonZeroU16::new(80).context("a port")?,
        source: source.parse()?,
    })
}

fn adding(elements: &[Element]) -> Transaction {
    Transaction {
        remove: Vec::new(),
        add: elements.to_vec(),
    }
}

fn read(table: &mut Table) -> Result<BTreeSet<Element>> {
    Ok(table.elements()?.into_iter().collect())
}

fn nft(command: &str) -> Result<String> {
    let output = Command::new("nft").arg(command).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft {command}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}
