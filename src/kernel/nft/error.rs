//! What can go wrong with the table. The texts are whole: they hold the cause, which is therefore no
//! `source` to be printed after them.

use std::fmt;
use std::io;

use super::Element;
use super::schema::TABLE;

/// Why the table is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The masquerade bit cannot be told from a mark.
    #[error(
        "masquerade bit {0} is not one of the 32 bits of a mark or is part of the prefix of our marks"
    )]
    MasqueradeBit(u8),
    /// There is no nftables, or no right to use it.
    #[error(
        "nftables does not answer (it needs the kernel module nf_tables and the capability NET_ADMIN): {0}"
    )]
    Unavailable(io::Error),
    /// The kernel refused a part of the table.
    #[error(
        "the kernel refused {subject} of table inet {TABLE}: {cause}{}",
        Needs(modules)
    )]
    Refused {
        /// Which part.
        subject: String,
        /// The kernel modules that it needs besides `nf_tables`.
        modules: Vec<&'static str>,
        /// The kernel's error.
        cause: io::Error,
    },
    /// The kernel refused to add or remove an element, so nothing was changed.
    #[error("the kernel refused to {action} the {element} in table inet {TABLE}: {cause}")]
    Element {
        /// What was to be done.
        action: Action,
        /// With what.
        element: Element,
        /// The kernel's error: `ENOENT` if the element to remove is not there, `EEXIST` if the one
        /// to add is there with another mark.
        cause: io::Error,
    },
    /// A set holds something that is not ours.
    #[error("set {0} of table inet {TABLE} holds an element that is not Spillway's")]
    Foreign(&'static str),
    /// A set could not be read.
    #[error("set {set} of table inet {TABLE} cannot be read: {cause}")]
    Read {
        /// Its name.
        set: &'static str,
        /// The kernel's error: `ENOENT` if somebody deleted the table.
        cause: io::Error,
    },
    /// The exchange with the kernel failed.
    #[error("nftables transaction failed: {0}")]
    Transaction(io::Error),
}

/// The end of a message that names missing modules.
struct Needs<'a>(&'a [&'static str]);

impl fmt::Display for Needs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            modules => write!(f, " (needs kernel module {})", modules.join(", ")),
        }
    }
}

/// What a transaction does with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// adds it
    Add,
    /// removes it
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Remove => "remove",
        })
    }
}
