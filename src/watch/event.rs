//! What the watches say, in the words of the model.

use std::sync::Arc;

use super::parse::Problem;
use crate::model::{
    EndpointSlice, Neighbour, Node, Said, Service, ServiceCidr, ServiceId, SliceId,
};

/// One change, as a watch reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// About a Service.
    Service(Change<Service, ServiceId>),
    /// About a `ServiceImport`. Its list is complete and empty where the cluster has no such kind,
    /// or the agent may not see them.
    Import(Change<Service, ServiceId>),
    /// About an `EndpointSlice`.
    Slice(Change<EndpointSlice, SliceId>),
    /// About this agent's own Node.
    Node(Change<Node, ()>),
    /// About another Node, of those that all agents shall know.
    Neighbour(Change<Neighbour, Arc<str>>),
    /// About this cluster's id, which it has as a member of a set of clusters. As with
    /// `ServiceImports`, its list may be empty.
    ClusterId(Change<Said<Arc<str>>, ()>),
    /// About a `ServiceCIDR`. As with `ServiceImports`, their list may be empty.
    ServiceCidr(Change<ServiceCidr, Arc<str>>),
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

/// What is odd about an object, for those who count and tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding<'a> {
    /// A part has to be left out.
    Problem(&'a Problem),
    /// An object of this kind has a field that nobody here knows.
    Unknown(&'static str),
}
