use std::fmt;

use super::Protocol;

/// An IPVS scheduler: how the kernel picks a real server for a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduler {
    /// Round robin: weights do not count.
    RoundRobin,
    /// Weighted round robin: new connections divide exactly in proportion to the weights. One pick
    /// may scan the real servers once for every weight step, so weights must stay close together.
    #[default]
    WeightedRoundRobin,
    /// Least connections: weights do not count.
    LeastConnection,
    /// Least connections for its weight, counting those that are over, too: for UDP, whose flows
    /// the kernel never takes for active.
    WeightedLeastConnection,
    /// Shortest expected delay, `(active + 1) / weight`: with weights far enough apart, nearer
    /// levels come strictly first.
    ShortestExpectedDelay,
    /// Never queue: an idle real server first, whatever its level.
    NeverQueue,
    /// The real server of the highest weight takes everything.
    FailOver,
    /// The real server of the highest weight that has fewer active connections than its weight.
    Overflow,
    /// Hash of the client's address, over a small table.
    SourceHash,
    /// Hash of the virtual address.
    DestinationHash,
    /// Locality-based least connections.
    LocalityLeastConnection,
    /// Locality-based least connections with replication.
    LocalityReplicated,
    /// Maglev hashing of the client's address: a client stays with its real server for as long as
    /// that is there, and few clients move when another comes or goes.
    MaglevHash,
}

impl Scheduler {
    /// All of them, in the order in which an error lists their names.
    pub const ALL: [Self; 13] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnection,
        Self::WeightedLeastConnection,
        Self::ShortestExpectedDelay,
        Self::NeverQueue,
        Self::FailOver,
        Self::Overflow,
        Self::SourceHash,
        Self::DestinationHash,
        Self::LocalityLeastConnection,
        Self::LocalityReplicated,
        Self::MaglevHash,
    ];

    /// The kernel's name for it, that of the module `ip_vs_NAME`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "rr",
            Self::WeightedRoundRobin => "wrr",
            Self::LeastConnection => "lc",
            Self::WeightedLeastConnection => "wlc",
            Self::ShortestExpectedDelay => "sed",
            Self::NeverQueue => "nq",
            Self::FailOver => "fo",
            Self::Overflow => "ovf",
            Self::SourceHash => "sh",
            Self::DestinationHash => "dh",
            Self::LocalityLeastConnection => "lblc",
            Self::LocalityReplicated => "lblcr",
            Self::MaglevHash => "mh",
        }
    }

    /// The one that takes its place over this protocol. Some look at active connections alone, and the
    /// kernel never takes a flow of UDP for one: they would send all flows to one endpoint. `wlc`
    /// counts both.
    #[must_use]
    pub const fn over(self, protocol: Protocol) -> Self {
        match (self, protocol) {
            (Self::ShortestExpectedDelay | Self::NeverQueue | Self::Overflow, Protocol::Udp) => {
                Self::WeightedLeastConnection
            }
            (other, _) => other,
        }
    }

    /// Whether it looks for another real server if the one that it finds is at its threshold. `dh`
    /// refuses then (`ip_vs_dh_schedule`), and so would `sh` and `mh` without their flag to fall back;
    /// `lblc` stays where it was (`ip_vs_lblc_schedule`).
    pub const fn passes_over(self) -> bool {
        !matches!(self, Self::DestinationHash | Self::LocalityLeastConnection)
    }

    /// The scheduler of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
