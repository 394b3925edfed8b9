//! Questions to the core thread, which alone knows what it has programmed.
//!
//! A question travels to the core like an event and carries the way back: nobody asks, nothing is
//! made. Each is small: a client that wants everything asks for the names first and then for some
//! services at a time, so that changes of the cluster never wait behind a table of ten thousand.

use tokio::sync::oneshot;

use super::routes::PortRoutes;
use crate::model::ServiceId;

/// A question, and where its answer goes.
#[derive(Debug)]
pub enum Ask {
    /// Which services there are, sorted.
    Names(oneshot::Sender<Vec<ServiceId>>),
    /// The routes of these; those that are gone are left out.
    Routes(Vec<ServiceId>, oneshot::Sender<Vec<PortRoutes>>),
}

/// Whoever can answer.
pub trait Knows {
    /// The services that are programmed, sorted.
    fn names(&self) -> Vec<ServiceId>;

    /// The routes of a service, in the order of its ports; none if it is gone.
    fn routes(&mut self, service: &ServiceId) -> Vec<PortRoutes>;
}

impl Ask {
    /// Answers, unless whoever asked has left.
    pub fn answer(self, from: &mut impl Knows) {
        // Who has left in between needs no answer.
        match self {
            Self::Names(reply) if !reply.is_closed() => drop(reply.send(from.names())),
            Self::Routes(services, reply) if !reply.is_closed() => {
                let routes = services.iter().flat_map(|service| from.routes(service));
                drop(reply.send(routes.collect()));
            }
            Self::Names(_) | Self::Routes(..) => {}
        }
    }
}
