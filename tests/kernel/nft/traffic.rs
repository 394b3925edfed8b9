//! What the table does to packets by itself. None of this needs IPVS.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use spillway::kernel::nft::{Base, Element, Table, Transaction};
use spillway::model::{Family, Protocol};

use super::{VIP, VIP6, adding, base, mark, nft, service};

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub fn host_ports_are_closed_on_virtual_addresses() -> Result<()> {
    let mut table = node()?;
    for (family, vip) in [("0.0.0.0", VIP), ("::", VIP6)] {
        let listener = TcpListener::bind((family, 0))?;
        let port = listener.local_addr()?.port();
        ensure!(connect(vip, port).is_ok());
        table.commit(&adding(&[Element::Vip(vip)]))?;
        ensure!(connect(vip, port) == Err(ErrorKind::ConnectionRefused));
        ensure!(datagram(vip, port)? == Err(ErrorKind::ConnectionRefused));
        // But for those at which load balancers ask.
        table.commit(&adding(&[Element::Probed {
            ip: vip,
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(port).unwrap_or(NonZeroU16::MIN),
        }]))?;
        ensure!(connect(vip, port).is_ok());
    }
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    ensure!(connect(NODE, listener.local_addr()?.port()).is_ok());
    Ok(())
}

pub fn a_verdict_mark_refuses_or_drops() -> Result<()> {
    let mut table = node()?;
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    let port = listener.local_addr()?.port();
    let node_port = |mark| Element::NodePort {
        family: Family::V4,
        protocol: Protocol::Tcp,
        port: NonZeroU16::new(port).unwrap_or(NonZeroU16::MIN),
        mark,
    };
    let marks = base().marks;
    for (mark, kind) in [
        (marks.refusing(mark(2)?), ErrorKind::ConnectionRefused),
        (marks.dropping(mark(2)?), ErrorKind::TimedOut),
    ] {
        let elements = [
            service(VIP, 80, mark),
            service(VIP6, 80, mark),
            node_port(mark),
        ];
        table.commit(&adding(&elements))?;
        for (ip, port) in [(VIP, 80), (VIP6, 80), (NODE, port)] {
            ensure!(connect(ip, port) == Err(kind), "{ip} {mark}");
        }
        // Node ports are not for loopback addresses.
        ensure!(connect(Ipv4Addr::LOCALHOST.into(), port).is_ok());
        table.commit(&Transaction {
            remove: elements.into(),
            add: Vec::new(),
        })?;
    }
    ensure!(connect(NODE, port).is_ok());
    Ok(())
}

/// What listens there on the host itself gets it, whatever the table has for the address.
pub fn what_comes_from_loopback_is_left_alone() -> Result<()> {
    let mut table = node()?;
    let refusing = base().marks.refusing(mark(2)?);
    for (from, family, vip) in [("127.0.0.1", "0.0.0.0", VIP), ("::1", "::", VIP6)] {
        let listener = TcpListener::bind((family, 0))?;
        let port = listener.local_addr()?.port();
        table.commit(&adding(&[service(vip, port, refusing), Element::Vip(vip)]))?;
        ensure!(
            connect(vip, port) == Err(ErrorKind::ConnectionRefused),
            "{vip}"
        );
        let from: IpAddr = from.parse()?;
        ensure!(connect_from(from, vip, port).is_ok(), "{vip} from {from}");
    }
    Ok(())
}

/// At another address of the node, whoever listens there gets it.
pub fn node_ports_are_closed_at_addresses_that_are_not_meant() -> Result<()> {
    let mut table = node()?;
    let other: IpAddr = "198.51.100.1".parse()?;
    run("ip", &format!("address add {other}/32 dev lo"))?;
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    let port = listener.local_addr()?.port();
    let refusing = base().marks.refusing(mark(2)?);
    table.commit(&adding(&[Element::NodePort {
        family: Family::V4,
        protocol: Protocol::Tcp,
        port: NonZeroU16::new(port).context("a port")?,
        mark: refusing,
    }]))?;
    let within = |networks: &[&str]| -> Result<Base> {
        let networks = networks.iter().map(|network| network.parse());
        Ok(Base {
            node_port_networks: networks.collect::<Result<_, _>>()?,
            ..base()
        })
    };
    let refused = Err(ErrorKind::ConnectionRefused);
    for (networks, at_node, at_other) in [
        (&["0.0.0.0/0"][..], refused, refused),
        (&["192.0.2.0/24"], refused, Ok(())),
        (&["192.0.2.0/24", "198.51.100.1/32"], refused, refused),
        (&["2001:db8::/32"], Ok(()), Ok(())),
    ] {
        table.rewrite(&within(networks)?)?;
        ensure!(connect(NODE, port) == at_node, "{networks:?}");
        ensure!(connect(other, port) == at_other, "{networks:?}");
    }
    Ok(())
}

/// Clients in the networks get through to what the address stands for, others to nothing.
pub fn a_guarded_address_is_for_some_clients_only() -> Result<()> {
    let mut table = node()?;
    let guarded = |ip, port| Element::Guarded {
        ip,
        protocol: Protocol::Tcp,
        port,
    };
    let port = NonZeroU16::new(80).context("a port")?;
    let refusing = base().marks.refusing(mark(2)?);
    let allowed = |ip, source: &str| -> Result<Element> {
        Ok(Element::Allowed {
            ip,
            protocol: Protocol::Tcp,
            port,
            source: source.parse()?,
        })
    };
    for (ip, inside, outside) in [
        (VIP, "10.96.0.0/24", "10.97.0.0/16"),
        (VIP6, "fd00:96::/64", "fd00:97::/64"),
    ] {
        let frontend = [service(ip, 80, refusing), guarded(ip, port)];
        table.commit(&adding(&frontend))?;
        // This node's connections to the address come from the address.
        for (source, kind) in [
            (outside, ErrorKind::TimedOut),
            (inside, ErrorKind::ConnectionRefused),
        ] {
            let element = vec![allowed(ip, source)?];
            table.commit(&adding(&element))?;
            ensure!(connect(ip, 80) == Err(kind), "{ip} from {source}");
            table.commit(&Transaction {
                remove: element,
                add: Vec::new(),
            })?;
        }
    }
    Ok(())
}

/// A client that is this node or a pod is not from outside.
pub fn a_frontend_for_outside_is_not_for_this_node() -> Result<()> {
    let mut table = node()?;
    let refusing = base().marks.refusing(mark(2)?);
    let dropping = base().marks.dropping(mark(3)?);
    let port = NonZeroU16::new(80).context("a port")?;
    let outside = |ip| Element::Outside {
        ip,
        protocol: Protocol::Tcp,
        port,
        mark: dropping,
    };
    let node_port = |family| Element::NodePort {
        family,
        protocol: Protocol::Tcp,
        port,
        mark: refusing,
    };
    let outside_node_port = |family| Element::OutsideNodePort {
        family,
        protocol: Protocol::Tcp,
        port,
        mark: dropping,
    };
    table.commit(&adding(&[
        service(VIP, 80, refusing),
        outside(VIP),
        service(VIP6, 80, refusing),
        outside(VIP6),
        node_port(Family::V4),
        outside_node_port(Family::V4),
    ]))?;
    for ip in [VIP, VIP6, NODE] {
        ensure!(connect(ip, 80) == Err(ErrorKind::ConnectionRefused), "{ip}");
    }
    Ok(())
}

pub fn without_a_virtual_server_the_neighbours_mark_comes_back_and_the_host_stays_closed()
-> Result<()> {
    let mut table = node()?;
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    let port = listener.local_addr()?.port();
    let number = NonZeroU16::new(port).context("a port")?;
    let node_port = Element::NodePort {
        family: Family::V4,
        protocol: Protocol::Tcp,
        port: number,
        mark: mark(2)?,
    };
    table.commit(&adding(&[
        node_port,
        Element::Vip(VIP),
        service(VIP, port, mark(2)?),
    ]))?;
    neighbour()?;
    ensure!(connect(NODE, port).is_ok());
    ensure!(connect(VIP, port) == Err(ErrorKind::ConnectionRefused));
    ensure!(packets("ours")? >= 2);
    ensure!(packets("neighbour")? >= 1);
    ensure!(packets("escaped")? == 0);
    Ok(())
}

pub fn when_too_many_marks_are_borrowed_the_mark_is_lost_but_not_the_packet() -> Result<()> {
    let mut table = node()?;
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    let port = listener.local_addr()?.port();
    table.commit(&adding(&[Element::NodePort {
        family: Family::V4,
        protocol: Protocol::Tcp,
        port: NonZeroU16::new(port).context("a port")?,
        mark: mark(2)?,
    }]))?;
    for start in (0..65_536).step_by(2_048) {
        let elements: Vec<_> = (start..start + 2_048)
            .map(|id| format!("{id:#x} timeout 1h : 0x1"))
            .collect();
        let elements = elements.join(", ");
        nft(&format!(
            "add element inet spillway borrowed {{ {elements} }}"
        ))?;
    }
    neighbour()?;
    ensure!(connect(NODE, port).is_ok());
    ensure!(packets("ours")? >= 1);
    ensure!(packets("neighbour")? == 0);
    ensure!(packets("escaped")? == 0);
    Ok(())
}

/// Another owner of marks: gives one to every connection that leaves, and counts what becomes of it.
fn neighbour() -> Result<()> {
    for command in [
        "add table inet neighbour",
        "add chain inet neighbour before { type filter hook output priority -150; }",
        "add chain inet neighbour between { type filter hook output priority -110; }",
        "add chain inet neighbour after { type filter hook output priority -80; }",
        "add chain inet neighbour leaving { type filter hook postrouting priority 300; }",
        "add rule inet neighbour before tcp flags & (syn | ack) == syn meta mark set 0x80000",
        "add rule inet neighbour between meta mark 0x01000002 counter comment \"ours\"",
        "add rule inet neighbour after meta mark 0x80000 counter comment \"neighbour\"",
        "add rule inet neighbour leaving meta mark & 0xff000000 != 0 counter comment \"escaped\"",
    ] {
        nft(command)?;
    }
    Ok(())
}

/// How many packets a counter of the neighbour's has seen.
fn packets(comment: &str) -> Result<u32> {
    let counters = nft("list table inet neighbour")?;
    let comment = format!("comment \"{comment}\"");
    let line = counters.lines().find(|line| line.contains(&comment));
    let mut words = line.context("no such counter")?.split(' ');
    words.find(|&word| word == "packets");
    Ok(words.next().context("no count")?.parse()?)
}

/// A node with an address and the table, to which virtual addresses are local.
fn node() -> Result<Table> {
    for (ip, length) in [(NODE, 32), (VIP, 32), (VIP6, 128)] {
        run("ip", &format!("address add {ip}/{length} dev lo"))?;
    }
    Ok(Table::open(&base())?)
}

fn connect(ip: IpAddr, port: u16) -> Result<(), ErrorKind> {
    TcpStream::connect_timeout(&SocketAddr::new(ip, port), Duration::from_millis(300))
        .map(drop)
        .map_err(|error| error.kind())
}

fn connect_from(from: IpAddr, ip: IpAddr, port: u16) -> Result<()> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket,
    };
    let family = match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket(family, SockType::Stream, SockFlag::empty(), None)?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&socket);
    bind(raw, &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    Ok(connect(
        raw,
        &SockaddrStorage::from(SocketAddr::new(ip, port)),
    )?)
}

/// Sends a datagram and waits for the answer.
fn datagram(ip: IpAddr, port: u16) -> Result<Result<(), ErrorKind>> {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.connect((ip, port))?;
    // What is refused on its way out cannot be sent (EPERM); the reason comes in.
    let _ = socket.send(b"?");
    Ok(socket
        .recv(&mut [0])
        .map(drop)
        .map_err(|error| error.kind()))
}

fn run(program: &str, arguments: &str) -> Result<()> {
    let output = Command::new(program).args(arguments.split(' ')).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments}: {error}");
    Ok(())
}
