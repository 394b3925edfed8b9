//! The tools that levels are tested with, against levels that are set by hand: if these count
//! wrongly, nothing that the tests of the agent say of levels counts.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::traffic::load::{Schedule, Tier, first_overload, new_per_tier, picture, total_and_astray};
use lab::traffic::{Held, Protocol};
use lab::world::{Place, Pod, Topology, World};
use spillway::kernel::ipvs::{Client, Command, Destination, Name, Service, ServiceKey};
use spillway::model;

/// Levels as far apart as three of them can be (`sed` multiplies them with counts below 32,768).
const WEIGHTS: [u32; 3] = [1 << 30, 1 << 15, 1];
const BUDGET: usize = 10;

/// A client's node with two pods, and two more in each of two farther levels, behind an IPv4 and an
/// IPv6 address. All but the last level end at the budget.
struct Levels {
    tiers: Vec<Vec<Pod>>,
    client: Pod,
    _world: World,
}

const V4: &str = "10.96.0.10";
const V6: &str = "fd00:96:1::a";

impl Levels {
    fn start() -> Result<Self> {
        let world = World::start(&Topology::two_clusters())?;
        let two = |node: &str| -> Result<Vec<Pod>> {
            let node = world.node(node)?;
            Ok(vec![node.pod("a")?, node.pod("b")?])
        };
        let tiers = vec![two("east-1")?, two("east-3")?, two("west-1")?];
        let client = world.node("east-1")?.pod("client")?;
        let node = world.node("east-1")?;
        let addresses = [V4.parse::<IpAddr>()?, V6.parse()?];
        node.netns()
            .configure(|net| net.address("lo", addresses.map(IpAddr::into)))?;
        let mut commands = Vec::new();
        for ip in addresses {
            for (protocol, scheduler) in [
                (model::Protocol::Tcp, Name::SED),
                (model::Protocol::Udp, Name::WLC),
            ] {
                let key = ServiceKey::Address {
                    protocol,
                    ip,
                    port: 80,
                };
                commands.push(Command::NewService(Service::new(key, scheduler)));
                for (tier, weight) in tiers.iter().zip(WEIGHTS) {
                    for pod in tier {
                        let to = if ip.is_ipv4() { pod.v4() } else { pod.v6() };
                        let last = weight == WEIGHTS[2];
                        let destination = Destination {
                            upper_threshold: if last { 0 } else { u32::try_from(BUDGET)? },
                            ..Destination::new(to.ip(), to.port(), weight)
                        };
                        commands.push(Command::NewDestination(key, destination));
                    }
                }
            }
        }
        node.netns()
            .enter(|| -> Result<()> { Ok(Client::connect()?.submit(&commands)?) })??;
        Ok(Self {
            tiers,
            client,
            _world: world,
        })
    }

    fn per_tier(&self, held: &Held) -> Vec<usize> {
        let now = held.now();
        self.tiers.iter().map(|pods| now.of_all(pods)).collect()
    }
}

fn port_80(ip: &str) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.parse()?, 80))
}

pub fn held_connections_and_flows_are_counted_exactly() -> Result<()> {
    let levels = Levels::start()?;
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for to in [port_80(V4)?, port_80(V6)?] {
            let more = |count| levels.client.hold_over(to, protocol, count, 5);
            let mut held = more(2 * BUDGET - 2)?;
            // An idle destination costs `wlc` nothing, however small its weight: each gets a flow.
            let strays = usize::from(protocol == Protocol::Udp) * 4;
            let far: usize = levels.per_tier(&held)[1..].iter().sum();
            ensure!(far <= strays, "{protocol} {to}: {}", held.spread);
            held.add(more(2 * BUDGET + 2 + 7)?);
            ensure!(
                levels.per_tier(&held) == [2 * BUDGET, 2 * BUDGET, 7],
                "{protocol} {to}: {}",
                held.spread
            );
            ensure!(held.ping().answered() == 4 * BUDGET + 7, "{}", held.spread);
            held.close_those_of(|pod| pod.starts_with("west"));
            held.close(3);
            ensure!(held.now().answered() == 4 * BUDGET - 3, "{}", held.now());
        }
    }
    Ok(())
}

pub fn a_schedule_is_followed_recorded_judged_and_drawn() -> Result<()> {
    let levels = Levels::start()?;
    let names = ["node", "cluster", "remote"];
    let tiers: Vec<Tier> = names
        .iter()
        .zip(&levels.tiers)
        .map(|(name, pods)| Tier::new(name, BUDGET, pods))
        .collect();
    // No short ones: without an agent, those that are over would go on counting.
    let schedule = Schedule::through([(0.0, 0.0, 0.0), (8.0, 46.0, 0.0), (10.0, 46.0, 0.0)]);
    let mut ticks = 0;
    let to = port_80(V4)?;
    let recording = levels.client.drive(to, &schedule, |_, _| ticks += 1)?;
    let failures = recording.failures();
    ensure!(failures.is_empty(), "{failures:?}");
    ensure!(ticks > 20, "it looked {ticks} times only");
    let whole = Duration::ZERO..schedule.length();
    let new = new_per_tier(&recording, &tiers, whole);
    ensure!(new == [2 * BUDGET, 2 * BUDGET, 6], "{new:?}");
    ensure!(first_overload(&recording, &tiers, 100).is_none());
    let (total, astray) = total_and_astray(&recording, &tiers);
    ensure!((total, astray) == (46, 0), "{astray} of {total}");

    let svg = picture("By hand", &recording, &tiers, Duration::from_millis(250));
    if let Some(folder) = lab::harness::folder() {
        fs::write(folder.join("by-hand.svg"), svg)?;
    }
    Ok(())
}

pub fn a_cut_connection_is_recorded_and_replaced() -> Result<()> {
    let world = World::start(&Topology::one_node())?;
    let node = world.node("east-1")?;
    let pod = node.pod("echo")?;
    let to = pod.v4();
    let schedule = Schedule::through([(0.0, 5.0, 5.0), (4.0, 5.0, 5.0)]);
    let (opened, all_open) = std::sync::mpsc::channel();
    let recording = std::thread::scope(|scope| -> Result<_> {
        let load = scope.spawn(move || {
            node.drive(to, &schedule, |_, recording| {
                if recording.opened() >= 5 {
                    // Heard once; nobody listens after that.
                    let _ = opened.send(());
                }
            })
        });
        all_open.recv()?;
        pod.kill()?;
        drop(all_open);
        let joined = load.join();
        Ok(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
    })?;
    let failures: usize = recording.failures().values().sum();
    // Those held, and many attempts to replace them.
    ensure!(failures > 5, "{:?}", recording.failures());
    Ok(())
}
