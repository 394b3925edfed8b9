//! What a client learns: who answered and whom they saw, or why nobody did.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::str::FromStr;

/// An echo server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The server's name, e.g. `east-1/echo-1`.
    pub answered_by: String,
    /// The client's address as the server sees it.
    pub seen_client: SocketAddr,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {} from {}", self.answered_by, self.seen_client)
    }
}

impl FromStr for Answer {
    type Err = Failure;

    fn from_str(line: &str) -> Result<Self, Failure> {
        line.trim_end()
            .strip_prefix("pod ")
            .and_then(|rest| rest.split_once(" from "))
            .and_then(|(name, client)| {
                let seen_client = client.parse().ok()?;
                Some(Self {
                    answered_by: name.to_owned(),
                    seen_client,
                })
            })
            .ok_or_else(|| Failure::Other(format!("not an echo server's answer: {line:?}")))
    }
}

/// Why a client got no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Failure {
    /// Nobody listens there, or a firewall rejects.
    #[error("refused")]
    Refused,
    /// Nothing came back in time.
    #[error("timed out")]
    TimedOut,
    /// An open connection was cut.
    #[error("reset")]
    Reset,
    /// An open connection was closed by the server.
    #[error("closed")]
    Closed,
    /// There is no way there.
    #[error("unreachable")]
    Unreachable,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            // A blocking socket's own time limit shows as `WouldBlock`.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::TimedOut,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::UnexpectedEof => Self::Closed,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            _ => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back_as_written() {
        for client in ["10.1.1.5:43210", "[fd00:10:1:1::5]:43210"] {
            let answer = Answer {
                answered_by: "east-1/echo-1".to_owned(),
                seen_client: client.parse().expect("an address"),
            };
            assert_eq!(format!("{answer}\n").parse(), Ok(answer));
        }
    }

    #[test]
    fn anything_else_is_a_failure() {
        for line in ["", "HTTP/1.1 200 OK", "pod east-1/echo-1 from nowhere"] {
            assert!(
                matches!(line.parse::<Answer>(), Err(Failure::Other(_))),
                "{line}"
            );
        }
    }
}
