//! The dummy link `kube-ipvs0` and the virtual addresses on it.
//!
//! IPVS takes a packet on its way to a local socket, so every virtual address must be an address of
//! this node. The link gives them a home; it is never set up, for its addresses are routed to this
//! node all the same, and no packet is meant to leave through it. The name is the one that
//! kube-proxy uses: CNIs, `MetalLB` and node agents special-case it.
//!
//! The messages are those of `netlink-packet-route`, sent in batches over the blocking socket that
//! the rest of this room uses; `rtnetlink` would bring an async runtime onto the kernel thread.

use std::fmt;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage,
    Parseable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;

use crate::kernel::socket::{BATCH_BYTES, Socket};

/// The link's name.
pub const NAME: &str = "kube-ipvs0";

/// The addresses of this node, each with the name of its link.
pub fn all_addresses() -> nix::Result<impl Iterator<Item = (String, IpAddr)>> {
    let entries = getifaddrs()?;
    Ok(entries.filter_map(|entry| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
        let v6 = || address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip()));
        Some((entry.interface_name, v4.or_else(v6)?))
    }))
}

/// A lifetime without an end (`INFINITY_LIFE_TIME`).
const FOR_EVER: u32 = u32::MAX;

/// How often to start again when the addresses changed while they were read.
const ATTEMPTS: usize = 16;

/// Why the link is not as it should be. The texts are whole: they end with the cause, which is
/// therefore no `source` to be printed after them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket could be opened.
    #[error("no netlink socket for links: {0}")]
    Socket(io::Error),
    /// The link could not be made.
    #[error("link {NAME} cannot be made (needs kernel module dummy): {0}")]
    Make(io::Error),
    /// The link could not be found or removed.
    #[error("link {NAME}: {0}")]
    Link(io::Error),
    /// The addresses could not be read.
    #[error("the addresses of link {NAME} cannot be read: {0}")]
    Read(io::Error),
    /// The exchange with the kernel failed, so some addresses may not have changed.
    #[error("the addresses of link {NAME} cannot be changed: {0}")]
    Exchange(io::Error),
    /// The kernel refused addresses; all others did change.
    #[error("link {NAME}: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Refused(Vec<Refused>),
}

/// An address that the kernel refused to add or remove.
#[derive(Debug)]
pub struct Refused {
    /// The address.
    pub ip: IpAddr,
    /// The kernel's error.
    pub cause: io::Error,
}

impl Refused {
    /// Whether it was refused because somebody has deleted the link.
    pub fn is_without_link(&self) -> bool {
        is(&self.cause, Errno::ENODEV)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {}: {}", self.ip, self.cause)
    }
}

/// The link in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    index: u32,
}

impl Link {
    /// Finds the link, or makes it.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::open(NETLINK_ROUTE).map_err(Error::Socket)?;
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let mut message = named();
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Dummy,
            )]));
        match single(&mut socket, flags, RouteNetlinkMessage::NewLink(message)) {
            Err(error) if is(&error, Errno::EEXIST) => {}
            made => made.map_err(Error::Make)?,
        }
        let index = index(&mut socket).map_err(Error::Link)?;
        Ok(Self { socket, index })
    }

    /// Removes the link with all its addresses from this network namespace, if there is one.
    pub fn delete() -> Result<(), Error> {
        let mut socket = Socket::open(NETLINK_ROUTE).map_err(Error::Socket)?;
        match single(&mut socket, 0, RouteNetlinkMessage::DelLink(named())) {
            Err(error) if is(&error, Errno::ENODEV) => Ok(()),
            result => result.map_err(Error::Link),
        }
    }

    /// Whether it still is there: another one of its name is not it.
    pub fn is_there(&mut self) -> Result<bool, Error> {
        match index(&mut self.socket) {
            Ok(index) => Ok(index == self.index),
            Err(error) if is(&error, Errno::ENODEV) => Ok(false),
            Err(error) => Err(Error::Link(error)),
        }
    }

    /// All addresses of the link, in no order.
    pub fn addresses(&mut self) -> Result<Vec<IpAddr>, Error> {
        let index = self.index;
        self.read(|other| other == index)
    }

    /// All addresses of the node's other links, in no order.
    pub fn other_addresses(&mut self) -> Result<Vec<IpAddr>, Error> {
        let index = self.index;
        self.read(|other| other != index)
    }

    /// The addresses of the links whose index is wanted.
    fn read(&mut self, wanted: impl Fn(u32) -> bool) -> Result<Vec<IpAddr>, Error> {
        let mut addresses = Vec::new();
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            addresses.clear();
            let message = RouteNetlinkMessage::GetAddress(AddressMessage::default());
            let sequence = self.socket.next_sequence();
            let mut bytes = Vec::new();
            append(&mut bytes, sequence, NLM_F_DUMP, message);
            outcome = self.socket.dump(&bytes, sequence, |reply| {
                let message = AddressMessage::parse(reply).map_err(invalid)?;
                if wanted(message.header.index) {
                    addresses.extend(own_address(&message));
                }
                Ok(())
            });
            match &outcome {
                Err(error) if is(error, Errno::EINTR) => {}
                _ => break,
            }
        }
        outcome.map_err(Error::Read)?;
        Ok(addresses)
    }

    /// Adds addresses; those that are there already are no error.
    pub fn add(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let request = RouteNetlinkMessage::NewAddress;
        self.change(addresses, flags, request, Errno::EEXIST)
    }

    /// Removes addresses; those that are not there are no error.
    pub fn remove(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        let request = RouteNetlinkMessage::DelAddress;
        self.change(addresses, 0, request, Errno::EADDRNOTAVAIL)
    }

    /// Sends one request for each address, and passes over refusals for the reason `tolerated`.
    fn change(
        &mut self,
        addresses: &[IpAddr],
        flags: u16,
        request: fn(AddressMessage) -> RouteNetlinkMessage,
        tolerated: Errno,
    ) -> Result<(), Error> {
        let mut refused = Vec::new();
        let mut bytes = Vec::with_capacity(BATCH_BYTES);
        let mut rest = addresses;
        while !rest.is_empty() {
            bytes.clear();
            let mut sent = Vec::new();
            let mut last = 0;
            while let Some((&ip, after)) = rest.split_first()
                && bytes.len() < BATCH_BYTES
            {
                let sequence = self.socket.next_sequence();
                sent.push((sequence, ip));
                last = bytes.len();
                append(
                    &mut bytes,
                    sequence,
                    flags,
                    request(message(self.index, ip)),
                );
                rest = after;
            }
            let Some(&(sequence, _)) = sent.last() else {
                break;
            };
            ask_for_acknowledgement(&mut bytes[last..]);
            let refusals = self
                .socket
                .exchange(&bytes, sequence)
                .map_err(Error::Exchange)?;
            refused.extend(refusals.iter().filter_map(|refusal| {
                let &(_, ip) = sent.iter().find(|it| it.0 == refusal.sequence)?;
                let cause = refusal.to_io();
                (!is(&cause, tolerated)).then_some(Refused { ip, cause })
            }));
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(Error::Refused(refused))
        }
    }
}

/// The request to add an address to the link of this index or to remove it from there. It is a
/// network of its own.
pub fn message(index: u32, ip: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    (message.header.family, message.header.prefix_len) = match ip {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    // Nobody is asked whether the address is in use: it is, on every node.
    message.header.flags = AddressHeaderFlags::Nodad;
    // The kernel must not choose it as the source of anything, masqueraded packets in particular
    // (out of a link without an address of its own it takes one of another link): the reply would
    // end on the node that it reaches first. IPv4 goes by scope, IPv6 by deprecation.
    message.header.scope = AddressScope::Host;
    let mut lifetimes = CacheInfo::default();
    lifetimes.ifa_preferred = 0;
    lifetimes.ifa_valid = FOR_EVER;
    message.attributes = vec![
        AddressAttribute::Local(ip),
        AddressAttribute::Address(ip),
        AddressAttribute::CacheInfo(lifetimes),
    ];
    message
}

/// The address that a reply is about: of IPv4, `IFA_LOCAL`; of IPv6, `IFA_ADDRESS`.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    find(|it| match it {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    })
    .or_else(|| {
        find(|it| match it {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })
}

/// A message about the link by its name.
fn named() -> LinkMessage {
    let mut message = LinkMessage::default();
    message
        .attributes
        .push(LinkAttribute::IfName(NAME.to_owned()));
    message
}

/// The number that the kernel gave the link.
fn index(socket: &mut Socket) -> io::Result<u32> {
    let sequence = socket.next_sequence();
    let mut bytes = Vec::new();
    let message = RouteNetlinkMessage::GetLink(named());
    append(&mut bytes, sequence, NLM_F_ACK, message);
    let mut index = None;
    socket.dump(&bytes, sequence, |reply| {
        let message = LinkMessage::parse(reply).map_err(invalid)?;
        index = Some(message.header.index);
        Ok(())
    })?;
    index.ok_or_else(|| Errno::ENODEV.into())
}

/// Carries out one request.
fn single(socket: &mut Socket, flags: u16, message: RouteNetlinkMessage) -> io::Result<()> {
    let sequence = socket.next_sequence();
    let mut bytes = Vec::new();
    append(&mut bytes, sequence, flags | NLM_F_ACK, message);
    let refusals = socket.exchange(&bytes, sequence)?;
    match refusals.iter().find(|it| it.sequence == sequence) {
        Some(refusal) => Err(refusal.to_io()),
        None => Ok(()),
    }
}

fn append(bytes: &mut Vec<u8>, sequence: u32, flags: u16, message: RouteNetlinkMessage) {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = bytes.len();
    // Every part of a message is a multiple of four bytes long, so the next one is aligned.
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut bytes[start..]);
}

fn ask_for_acknowledgement(message: &mut [u8]) {
    let mut message = NetlinkBuffer::new(message);
    message.set_flags(message.flags() | NLM_F_ACK);
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
