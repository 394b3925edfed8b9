//! The fleet simulator's model of IPVS against the real one: the same traces on both, compared
//! connection by connection and, after each step, count by count.
//!
//! All four schedulers are deterministic where connections are opened one after another, so nothing
//! may differ.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use spillway::kernel::ipvs::{Client, Command, Destination, Name, Service, ServiceKey};
use spillway::model::{Protocol, Scheduler};
use spillway::plan::Limits;

use crate::bed::until;
use crate::ipvs::Edits;
use crate::ipvs::trace::{Ipvs, Key, Modelled, Row, Seen, Step, Trace};
use crate::ipvs::traces::{facts, upto};

/// Clients' ports, one for each connection: a tuple that the kernel remembers is not scheduled anew.
const FIRST_PORT: u16 = 10_000;
const PORT: u16 = 8080;
/// How long a handshake may take under emulation, in milliseconds.
const PATIENCE: u16 = 10_000;
/// Runs of chance for each scheduler.
const SEEDS: u64 = 4;

pub fn what_was_measured_is_so_on_this_kernel_and_in_the_model() -> Result<()> {
    compare_facts(|trace| !waits(trace))
}

pub fn what_expires_is_forgotten_as_in_the_model() -> Result<()> {
    compare_facts(waits)
}

pub fn a_ladder_with_thresholds_fills_as_in_the_model() -> Result<()> {
    compare_chance(&[Scheduler::ShortestExpectedDelay])
}

pub fn least_connections_are_found_as_in_the_model() -> Result<()> {
    compare_chance(&[Scheduler::WeightedLeastConnection])
}

pub fn turns_go_around_as_in_the_model() -> Result<()> {
    compare_chance(&[Scheduler::RoundRobin, Scheduler::WeightedRoundRobin])
}

/// Each time takes ten seconds.
fn waits(trace: &Trace) -> bool {
    trace.steps.iter().any(|step| matches!(step, Step::Forget))
}

fn compare_facts(which: fn(&Trace) -> bool) -> Result<()> {
    let edits = edits()?;
    let traces = facts(edits).into_iter().filter(which);
    compare_all(traces, edits)
}

fn compare_chance(schedulers: &[Scheduler]) -> Result<()> {
    let seeds = |scheduler| (1..=SEEDS).map(move |seed| chance(scheduler, seed));
    compare_all(schedulers.iter().copied().flat_map(seeds), edits()?)
}

fn compare_all(traces: impl Iterator<Item = Trace>, edits: Edits) -> Result<()> {
    traces
        .zip(1..)
        .try_for_each(|(trace, number)| compare(&trace, edits, number))
}

/// What this kernel does at an edit: distributions carry the change back, so its version does not
/// tell.
fn edits() -> Result<Edits> {
    let lowered = Trace {
        name: "a lowered threshold".to_owned(),
        scheduler: Scheduler::ShortestExpectedDelay,
        steps: vec![
            Step::Add(0, 2, upto(0)),
            Step::Add(1, 1, upto(0)),
            Step::Open(1),
            Step::Edit(0, 2, upto(1)),
            Step::Open(1),
        ],
    };
    let seen = lowered.replay(&mut Real::new(lowered.scheduler, 0)?)?;
    let last = seen.last().context("steps")?;
    Ok(match last.went[..] {
        [Some(0)] => Edits::Raise,
        [Some(1)] => Edits::Compare,
        ref other => bail!("went to {other:?}"),
    })
}

/// A life by chance of a ladder of three levels: connections come and go, weights and thresholds
/// change, destinations leave and come back.
fn chance(scheduler: Scheduler, seed: u64) -> Trace {
    const DESTS: Key = 7;
    let mut rng = fastrand::Rng::with_seed(seed);
    let weights: [u32; 3] = match scheduler {
        // Wider ones would stall it.
        Scheduler::WeightedRoundRobin => [12, 6, 1],
        _ => [1 << 30, 1 << 15, 1],
    };
    let weight = |key: Key, rng: &mut fastrand::Rng| match rng.u32(0..10) {
        0 => 0,
        1 => weights[rng.usize(0..3)],
        _ => weights[usize::from(key >= 2) + usize::from(key >= 5)],
    };
    let limits = |rng: &mut fastrand::Rng| {
        let upper = if rng.u32(0..4) == 0 {
            0
        } else {
            rng.u32(1..20)
        };
        let lower = if rng.bool() { 0 } else { rng.u32(0..=upper) };
        Limits { upper, lower }
    };
    let mut steps: Vec<Step> = (0..DESTS)
        .map(|key| Step::Add(key, weight(key, &mut rng), limits(&mut rng)))
        .collect();
    let mut listed: Vec<Key> = (0..DESTS).collect();
    let mut gone: Vec<Key> = Vec::new();
    let mut open = 0;
    // Somebody takes all that come, so that it is known how many are open.
    steps.push(Step::Add(DESTS, 1, upto(0)));
    for _ in 0..120 {
        let at = rng.usize(0..listed.len().max(1));
        match (rng.u32(0..10), listed.get(at).copied()) {
            (0..=3, _) => {
                let count = rng.u32(1..8);
                open += count;
                steps.push(Step::Open(count));
            }
            (4 | 5, _) => {
                let count = rng.u32(0..=open.min(8));
                open -= count;
                steps.push(Step::Close(count));
            }
            (6, _) => steps.push(Step::Brief(rng.u32(1..5))),
            (7, Some(key)) => {
                steps.push(Step::Edit(key, weight(key, &mut rng), limits(&mut rng)));
            }
            (8, Some(key)) if rng.bool() => {
                listed.swap_remove(at);
                gone.push(key);
                steps.push(Step::Delete(key));
            }
            _ if !gone.is_empty() => {
                let key = gone.swap_remove(rng.usize(0..gone.len()));
                listed.push(key);
                steps.push(Step::Add(key, weight(key, &mut rng), limits(&mut rng)));
            }
            _ => {}
        }
    }
    Trace {
        name: format!("{scheduler} by chance, seed {seed}"),
        scheduler,
        steps,
    }
}

fn compare(trace: &Trace, edits: Edits, number: u8) -> Result<()> {
    let modelled = trace.replay(&mut Modelled::new(trace.scheduler, edits)?)?;
    let real = trace.replay(&mut Real::new(trace.scheduler, number)?)?;
    let steps = trace
        .steps
        .iter()
        .enumerate()
        .zip(real.iter().zip(&modelled));
    for ((number, step), (real, modelled)) in steps {
        ensure!(
            real == modelled,
            "{}, step {number}, {step:?}\nthe kernel: {}\nthe model:  {}",
            trace.name,
            shown(real),
            shown(modelled)
        );
    }
    let connections: usize = real.iter().map(|seen| seen.went.len()).sum();
    tracing::info!(
        "{}: {} steps, {connections} connections",
        trace.name,
        real.len()
    );
    Ok(())
}

fn shown(seen: &Seen) -> String {
    let rows: Vec<String> = seen
        .rows
        .iter()
        .map(|row| {
            let Limits { upper, lower } = row.limits;
            let (key, weight) = (row.key, row.weight);
            format!(
                "{key}({weight}, {upper}/{lower}): {}+{}",
                row.active, row.inactive
            )
        })
        .collect();
    format!("{:?}; {}", seen.went, rows.join(", "))
}

/// The real one, with servers and clients on addresses of `lo`.
struct Real {
    client: Client,
    key: ServiceKey,
    /// Part of all addresses, so that what one trace leaves in the kernel does not meet the next.
    number: u8,
    listeners: BTreeMap<Key, TcpListener>,
    next_port: u16,
}

/// Both ends of a connection.
struct Open {
    client: TcpStream,
    _server: TcpStream,
}

impl Real {
    fn new(scheduler: Scheduler, number: u8) -> Result<Self> {
        let mut client = Client::connect()?;
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            ip: address(number, 1).into(),
            port: 80,
        };
        let service = Service::new(key, Name::from(scheduler));
        client.submit(&[Command::Flush, Command::NewService(service)])?;
        Ok(Self {
            client,
            key,
            number,
            listeners: BTreeMap::new(),
            next_port: FIRST_PORT,
        })
    }

    fn destination(&self, key: Key, weight: u32, limits: Limits) -> Result<Destination> {
        let ip = address(self.number, FIRST + u8::try_from(key)?);
        Ok(Destination {
            upper_threshold: limits.upper,
            lower_threshold: limits.lower,
            ..Destination::new(ip.into(), PORT, weight)
        })
    }

    /// The destination that has a connection to accept. The last packet of its handshake may be
    /// under way yet.
    fn chosen(&self) -> Result<(Key, &TcpListener)> {
        let listening = |listener| PollFd::new(listener, PollFlags::POLLIN);
        let listeners = self.listeners.values();
        let mut ready: Vec<PollFd> = listeners.map(AsFd::as_fd).map(listening).collect();
        poll(&mut ready, PollTimeout::from(PATIENCE))?;
        let mut asked = self.listeners.iter().zip(&ready);
        let found = asked.find(|(_, ready)| ready.any() == Some(true));
        let ((key, listener), _) = found.context("connected, but to nobody")?;
        Ok((*key, listener))
    }

    fn submit(&mut self, command: Command) -> Result<()> {
        Ok(self.client.submit(&[command])?)
    }
}

/// What the first destination's address ends in.
const FIRST: u8 = 10;

fn address(number: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, number, last)
}

impl Ipvs for Real {
    type Connection = Open;

    fn add(&mut self, key: Key, weight: u32, limits: Limits) -> Result<()> {
        let to = self.destination(key, weight, limits)?;
        let listener = TcpListener::bind((to.ip, to.port))?;
        self.listeners.insert(key, listener);
        self.submit(Command::NewDestination(self.key, to))
    }

    fn edit(&mut self, key: Key, weight: u32, limits: Limits) -> Result<()> {
        let to = self.destination(key, weight, limits)?;
        self.submit(Command::SetDestination(self.key, to))
    }

    fn delete(&mut self, key: Key) -> Result<()> {
        let to = self.destination(key, 0, Limits::default())?;
        self.listeners.remove(&key);
        self.submit(Command::DelDestination(self.key, to.ip, to.port))
    }

    fn open(&mut self) -> Result<Option<(Key, Open)>> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        let from = SocketAddr::from((address(self.number, 2), self.next_port));
        self.next_port += 1;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
        let to = SocketAddr::from((address(self.number, 1), 80));
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) => {}
            Err(Errno::ECONNREFUSED) => return Ok(None),
            Err(errno) => return Err(errno).context("connect"),
        }
        let client = TcpStream::from(socket);
        let (key, listener) = self.chosen()?;
        let (server, peer) = listener.accept()?;
        ensure!(peer == from, "{peer} instead of {from} came to {key}");
        let open = Open {
            client,
            _server: server,
        };
        Ok(Some((key, open)))
    }

    fn close(&mut self, connection: Open) -> Result<()> {
        // The client's end first: what the server sends last is not to be a reset.
        let Open { client, _server } = connection;
        drop(client);
        Ok(())
    }

    fn reset(&mut self, connection: Open) -> Result<()> {
        let at_once = linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&connection.client, sockopt::Linger, &at_once)?;
        drop(connection.client);
        Ok(())
    }

    /// The kernel does so after 10 s, and tells nobody.
    fn forget(&mut self) -> Result<()> {
        until("what broke off is forgotten", || {
            // `/proc/net` is that of the first thread's namespace.
            let table = std::fs::read_to_string("/proc/thread-self/net/ip_vs_conn")?;
            Ok(!table.lines().any(|line| line.contains(" CLOSE ")))
        })
    }

    fn rows(&mut self) -> Result<Vec<Row>> {
        let listed = self.client.destinations(&self.key)?;
        let row = |entry: spillway::kernel::ipvs::DestinationEntry| {
            let to = entry.destination;
            let std::net::IpAddr::V4(ip) = to.ip else {
                bail!("{} is none of these", to.ip);
            };
            Ok(Row {
                key: u32::from(ip.octets()[3] - FIRST),
                weight: to.weight,
                limits: Limits {
                    upper: to.upper_threshold,
                    lower: to.lower_threshold,
                },
                active: entry.active,
                inactive: entry.inactive,
            })
        };
        listed.into_iter().map(row).collect()
    }
}
