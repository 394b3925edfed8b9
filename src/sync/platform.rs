//! The kernel calls that sync makes, and nothing more.

use std::error::Error;
use std::net::IpAddr;

use crate::kernel::conntrack::{Flow, Stale};
use crate::kernel::ipvs::{Command, DestinationEntry, Failure, ServiceEntry, ServiceKey};
use crate::kernel::link::Refused;
use crate::kernel::nft::{Base, Element, Transaction};

/// Why a kernel call as a whole did not work; it is logged and the call is tried again.
pub type Trouble = Box<dyn Error + Send + Sync>;

/// What sync needs of a kernel.
pub trait Platform {
    /// Carries out IPVS commands in order and returns those that failed.
    fn submit(&mut self, commands: &[Command]) -> Result<Vec<Failure>, Trouble>;
    /// All virtual servers.
    fn services(&mut self) -> Result<Vec<ServiceEntry>, Trouble>;
    /// One virtual server, if there is one with this key.
    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Trouble>;
    /// The real servers of a virtual server.
    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Trouble>;
    /// Makes sure that the link for the virtual addresses is there, and returns its addresses.
    fn addresses(&mut self) -> Result<Vec<IpAddr>, Trouble>;
    /// The addresses of all other links of this node.
    fn other_addresses(&mut self) -> Result<Vec<IpAddr>, Trouble>;
    /// Makes this node take addresses for its own; it may have some of them already. Returns those
    /// that the kernel refused; it has all others.
    fn bind(&mut self, addresses: &[IpAddr]) -> Result<Vec<Refused>, Trouble>;
    /// Gives up addresses; some of them may be gone already.
    fn unbind(&mut self, addresses: &[IpAddr]) -> Result<(), Trouble>;
    /// Whether the link for the virtual addresses is there.
    fn has_link(&mut self) -> Result<bool, Trouble>;
    /// Whether the table and its rules are there.
    fn has_table(&mut self) -> Result<bool, Trouble>;
    /// Makes sure that the table and its rules are there, and returns the elements of its maps.
    fn table(&mut self) -> Result<Vec<Element>, Trouble>;
    /// Makes the table's rules those that this asks for, now and whenever they are made again.
    fn rewrite(&mut self, base: &Base) -> Result<(), Trouble>;
    /// Changes the table's maps, all or nothing.
    fn commit(&mut self, transaction: &Transaction) -> Result<(), Trouble>;
    /// Makes these, and no others, the real servers that connections come back from, for a while.
    fn call_back(&mut self, called: &[Element]) -> Result<(), Trouble>;
    /// Makes the kernel forget flows, and returns those that it has forgotten.
    fn forget(&mut self, stale: &Stale) -> Result<Vec<Flow>, Trouble>;
}
