//! What the kernel makes of IPVS messages. Each test has a network namespace of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use spillway::kernel::ipvs::{
    Cause, Client, Command, Destination, DestinationEntry, Failure, Failures, Forwarding, Name,
    Service, ServiceFlags, ServiceKey, Stats, SubmitError, Timeouts, Tunnel, TunnelFlags,
};
use spillway::model::{Family, Protocol};

fn mark(mark: u32) -> ServiceKey {
    let family = Family::V4;
    ServiceKey::Mark { family, mark }
}

fn mark6(mark: u32) -> ServiceKey {
    let family = Family::V6;
    ServiceKey::Mark { family, mark }
}

fn address(protocol: Protocol, ip: &str, port: u16) -> Result<ServiceKey> {
    Ok(ServiceKey::Address {
        protocol,
        ip: ip.parse()?,
        port,
    })
}

fn flagged(key: ServiceKey, scheduler: Name, flags: ServiceFlags) -> Service {
    let plain = Service::new(key, scheduler);
    Service { flags, ..plain }
}

fn destination(number: u32) -> Destination {
    let [_, b, c, d] = number.to_be_bytes();
    Destination::new([10, b, c, d].into(), 8080, 1)
}

/// The failures of commands that must not all succeed.
fn failures(submitted: Result<(), SubmitError>) -> Result<Vec<Failure>> {
    match submitted {
        Ok(()) => bail!("all commands succeeded"),
        Err(SubmitError::Failed(Failures(failures))) => Ok(failures),
        Err(error) => Err(error.into()),
    }
}

fn refused(index: usize, errno: Errno) -> Failure {
    let cause = Cause::Refused(errno);
    Failure { index, cause }
}

/// The services in the kernel, by key.
fn services(client: &mut Client) -> Result<Vec<Service>> {
    let mut services: Vec<_> = client.services()?.iter().map(|it| it.service).collect();
    services.sort_by_key(|service| service.key);
    Ok(services)
}

/// The destinations of a service in the kernel, by address and port.
fn destinations(client: &mut Client, key: &ServiceKey) -> Result<Vec<Destination>> {
    let entries = client.destinations(key)?;
    let mut destinations: Vec<_> = entries.iter().map(|it| it.destination).collect();
    destinations.sort_by_key(|destination| (destination.ip, destination.port));
    Ok(destinations)
}

pub fn connecting_is_enough_to_have_ipvs_loaded() -> Result<()> {
    let info = Client::connect()?.info()?;
    ensure!(info.version == [1, 2, 1] && info.connection_table_size.is_power_of_two());
    Ok(())
}

pub fn services_come_back_as_they_were_asked_for() -> Result<()> {
    let mut client = Client::connect()?;
    let dns = address(Protocol::Udp, "10.96.0.10", 53)?;
    let tcp = address(Protocol::Tcp, "10.96.0.1", 443)?;
    let sctp = address(Protocol::Sctp, "10.96.0.1", 443)?;
    let tcp6 = address(Protocol::Tcp, "fd00::1", 443)?;
    let all_ports = address(Protocol::Tcp, "10.96.0.2", 0)?;
    let sip = address(Protocol::Udp, "10.96.0.2", 5060)?;
    let hash = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2;
    let mut wanted = vec![
        Service::new(mark(0x0100_0002), Name::WRR),
        Service::new(mark6(0x0100_0002), Name::SED),
        flagged(mark(0x0100_0003), Name::FO, ServiceFlags::SCHEDULER_3),
        flagged(dns, Name::WLC, ServiceFlags::ONE_PACKET),
        flagged(tcp, Name::MH, hash),
        flagged(sctp, Name::SH, hash),
        Service {
            timeout_seconds: 10_800,
            netmask: 64,
            ..flagged(tcp6, Name::LC, ServiceFlags::PERSISTENT)
        },
        Service {
            timeout_seconds: 31 * 86_400,
            netmask: 0,
            ..flagged(all_ports, Name::NQ, ServiceFlags::PERSISTENT)
        },
        Service {
            timeout_seconds: 60,
            netmask: 24,
            persistence_engine: Name::new("sip"),
            ..flagged(sip, Name::OVF, ServiceFlags::PERSISTENT)
        },
    ];
    wanted.sort_by_key(|service| service.key);
    let add: Vec<_> = wanted.iter().copied().map(Command::NewService).collect();
    client.submit(&add)?;
    ensure!(
        services(&mut client)? == wanted,
        "{:#?}",
        services(&mut client)?
    );
    for entry in client.services()? {
        ensure!(entry.stats == Stats::default());
        ensure!(client.service(&entry.service.key)? == Some(entry));
    }
    ensure!(client.service(&mark(9))?.is_none());
    Ok(())
}

pub fn a_service_can_be_edited_in_place() -> Result<()> {
    let mut client = Client::connect()?;
    let plain = Service::new(mark(7), Name::RR);
    let edited = Service {
        scheduler: Name::SED,
        flags: ServiceFlags::PERSISTENT,
        timeout_seconds: 30,
        netmask: 16,
        ..plain
    };
    client.submit(&[
        Command::NewService(plain),
        Command::NewDestination(plain.key, destination(1)),
        Command::SetService(edited),
    ])?;
    ensure!(services(&mut client)? == [edited]);
    client.submit(&[Command::SetService(plain)])?;
    ensure!(services(&mut client)? == [plain]);
    ensure!(destinations(&mut client, &plain.key)? == [destination(1)]);
    Ok(())
}

pub fn a_service_goes_with_its_destinations_and_leaves_the_others() -> Result<()> {
    let mut client = Client::connect()?;
    let (gone, stays) = (mark(7), mark(8));
    client.submit(&[
        Command::NewService(Service::new(gone, Name::RR)),
        Command::NewService(Service::new(stays, Name::RR)),
        Command::NewDestination(gone, destination(1)),
        Command::NewDestination(stays, destination(1)),
        Command::DelService(gone),
    ])?;
    ensure!(services(&mut client)? == [Service::new(stays, Name::RR)]);
    ensure!(destinations(&mut client, &stays)? == [destination(1)]);
    ensure!(client.destinations(&gone)?.is_empty());

    client.submit(&[Command::Flush])?;
    ensure!(client.services()?.is_empty());
    Ok(())
}

pub fn destinations_come_back_with_every_field() -> Result<()> {
    let mut client = Client::connect()?;
    let forwardings = [
        Forwarding::Masquerade,
        Forwarding::LocalNode,
        Forwarding::DirectRoute,
        Forwarding::Bypass,
        Forwarding::Tunnel(Tunnel::IpInIp),
        Forwarding::Tunnel(Tunnel::Gue {
            port: 6080,
            flags: TunnelFlags::CHECKSUM,
        }),
        Forwarding::Tunnel(Tunnel::Gre {
            flags: TunnelFlags::empty(),
        }),
    ];
    for (key, ip) in [(mark(7), "127.0.0.1"), (mark6(7), "::1")] {
        let ip = ip.parse()?;
        let wanted: Vec<_> = (1..)
            .zip(forwardings)
            .map(|(number, forwarding)| Destination {
                forwarding,
                weight: i32::MAX as u32 - u32::from(number),
                upper_threshold: i32::MAX as u32,
                lower_threshold: 1000 + u32::from(number),
                ..Destination::new(ip, 8000 + number, 0)
            })
            .collect();
        let mut commands = vec![Command::NewService(Service::new(key, Name::WRR))];
        commands.extend(wanted.iter().map(|&it| Command::NewDestination(key, it)));
        client.submit(&commands)?;
        let found = destinations(&mut client, &key)?;
        ensure!(found == wanted, "{found:#?}");
    }
    Ok(())
}

pub fn a_tunnel_can_lead_to_the_other_family() -> Result<()> {
    let mut client = Client::connect()?;
    let tunnelled = Destination {
        forwarding: Forwarding::Tunnel(Tunnel::IpInIp),
        ..Destination::new("fd00::2".parse()?, 80, 1)
    };
    client.submit(&[
        Command::NewService(Service::new(mark(7), Name::RR)),
        Command::NewDestination(mark(7), tunnelled),
    ])?;
    ensure!(destinations(&mut client, &mark(7))? == [tunnelled]);
    Ok(())
}

pub fn a_destination_can_be_edited_and_deleted() -> Result<()> {
    let mut client = Client::connect()?;
    let edited = Destination {
        weight: 0,
        upper_threshold: 50,
        lower_threshold: 40,
        ..destination(1)
    };
    client.submit(&[
        Command::NewService(Service::new(mark(7), Name::RR)),
        Command::NewDestination(mark(7), destination(1)),
        Command::NewDestination(mark(7), destination(2)),
        Command::SetDestination(mark(7), edited),
        Command::DelDestination(mark(7), destination(2).ip, destination(2).port),
    ])?;
    ensure!(destinations(&mut client, &mark(7))? == [edited]);
    Ok(())
}

pub fn refusals_say_what_is_wrong() -> Result<()> {
    let mut client = Client::connect()?;
    let heavy = Destination {
        weight: u32::MAX,
        ..destination(2)
    };
    let contrary = Destination {
        upper_threshold: 1,
        lower_threshold: 2,
        ..destination(2)
    };
    let unheard = Name::new("unheard-of").context("a name")?;
    let found = failures(client.submit(&[
        Command::NewService(Service::new(mark(7), Name::RR)),
        Command::NewService(Service::new(mark(7), Name::RR)),
        Command::NewService(Service::new(mark(8), unheard)),
        Command::SetService(Service::new(mark(9), Name::RR)),
        Command::NewDestination(mark(7), destination(1)),
        Command::NewDestination(mark(7), destination(1)),
        Command::NewDestination(mark(7), heavy),
        Command::NewDestination(mark(7), contrary),
        Command::SetDestination(mark(7), destination(2)),
        Command::DelDestination(mark(7), destination(2).ip, destination(2).port),
        Command::DelService(mark(9)),
        Command::Zero(Some(mark(9))),
    ]))?;
    let expected = [
        refused(1, Errno::EEXIST),
        refused(2, Errno::ENOENT),
        refused(3, Errno::ESRCH),
        refused(5, Errno::EEXIST),
        refused(6, Errno::ERANGE),
        refused(7, Errno::ERANGE),
        refused(8, Errno::ENOENT),
        refused(9, Errno::ENOENT),
        refused(10, Errno::ESRCH),
        refused(11, Errno::ESRCH),
    ];
    ensure!(found == expected, "{found:#?}");
    ensure!(services(&mut client)? == [Service::new(mark(7), Name::RR)]);
    Ok(())
}

pub fn one_refusal_among_thousands_names_its_command() -> Result<()> {
    let mut client = Client::connect()?;
    let mut commands = vec![Command::NewService(Service::new(mark(7), Name::RR))];
    commands.extend((0..5_000).map(|n| Command::NewDestination(mark(7), destination(n))));
    for index in [1, 777, 2_500, 5_000] {
        commands[index] = Command::DelService(mark(8));
    }
    let found = failures(client.submit(&commands))?;
    let expected = [1, 777, 2_500, 5_000].map(|index| refused(index, Errno::ESRCH));
    ensure!(found == expected, "{found:?}");
    ensure!(client.destinations(&mark(7))?.len() == 4_996);
    Ok(())
}

pub fn twenty_thousand_commands_take_effect() -> Result<()> {
    let mut client = Client::connect()?;
    let keys: Vec<_> = (1..=2_000).map(mark).collect();
    let commands: Vec<_> = keys
        .iter()
        .flat_map(|&key| {
            let service = Command::NewService(Service::new(key, Name::WRR));
            let reals = (1..=9).map(move |n| Command::NewDestination(key, destination(n)));
            std::iter::once(service).chain(reals)
        })
        .collect();
    ensure!(commands.len() == 20_000);
    client.submit(&commands)?;
    let wanted: Vec<_> = keys
        .iter()
        .map(|&key| Service::new(key, Name::WRR))
        .collect();
    ensure!(services(&mut client)? == wanted);
    let reals: Vec<_> = (1..=9).map(destination).collect();
    for key in &keys {
        ensure!(destinations(&mut client, key)? == reals, "{key}");
    }
    Ok(())
}

pub fn when_every_command_fails_every_one_is_named() -> Result<()> {
    let mut client = Client::connect()?;
    let commands: Vec<_> = (1..=20_000).map(|n| Command::DelService(mark(n))).collect();
    let found = failures(client.submit(&commands))?;
    ensure!(found.len() == commands.len());
    for (index, failure) in found.into_iter().enumerate() {
        ensure!(failure == refused(index, Errno::ESRCH), "{failure:?}");
    }
    Ok(())
}

pub fn time_outs_can_be_set_one_at_a_time() -> Result<()> {
    let mut client = Client::connect()?;
    let preset = Timeouts {
        tcp: 900,
        tcp_fin: 120,
        udp: 300,
    };
    ensure!(client.timeouts()? == preset);
    let udp = Timeouts {
        udp: 30,
        ..Timeouts::default()
    };
    client.submit(&[Command::SetConfig(udp)])?;
    ensure!(client.timeouts()? == Timeouts { udp: 30, ..preset });
    Ok(())
}

pub fn connections_are_counted_until_zeroed() -> Result<()> {
    let mut client = Client::connect()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let key = address(Protocol::Tcp, "127.0.0.2", 80)?;
    let service = Service {
        timeout_seconds: 60,
        ..flagged(key, Name::RR, ServiceFlags::PERSISTENT)
    };
    let real = Destination::new([127, 0, 0, 1].into(), listener.local_addr()?.port(), 1);
    client.submit(&[
        Command::NewService(service),
        Command::NewDestination(key, real),
    ])?;

    let virtual_server = SocketAddr::from(([127, 0, 0, 2], 80));
    let _open = TcpStream::connect(virtual_server)?;
    // The handshake has two packets in and one out.
    let counted = wait_for_counters(&mut client, &key, 2)?;
    ensure!(counted.stats.connections == 1, "{counted:?}");
    ensure!(counted.stats.bytes_in >= 80, "{counted:?}");
    ensure!(counted.stats.bytes_out >= 40 && counted.stats.packets_out >= 1);
    ensure!((counted.active, counted.inactive) == (1, 0), "{counted:?}");
    ensure!(counted.persistent == 1, "{counted:?}");
    ensure!(client.services()?[0].stats.connections == 1);

    client.submit(&[Command::Zero(Some(key))])?;
    let zeroed = client.destinations(&key)?[0];
    ensure!(zeroed.stats.connections == 0 && zeroed.stats.bytes_in == 0);
    ensure!(zeroed.active == 1, "{zeroed:?}");

    let _second = TcpStream::connect(virtual_server)?;
    let counted = wait_for_counters(&mut client, &key, 1)?;
    ensure!(
        counted.stats.connections == 1 && counted.active == 2,
        "{counted:?}"
    );
    client.submit(&[Command::Zero(None)])?;
    ensure!(client.destinations(&key)?[0].stats.connections == 0);
    Ok(())
}

/// The first destination of a service, once the kernel has summed up so many packets to it: it does
/// every other second, and not of all counters at once.
fn wait_for_counters(
    client: &mut Client,
    key: &ServiceKey,
    packets: u64,
) -> Result<DestinationEntry> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let entry = client.destinations(key)?[0];
        if entry.stats.connections > 0 && entry.stats.packets_in >= packets {
            return Ok(entry);
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("the kernel counted no connection")
}
