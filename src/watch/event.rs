//! What the watches say, in the words of the model.

use crate::model::{EndpointSlice, Node, Service, ServiceId, SliceId};

/// One change, as a watch reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// About a Service.
    Service(Change<Service, ServiceId>),
    /// About an `EndpointSlice`.
    Slice(Change<EndpointSlice, SliceId>),
    /// About this agent's own Node.
    Node(Change<Node, ()>),
}

/// A change to one kind of object. After `Listing` every object that still exists is named again
/// by `Apply`; those that were not, by the time of `Listed`, are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T, Id> {
    /// The object is there and looks like this.
    Apply(T),
    /// The object is gone, or is none of ours any more.
    Delete(Id),
    /// A full list begins.
    Listing,
    /// The full list is complete.
    Listed,
}
