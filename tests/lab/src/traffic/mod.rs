//! Traffic for the lab: echo servers that say who answered and whom they saw, and clients that
//! ask them, one by one or by the thousand.
//!
//! The line `pod east-1/echo-1 from 10.1.1.5:43210` is the whole protocol. Over TCP and SCTP it
//! comes on connect, and again for every line sent; over UDP for every datagram, filled up with line
//! ends if the question was longer.

pub mod answer;
pub mod client;
pub mod echo;
mod held;
pub mod load;
pub mod ping;
pub mod socket;
pub mod spread;

use std::fmt;

pub use answer::{Answer, Failure};
pub use client::Connection;
pub use held::Held;
pub use spread::Spread;

/// A transport protocol, as Kubernetes names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, as one association per connection.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}
