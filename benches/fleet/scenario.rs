//! What is simulated, by name, and what must come out of it.

use clap::ValueEnum;

use super::kernel::Edits;

/// A scenario's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Even demand, nothing happens.
    Steady,
    /// A few nodes want most, one zone is short of pods, long connections prevail.
    Skew,
    /// Pods are replaced one after another, agents restart.
    Deploy,
    /// A zone dies with its nodes, pods and clients.
    DeadZone,
    /// A third of all demand reports is lost.
    Loss,
    /// Test T10: 50 agents share the pods.
    T10,
    /// 5,000 nodes, and then a zone dies.
    Big,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub nodes: usize,
    pub zones: usize,
    pub clusters: usize,
    pub services: usize,
    /// Of each service.
    pub pods: usize,
    /// Connections at a time that most pods accept; every third accepts half as many.
    pub capacity: u32,
    /// The part of nodes that are clients of a service.
    pub clients_of_each: f64,
    /// All connections at a time that clients want, as a part of all capacity.
    pub load: f64,
    /// The n-th busiest node wants `1 / n^zipf` of what the busiest wants.
    pub zipf: f64,
    /// Mean lifetime of most connections, in seconds.
    pub short: f64,
    /// Mean lifetime of the others.
    pub long: f64,
    /// The part of connections that are long.
    pub longs: f64,
    /// For how long demand rises from nothing, in seconds.
    pub ramp: f64,
    /// From when on all must be steady.
    pub warm: f64,
    /// When the simulation ends.
    pub end: f64,
    /// Between two reports of a node.
    pub report_every: f64,
    /// How long a report is under way.
    pub report_delay: f64,
    /// The part of reports that get lost.
    pub loss: f64,
    /// Agents that restart, per minute.
    pub restarts: f64,
    /// Between two replaced pods of a service; 0: none.
    pub deploy_every: f64,
    /// When a zone dies; 0: never.
    pub dead_zone_at: f64,
    /// How long after that its endpoints leave the API.
    pub detect: f64,
    /// Between two ticks of the control loop, in seconds.
    pub tick: f64,
    /// What kernels do at an edit.
    pub edits: Edits,
    pub bounds: Bounds,
}

/// What must come out.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most connections at a time at any pod while all is steady, as a part of its capacity.
    pub steady: f64,
    /// How long, in seconds, a pod may have more than [`OVER`] of its capacity after a zone died, or
    /// of its even part of all connections where those are more than all capacity that is left.
    pub over: f64,
    /// The most changes of a level's state at one service of one node, per minute.
    pub flaps: f64,
}

/// What counts as badly overloaded, as a part of capacity.
pub const OVER: f64 = 1.3;

impl Scenario {
    pub fn of(name: Name) -> Self {
        let base = Self {
            nodes: 50,
            zones: 3,
            clusters: 1,
            services: 3,
            pods: 30,
            capacity: 100,
            clients_of_each: 1.0,
            load: 0.7,
            zipf: 1.0,
            short: 0.5,
            long: 20.0,
            longs: 0.1,
            ramp: 20.0,
            warm: 60.0,
            end: 120.0,
            report_every: 1.0,
            report_delay: 0.3,
            loss: 0.0,
            restarts: 0.0,
            deploy_every: 0.0,
            dead_zone_at: 0.0,
            detect: 4.0,
            tick: 0.5,
            edits: Edits::default(),
            bounds: Bounds {
                steady: 1.1,
                over: 10.0,
                flaps: 6.0,
            },
        };
        match name {
            Name::Steady => Self { zipf: 0.0, ..base },
            Name::Skew => Self {
                zipf: 1.4,
                longs: 0.3,
                ..base
            },
            Name::Deploy => Self {
                deploy_every: 5.0,
                restarts: 30.0,
                bounds: Bounds {
                    steady: 1.2,
                    flaps: 20.0,
                    ..base.bounds
                },
                ..base
            },
            Name::DeadZone => Self {
                dead_zone_at: 80.0,
                ..base
            },
            Name::Loss => Self {
                loss: 0.33,
                bounds: Bounds {
                    steady: 1.15,
                    ..base.bounds
                },
                ..base
            },
            Name::T10 => base,
            Name::Big => Self {
                nodes: 5_000,
                pods: 600,
                capacity: 200,
                clients_of_each: 0.1,
                warm: 40.0,
                dead_zone_at: 50.0,
                end: 80.0,
                report_every: 2.0,
                ..base
            },
        }
    }

    /// The mean lifetime of a connection.
    pub fn lifetime(&self) -> f64 {
        self.short * (1.0 - self.longs) + self.long * self.longs
    }
}
