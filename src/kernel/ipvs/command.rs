//! What can be asked of the kernel to change.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::wire::{Attributes, DestinationAttributes, Message, Operation, ServiceAttributes};
use super::{Destination, Service, ServiceKey, Timeouts};

/// One change. The kernel's usual refusals: `EEXIST` (is there already), `ESRCH` (no such service),
/// `ENOENT` (no such destination or scheduler), `ERANGE` (weight or threshold), `EINVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Add a service.
    NewService(Service),
    /// Edit a service: everything but its key.
    SetService(Service),
    /// Delete a service with its destinations.
    DelService(ServiceKey),
    /// Add a destination to a service.
    NewDestination(ServiceKey, Destination),
    /// Edit a destination: everything but its address and port. Its connections stay.
    SetDestination(ServiceKey, Destination),
    /// Delete a destination, by address and port. It lingers, unseen, while connections refer to
    /// it; added again meanwhile, it comes back with its counters.
    DelDestination(ServiceKey, IpAddr, u16),
    /// Zero the counters of a service and its destinations, or of all.
    Zero(Option<ServiceKey>),
    /// Delete all services.
    Flush,
    /// Set the time-outs.
    SetConfig(Timeouts),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = |it: &Destination| SocketAddr::new(it.ip, it.port);
        match self {
            Self::NewService(service) => write!(f, "add {}", service.key),
            Self::SetService(service) => write!(f, "edit {}", service.key),
            Self::DelService(key) => write!(f, "delete {key}"),
            Self::NewDestination(key, it) => write!(f, "add {} to {key}", real(it)),
            Self::SetDestination(key, it) => write!(f, "edit {} of {key}", real(it)),
            Self::DelDestination(key, ip, port) => {
                write!(f, "delete {} of {key}", SocketAddr::new(*ip, *port))
            }
            Self::Zero(Some(key)) => write!(f, "zero the counters of {key}"),
            Self::Zero(None) => f.write_str("zero all counters"),
            Self::Flush => f.write_str("delete all services"),
            Self::SetConfig(_) => f.write_str("set the time-outs"),
        }
    }
}

impl From<&Command> for Message<Attributes> {
    fn from(command: &Command) -> Self {
        let (operation, attributes) = match command {
            Command::NewService(service) => (Operation::NewService, about(service)),
            Command::SetService(service) => (Operation::SetService, about(service)),
            Command::DelService(key) => (Operation::DelService, about(key)),
            Command::NewDestination(key, it) => (Operation::NewDestination, both(key, it.into())),
            Command::SetDestination(key, it) => (Operation::SetDestination, both(key, it.into())),
            Command::DelDestination(key, ip, port) => {
                let destination = DestinationAttributes::key(*ip, *port);
                (Operation::DelDestination, both(key, destination))
            }
            Command::Zero(Some(key)) => (Operation::Zero, about(key)),
            Command::Zero(None) => (Operation::Zero, Attributes::default()),
            Command::Flush => (Operation::Flush, Attributes::default()),
            Command::SetConfig(timeouts) => (Operation::SetConfig, timeouts.into()),
        };
        Self {
            operation,
            attributes,
        }
    }
}

/// The attributes of a message about a service.
pub(super) fn about<'a, S>(service: &'a S) -> Attributes
where
    ServiceAttributes: From<&'a S>,
{
    Attributes {
        service: Some(service.into()),
        ..Attributes::default()
    }
}

fn both(key: &ServiceKey, destination: DestinationAttributes) -> Attributes {
    Attributes {
        destination: Some(destination),
        ..about(key)
    }
}
