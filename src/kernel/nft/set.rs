//! The table's sets and maps.

use crate::model::Family;

/// One of the table's sets and maps, for one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    /// source address . address . protocol . port : mark
    Own(Family),
    /// address . protocol . port : mark, for clients from outside of the cluster
    Outside(Family),
    /// address . protocol . port : mark
    Services(Family),
    /// protocol . port : mark, for clients from outside of the cluster
    OutsideNodePorts(Family),
    /// protocol . port : mark
    NodePorts(Family),
    /// address
    Vips(Family),
    /// address . protocol . port
    External(Family),
    /// address . protocol . port
    Probed(Family),
    /// address . protocol . port
    Guarded(Family),
    /// address . protocol . port . source addresses
    Allowed(Family),
    /// source address . destination address
    Hairpin(Family),
    /// address . protocol . port
    Hosts(Family),
    /// address . protocol . port, each for a while
    Called(Family),
    /// mark : seconds
    Affinity,
    /// mark . address . port : mark
    Pins(Family),
    /// mark . mark
    Alive,
}

impl Set {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Own(Family::V4),
        Self::Own(Family::V6),
        Self::Outside(Family::V4),
        Self::Outside(Family::V6),
        Self::Services(Family::V4),
        Self::Services(Family::V6),
        Self::OutsideNodePorts(Family::V4),
        Self::OutsideNodePorts(Family::V6),
        Self::NodePorts(Family::V4),
        Self::NodePorts(Family::V6),
        Self::Vips(Family::V4),
        Self::Vips(Family::V6),
        Self::External(Family::V4),
        Self::External(Family::V6),
        Self::Probed(Family::V4),
        Self::Probed(Family::V6),
        Self::Guarded(Family::V4),
        Self::Guarded(Family::V6),
        Self::Allowed(Family::V4),
        Self::Allowed(Family::V6),
        Self::Hairpin(Family::V4),
        Self::Hairpin(Family::V6),
        Self::Hosts(Family::V4),
        Self::Hosts(Family::V6),
        Self::Called(Family::V4),
        Self::Called(Family::V6),
        Self::Affinity,
        Self::Pins(Family::V4),
        Self::Pins(Family::V6),
        Self::Alive,
    ];

    /// Its name in the kernel.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own(Family::V4) => "own_v4",
            Self::Own(Family::V6) => "own_v6",
            Self::Outside(Family::V4) => "outside_v4",
            Self::Outside(Family::V6) => "outside_v6",
            Self::Services(Family::V4) => "services_v4",
            Self::Services(Family::V6) => "services_v6",
            Self::OutsideNodePorts(Family::V4) => "outside_nodeports_v4",
            Self::OutsideNodePorts(Family::V6) => "outside_nodeports_v6",
            Self::NodePorts(Family::V4) => "nodeports_v4",
            Self::NodePorts(Family::V6) => "nodeports_v6",
            Self::Vips(Family::V4) => "vips_v4",
            Self::Vips(Family::V6) => "vips_v6",
            Self::External(Family::V4) => "external_v4",
            Self::External(Family::V6) => "external_v6",
            Self::Probed(Family::V4) => "probed_v4",
            Self::Probed(Family::V6) => "probed_v6",
            Self::Guarded(Family::V4) => "guarded_v4",
            Self::Guarded(Family::V6) => "guarded_v6",
            Self::Allowed(Family::V4) => "allowed_v4",
            Self::Allowed(Family::V6) => "allowed_v6",
            Self::Hairpin(Family::V4) => "hairpin_v4",
            Self::Hairpin(Family::V6) => "hairpin_v6",
            Self::Hosts(Family::V4) => "hosts_v4",
            Self::Hosts(Family::V6) => "hosts_v6",
            Self::Called(Family::V4) => "called_v4",
            Self::Called(Family::V6) => "called_v6",
            Self::Affinity => "affinity",
            Self::Pins(Family::V4) => "pins_v4",
            Self::Pins(Family::V6) => "pins_v6",
            Self::Alive => "alive",
        }
    }

    /// Whether its keys map to marks, or to seconds.
    pub const fn is_map(self) -> bool {
        matches!(
            self,
            Self::Own(_)
                | Self::Outside(_)
                | Self::Services(_)
                | Self::OutsideNodePorts(_)
                | Self::NodePorts(_)
                | Self::Affinity
                | Self::Pins(_)
        )
    }
}
