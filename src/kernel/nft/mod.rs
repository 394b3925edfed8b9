//! The nftables table `inet spillway`, the first half of the data plane: it tells packets for
//! services from others, marks them for IPVS, and decides what address the real server sees.
//!
//! ```text
//! input  90:  new connection ─► classify ─► marked ─► IPVS (98, 99) ─┬─► input_after 110
//! output -120: new connection ─► classify ─► marked ─► IPVS (-99, -98) ─┼─► output_after -90
//!              mark of ours ─► sent_on ◄── to a real server elsewhere ──┘
//! postrouting 100: masquerade what sent_on said
//! postrouting_after 110, input_after 110: the port had to be changed ─► twin
//! forward_answers 90, output -120: from a real server ─► answer ─► IPVS (100, -99)
//! ```
//!
//! - `classify` looks up address, protocol and port, or protocol and port alone for node ports, and
//!   sets the mark that the maps have for them. IPVS finds the virtual server by the mark. So a
//!   service goes live and dark with its map element, in one atomic step, and all addresses of a
//!   service port share one virtual server.
//! - `marked` carries out the marks that are verdicts: those that are [`MarkRange::refusing`], and
//!   those that are [`MarkRange::dropping`].
//! - Where a service has session affinity, `marked` sends a client that comes back on to `recall`, and
//!   a new one is noted once IPVS has chosen (`pinned.rs`).
//! - `sent_on` puts back the mark that the packet had before and decides about masquerading;
//!   `input_after` and `output_after` do the former for packets that stay on the node. So a mark of
//!   ours is on a packet between two hooks only, and a neighbour's mark (a CNI's, say) survives: it
//!   waits in the map `borrowed`, under the connection's number. Of a busy flow of UDP, the mark of
//!   its first packet is put back on all of them, since the kernel keeps the value of an entry that
//!   it prolongs.
//! - `twin` and `answer` keep apart two connections that look alike to IPVS (`twins.rs`).
//! - Established connections pass by all this: a few comparisons on the way in and on the way out, and
//!   look-ups in two sets which are mostly empty: for packets of TCP clients, of real servers that
//!   connections are called back from (`call_back`), and for answers, of twins.
//!
//! Every change is one transaction: the kernel takes all of it or nothing. Programs are expected to
//! add what a map element points to before the element, and to remove it after.

mod affinity;
mod batch;
mod chains;
mod dump;
mod element;
mod error;
mod expression;
mod field;
mod firewall;
mod key;
mod masquerade;
mod pinned;
mod pods;
mod reach;
mod rule;
mod schema;
mod set;
mod table;
mod twins;

use ipnet::IpNet;

pub use self::affinity::Affinity;
pub use self::element::Element;
pub use self::error::{Action, Error};
pub use self::firewall::{Closed, Way, closed};
pub use self::pods::{Links, Pods};
pub use self::table::{Prepared, Table};
use crate::kernel::mark::MarkRange;
use crate::model::Family;

/// What the rules of the table depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The marks that are ours.
    pub marks: MarkRange,
    /// The bit of the mark, 0 to 31, that says in postrouting that the packet is to be masqueraded.
    /// Kubernetes' default is 14.
    pub masquerade_bit: u8,
    /// Whether to masquerade all connections to services.
    pub masquerade_all: bool,
    /// Who is a pod: other clients of a `ClusterIP` are masqueraded. Where nobody can tell, clients
    /// from outside keep their addresses.
    pub pods: Pods,
    /// The networks of those of this node's addresses that serve node ports. Of a family without any,
    /// none does.
    pub node_port_networks: Vec<IpNet>,
    /// The networks of virtual addresses: what is for one that nothing is allocated at is dropped.
    pub service_networks: Vec<IpNet>,
}

impl Base {
    /// With Kubernetes' defaults, in a cluster of which nothing is known.
    pub fn new(marks: MarkRange) -> Self {
        Self {
            marks,
            masquerade_bit: 14,
            masquerade_all: false,
            pods: Pods::Within(Vec::new()),
            node_port_networks: Family::ALL.map(Family::everything).into(),
            service_networks: Vec::new(),
        }
    }

    /// The masquerade bit as a mark.
    fn masquerade_mark(&self) -> u32 {
        1_u32.checked_shl(self.masquerade_bit.into()).unwrap_or(0)
    }
}

/// A change of the table's elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What goes; it must be there. Marks do not count.
    pub remove: Vec<Element>,
    /// What comes, after that. An element that is there already with the same mark is no error.
    pub add: Vec<Element>,
}
