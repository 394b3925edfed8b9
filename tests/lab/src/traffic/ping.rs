//! Pings: who asks for an echo, and gets it or not.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, socket,
};

use super::Failure;

/// Asks an address for an echo (RFC 792, RFC 4443) and waits for it.
pub fn ping(to: IpAddr, patience: Duration) -> Result<(), Failure> {
    // Of ICMPv6 the kernel fills in the checksum itself.
    let (family, protocol, request, reply) = match to {
        IpAddr::V4(_) => (
            AddressFamily::Inet,
            SockProtocol::Icmp,
            [8, 0, !8, !0, 0, 0, 0, 0],
            0,
        ),
        IpAddr::V6(_) => (
            AddressFamily::Inet6,
            SockProtocol::IcmpV6,
            [128, 0, 0, 0, 0, 0, 0, 0],
            129,
        ),
    };
    let raw =
        socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).map_err(io::Error::from)?;
    // Connected, so that an ICMP error comes back as one.
    let address = SockaddrStorage::from(SocketAddr::new(to, 0));
    connect(raw.as_raw_fd(), &address).map_err(io::Error::from)?;
    // The type of the standard library that sends and receives packets whole.
    let socket = UdpSocket::from(raw);
    socket.set_read_timeout(Some(patience))?;
    // What is refused on its way out cannot be sent (EPERM); the reason comes in.
    let _ = socket.send(&request);
    let mut packet = [0; 128];
    loop {
        let length = socket.recv(&mut packet)?;
        // Over IPv4 the packet comes with its header, whose length is in words (RFC 791).
        let header = match to {
            IpAddr::V4(_) => usize::from(packet[0] & 0xf) * 4,
            IpAddr::V6(_) => 0,
        };
        // Whoever pings itself hears the question, too.
        if packet[..length].get(header) == Some(&reply) {
            return Ok(());
        }
    }
}
