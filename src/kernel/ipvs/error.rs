//! What can go wrong between here and the kernel. The texts are whole: they end with the cause,
//! which is therefore no `source` to be printed after them.

use std::io;

use nix::errno::Errno;

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no IPVS and could not load it.
    #[error("this kernel has no IPVS: load its module ip_vs (`modprobe ip_vs`)")]
    Missing,
    /// No socket could be had.
    #[error("could not open a netlink socket: {0}")]
    Open(io::Error),
    /// A question was refused, or its answer was lost or not understood.
    #[error("could not read {what} of IPVS: {cause}")]
    Query {
        /// What was asked for.
        what: &'static str,
        /// The kernel's or the socket's error.
        cause: io::Error,
    },
}

/// Commands that did not all take effect.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// All were sent; some failed.
    #[error(transparent)]
    Failed(#[from] Failures),
    /// The socket broke: it is unknown which commands took effect.
    #[error("the netlink socket to IPVS broke: {0}")]
    Socket(io::Error),
}

/// The commands that failed, in their order; the others took effect. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} IPVS commands failed{}", .0.len(), first(.0))]
pub struct Failures(pub Vec<Failure>);

/// A command that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its place among the commands.
    pub index: usize,
    /// Why.
    pub cause: Cause,
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The kernel refused it.
    #[error("{0}")]
    Refused(Errno),
    /// The kernel's report on it was lost for want of memory: it may have taken effect or not.
    #[error("its outcome is unknown")]
    Unknown,
}

fn first(failures: &[Failure]) -> String {
    failures.first().map_or_else(String::new, |failure| {
        format!(", the first is number {}: {}", failure.index, failure.cause)
    })
}
