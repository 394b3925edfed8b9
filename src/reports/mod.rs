//! How the agents tell each other their demand: who reports to whom, when, and in which bytes.
//!
//! For each virtual server two of the agents, which everybody picks alike, are its keepers. Every
//! agent that wants connections or has pods there reports to both; each keeper tells all of them a
//! [`Summary`](crate::capacity::Summary), from which every agent computes its own budgets. There is
//! no leader, nothing is written to the API server, and a keeper has nothing to hand over: the
//! other one has the same table, and a new one has it after a few seconds.
//!
//! Everything but the socket is pure: time is an argument. The numbers are in `docs/capacity.md`.

mod body;
mod exchange;
mod key;
mod local;
mod peers;
mod post;
mod seal;
mod socket;
mod table;

pub use exchange::{Asked, Exchange, News, Now, Outgoing};
pub use key::key_hash;
pub use peers::{PORT_NAME, Peer, Peers};
pub use seal::{Keys, NoKeys, Rejected};
pub use socket::{Local, run};

#[cfg(test)]
mod tests;
