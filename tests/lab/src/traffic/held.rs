//! Connections that are kept open, some or all of which can be closed again.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::{Connection, connect};
use super::spread::{Spread, repeat};
use super::{Failure, Protocol};

/// Connections, or UDP flows, that are open.
#[derive(Debug, Default)]
pub struct Held {
    /// The open connections, in the order of their answers.
    pub connections: Vec<Connection>,
    /// Who answered those that were opened, and how many could not be.
    pub spread: Spread,
}

impl Held {
    /// Opens `count` connections in the namespace of the calling thread, at most `concurrency` at
    /// a time.
    pub fn open(
        to: SocketAddr,
        protocol: Protocol,
        count: usize,
        concurrency: usize,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let mut held = Self::default();
        for result in repeat(count, concurrency, move || connect(to, protocol, patience))? {
            held.spread.count(result.map(|connection| {
                let server = connection.answered_by.clone();
                held.connections.push(connection);
                server
            }));
        }
        Ok(held)
    }

    /// Takes over others' connections.
    pub fn add(&mut self, more: Self) {
        self.connections.extend(more.connections);
        self.spread.add(&more.spread);
    }

    /// Who has how many of the connections that are still open on this side.
    pub fn now(&self) -> Spread {
        let mut spread = Spread::default();
        for connection in &self.connections {
            spread.count(Ok(connection.answered_by.clone()));
        }
        spread
    }

    /// Closes the oldest connections, so many.
    pub fn close(&mut self, count: usize) {
        let count = count.min(self.connections.len());
        self.connections.drain(..count);
    }

    /// Closes the connections with certain servers.
    pub fn close_those_of(&mut self, server: impl Fn(&str) -> bool) {
        self.connections
            .retain(|connection| !server(&connection.answered_by));
    }

    /// Asks over every connection whether it is still alive, and with the same server.
    pub fn ping(&mut self) -> Spread {
        let mut spread = Spread::default();
        for result in self.ask_all() {
            spread.count(result);
        }
        spread
    }

    /// As [`Held::ping`], and lets go of those that are not.
    pub fn keep_alive(&mut self) -> Spread {
        let mut spread = Spread::default();
        let mut alive = Vec::new();
        for result in self.ask_all() {
            alive.push(result.is_ok());
            spread.count(result);
        }
        let mut alive = alive.into_iter();
        self.connections.retain(|_| alive.next() == Some(true));
        spread
    }

    /// Who answers over each connection now.
    fn ask_all(&mut self) -> Vec<Result<String, Failure>> {
        // All questions go out before the first answer is read: one by one, a thousand take
        // seconds under emulation.
        let asked: Vec<_> = self.connections.iter_mut().map(Connection::ask).collect();
        let connections = self.connections.iter_mut().zip(asked);
        connections
            .map(|(connection, asked)| {
                asked.and_then(|()| connection.hear())?;
                Ok(connection.answered_by.clone())
            })
            .collect()
    }
}
