//! What the kernel's IPVS does with the connections of one virtual server, counter by counter: the
//! model that the fleet simulator stands on, and the traces by which it is held against a real kernel.
//!
//! The rules are those of sections 3.1 and 3.2 of the notes on routing levels, as they were read in
//! and measured on Linux 6.1 kernels. Both `cargo bench --bench fleet -- --validate` and the lab's
//! `levels::model` replay [`trace`]s, so both include this folder.

mod schedule;
pub mod trace;
pub mod traces;

use clap::ValueEnum;
use spillway::plan::Limits;

use schedule::Cursor;
pub use schedule::Way;

/// What an edit of thresholds does to the overload flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Edits {
    /// Raising the upper one, or lifting it, clears the flag even of one that is still over; lowering
    /// it does not set the flag.
    #[default]
    Raise,
    /// Kernels of 2026, and older ones that the change was carried back to
    /// (`ip_vs_dest_update_overload`): they compare the counts with the new thresholds.
    Compare,
}

/// A destination's place in its virtual server. It stays the destination's own for as long as a
/// connection refers to it, even while the destination is deleted.
pub type Slot = u32;

/// One destination.
#[derive(Clone, Copy, Debug)]
pub struct Dest {
    /// Who it is: an address and port to the kernel, a number to the model.
    pub key: u32,
    /// How much of the new connections it gets; 0: none.
    pub weight: u32,
    /// The thresholds.
    pub limits: Limits,
    /// Connections between SYN and FIN.
    pub active: u32,
    /// All others: those in `TIME_WAIT`, and all UDP flows.
    pub inactive: u32,
    /// All connections that it ever got.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// At its upper threshold, as the kernel believes.
    pub overloaded: bool,
    listed: bool,
}

impl Dest {
    fn total(&self) -> u32 {
        self.active + self.inactive
    }

    fn is_available(&self) -> bool {
        !self.overloaded && self.weight > 0
    }

    /// New words of an add or an edit.
    fn update(&mut self, weight: u32, limits: Limits, edits: Edits) {
        let before = std::mem::replace(&mut self.limits, limits);
        self.weight = weight;
        match edits {
            Edits::Raise if limits.upper == 0 || limits.upper > before.upper => {
                self.overloaded = false;
            }
            Edits::Compare if limits != before => {
                self.meet();
                self.unbound();
            }
            Edits::Raise | Edits::Compare => {}
        }
    }

    /// Sets the flag at the upper threshold.
    fn meet(&mut self) {
        let upper = self.limits.upper;
        if upper != 0 && self.total() >= upper {
            self.overloaded = true;
        }
    }

    /// One connection more.
    fn bind(&mut self) {
        self.inactive += 1;
        self.connections += 1;
        self.meet();
    }

    /// Clears the flag below the lower threshold: after one connection less.
    fn unbound(&mut self) {
        let Limits { upper, lower } = self.limits;
        let below = match (upper, lower) {
            (_, 1..) => self.total() < lower,
            (1.., 0) => u64::from(self.total()) * 4 < u64::from(upper) * 3,
            (0, 0) => true,
        };
        if below {
            self.overloaded = false;
        }
    }
}

/// A virtual server with its destinations.
#[derive(Debug)]
pub struct Server {
    way: Way,
    edits: Edits,
    dests: Vec<Dest>,
    /// The slots in the order in which schedulers walk them.
    list: Vec<Slot>,
    /// Deleted destinations that connections refer to.
    trash: Vec<Slot>,
    free: Vec<Slot>,
    cursor: Cursor,
}

impl Server {
    pub fn new(way: Way, edits: Edits) -> Self {
        Self {
            way,
            edits,
            dests: Vec::new(),
            list: Vec::new(),
            trash: Vec::new(),
            free: Vec::new(),
            cursor: Cursor::default(),
        }
    }

    pub fn set_way(&mut self, way: Way) {
        if self.way != way {
            self.way = way;
            self.cursor = Cursor::default();
            self.weights_changed();
        }
    }

    /// Destinations that the last pick looked at: how long the kernel held its lock.
    pub fn looked_at(&self) -> u64 {
        self.cursor.looked_at
    }

    pub fn dest(&self, slot: Slot) -> &Dest {
        &self.dests[slot as usize]
    }

    /// The destinations, as a dump shows them.
    pub fn listed(&self) -> impl Iterator<Item = (Slot, &Dest)> {
        self.list.iter().map(|slot| (*slot, self.dest(*slot)))
    }

    /// Adds a destination, at the head of the list. One that was deleted and still has connections
    /// comes back with them.
    pub fn add(&mut self, key: u32, weight: u32, limits: Limits) -> Slot {
        let lingering = self
            .trash
            .iter()
            .position(|slot| self.dest(*slot).key == key);
        let slot = match lingering {
            Some(place) => self.trash.swap_remove(place),
            None => self.make(key),
        };
        let edits = self.edits;
        let dest = &mut self.dests[slot as usize];
        dest.update(weight, limits, edits);
        dest.listed = true;
        self.list.insert(0, slot);
        self.cursor.added();
        self.weights_changed();
        slot
    }

    fn make(&mut self, key: u32) -> Slot {
        let dest = Dest {
            key,
            weight: 0,
            limits: Limits::default(),
            active: 0,
            inactive: 0,
            connections: 0,
            in_packets: 0,
            out_packets: 0,
            overloaded: false,
            listed: true,
        };
        if let Some(slot) = self.free.pop() {
            self.dests[slot as usize] = dest;
            slot
        } else {
            self.dests.push(dest);
            Slot::try_from(self.dests.len() - 1).expect("fewer destinations than that")
        }
    }

    pub fn edit(&mut self, slot: Slot, weight: u32, limits: Limits) {
        self.dests[slot as usize].update(weight, limits, self.edits);
        self.weights_changed();
    }

    pub fn delete(&mut self, slot: Slot) {
        let Some(place) = self.list.iter().position(|listed| *listed == slot) else {
            return;
        };
        self.list.remove(place);
        self.cursor.removed(place);
        self.weights_changed();
        let dest = &mut self.dests[slot as usize];
        dest.listed = false;
        if dest.total() == 0 {
            self.free.push(slot);
        } else {
            self.trash.push(slot);
        }
    }

    fn weights_changed(&mut self) {
        if self.way == Way::WeightedRoundRobin {
            let weights = self
                .list
                .iter()
                .map(|slot| self.dests[*slot as usize].weight);
            self.cursor.weights_changed(weights);
        }
    }

    /// The first packet of a TCP connection: active before the next one is scheduled. None: every
    /// destination is unusable and the client is refused.
    pub fn connect(&mut self) -> Option<Slot> {
        let slot = self.flow()?;
        let dest = &mut self.dests[slot as usize];
        dest.inactive -= 1;
        dest.active += 1;
        Some(slot)
    }

    /// The first packet of a UDP flow, which never is active.
    pub fn flow(&mut self) -> Option<Slot> {
        let slot = self.pick()?;
        self.dests[slot as usize].bind();
        Some(slot)
    }

    /// Packets pass, and answers to them.
    pub fn pass(&mut self, slot: Slot, packets: u64, answers: u64) {
        let dest = &mut self.dests[slot as usize];
        dest.in_packets += packets;
        dest.out_packets += answers;
    }

    /// A TCP connection's FIN or RST: from now on it is inactive.
    pub fn finish(&mut self, slot: Slot) {
        let dest = &mut self.dests[slot as usize];
        dest.active -= 1;
        dest.inactive += 1;
    }

    /// An inactive connection's time is over.
    pub fn expire(&mut self, slot: Slot) {
        let dest = &mut self.dests[slot as usize];
        dest.inactive -= 1;
        dest.unbound();
        if !dest.listed && dest.total() == 0 {
            self.trash.retain(|other| *other != slot);
            self.free.push(slot);
        }
    }
}
