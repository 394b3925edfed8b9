//! Where traffic comes from: a node, a pod, a cluster's gateway or the outside client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;

use super::http;
use super::netns::Netns;
use crate::traffic::client::{self, PATIENCE};
use crate::traffic::load::{Recording, Schedule, drive};
use crate::traffic::{Answer, Connection, Failure, Held, Protocol, Spread, ping, spread};

/// A host of the lab, as the origin of traffic. Every call returns within its patience
/// ([`PATIENCE`] if none is given), counted for each client apart.
pub trait Place {
    /// Its network namespace.
    fn netns(&self) -> &Netns;

    /// Opens a TCP connection.
    fn connect_tcp(&self, to: SocketAddr) -> Result<Connection, Failure> {
        self.connect(to, Protocol::Tcp, PATIENCE)
    }

    /// Opens a TCP connection from a source port, which others may use at the same time.
    fn connect_tcp_from(&self, to: SocketAddr, port: u16) -> Result<Connection, Failure> {
        self.netns()
            .enter(|| Connection::open_from(to, port, PATIENCE))?
    }

    /// Opens a connection over TCP or SCTP.
    fn connect(
        &self,
        to: SocketAddr,
        protocol: Protocol,
        patience: Duration,
    ) -> Result<Connection, Failure> {
        self.netns()
            .enter(|| Connection::open(to, protocol, patience))?
    }

    /// Sends a datagram from a given source port, or any, and waits for its answer.
    fn ask_udp(&self, to: SocketAddr, from_port: Option<u16>) -> Result<Answer, Failure> {
        self.ask_udp_within(to, from_port, PATIENCE)
    }

    /// As [`Place::ask_udp`], with a patience of the caller's.
    fn ask_udp_within(
        &self,
        to: SocketAddr,
        from_port: Option<u16>,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        self.netns()
            .enter(|| client::runtime()?.block_on(client::ask_udp(to, from_port, patience)))?
    }

    /// Sends a datagram of so many bytes and waits for an answer that is as long.
    fn ask_udp_at_length(&self, to: SocketAddr, bytes: usize) -> Result<Answer, Failure> {
        let ask = client::ask_udp_at_length(to, bytes, PATIENCE);
        self.netns().enter(|| client::runtime()?.block_on(ask))?
    }

    /// Asks an address for an echo by ICMP.
    fn ping(&self, to: IpAddr) -> Result<(), Failure> {
        self.netns().enter(|| ping::ping(to, PATIENCE))?
    }

    /// Gets a path from an HTTP server: the status code and the body.
    fn http_get(&self, to: SocketAddr, path: &str) -> io::Result<(u16, String)> {
        http::get(self.netns(), to, path)
    }

    /// Asks `count` times, at most `concurrency` at a time; every client is closed once answered.
    ///
    /// # Errors
    /// If the clients cannot be started. Clients without an answer are part of the result.
    fn spread(
        &self,
        to: SocketAddr,
        protocol: Protocol,
        count: usize,
        concurrency: usize,
    ) -> Result<Spread, Failure> {
        self.netns()
            .enter(|| spread::spread(to, protocol, count, concurrency, PATIENCE))?
    }

    /// Opens `count` TCP connections, at most `concurrency` at a time, and keeps them open.
    ///
    /// # Errors
    /// As [`Place::spread`].
    fn hold(&self, to: SocketAddr, count: usize, concurrency: usize) -> Result<Held, Failure> {
        self.hold_over(to, Protocol::Tcp, count, concurrency)
    }

    /// As [`Place::hold`], over any protocol; over UDP, every connection is a source port.
    ///
    /// # Errors
    /// As [`Place::spread`].
    fn hold_over(
        &self,
        to: SocketAddr,
        protocol: Protocol,
        count: usize,
        concurrency: usize,
    ) -> Result<Held, Failure> {
        self.netns()
            .enter(|| Held::open(to, protocol, count, concurrency, PATIENCE))?
    }

    /// Follows a schedule of TCP connections and records what happens; `tick` sees the recording
    /// grow.
    ///
    /// # Errors
    /// As [`Place::spread`].
    fn drive(
        &self,
        to: SocketAddr,
        schedule: &Schedule,
        tick: impl FnMut(Duration, &Recording) + Send,
    ) -> Result<Recording, Failure> {
        self.netns().enter(|| drive(to, schedule, tick))?
    }
}

impl Place for Netns {
    fn netns(&self) -> &Netns {
        self
    }
}
