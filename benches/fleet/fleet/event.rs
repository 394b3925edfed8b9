//! What happens in a fleet.

use super::super::engine::Micros;
use super::super::kernel::Slot;
use super::super::world::PodId;

/// What happens. `number` is that of a service.
#[derive(Clone, Copy)]
pub enum Event {
    /// A client wants a connection.
    Arrive {
        node: u32,
        number: u16,
    },
    /// A client tries again; its connection shall last for so long.
    Again {
        node: u32,
        number: u16,
        last: Micros,
    },
    /// A connection's end, if it is still the same.
    Close {
        connection: u32,
        life: u32,
    },
    /// The client of a connection that broke notices.
    Notice {
        node: u32,
        number: u16,
        slot: Slot,
        last: Micros,
    },
    /// The kernel forgets a connection.
    Expire {
        node: u32,
        number: u16,
        slot: Slot,
    },
    /// The kernel forgets a connection that nobody answered.
    GiveUp {
        node: u32,
        number: u16,
        slot: Slot,
    },
    Tick {
        node: u32,
        number: u16,
    },
    /// A node's watch tells of changed endpoints.
    Learn {
        node: u32,
        number: u16,
    },
    Report,
    Share {
        view: usize,
    },
    Sample,
    Replace {
        number: u16,
    },
    Kill {
        pod: PodId,
    },
    Restart,
    ZoneDies,
    /// The API no longer lists the dead zone's endpoints and nodes.
    ZoneNoticed,
}
