//! What the cluster looks like now: the objects that the watches have brought, indexed by the
//! Service they belong to. Pure: it is fed events and says which Services they touched.

mod table;

use std::collections::{BTreeSet, HashMap};
use std::mem;

use crate::model::{EndpointSlice, Node, Service, ServiceId, SliceId};
use crate::watch::{Change, Event};
use table::{Put, Table};

/// The cluster as the watches last reported it.
#[derive(Debug, Default)]
pub struct Snapshot {
    services: Table<ServiceId, Service>,
    slices: Table<SliceId, EndpointSlice>,
    slices_of: HashMap<ServiceId, BTreeSet<SliceId>>,
    node: Node,
    node_listed: bool,
    endpoints: usize,
    touched: BTreeSet<ServiceId>,
}

impl Snapshot {
    /// Takes in one event. An event that changes nothing touches nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Service(change) => self.apply_service(change),
            Event::Slice(change) => self.apply_slice(change),
            Event::Node(change) => self.apply_node(change),
        }
    }

    /// Whether every kind of object has been listed in full at least once. Before that, a Service
    /// that is missing may just not have arrived yet.
    pub fn is_complete(&self) -> bool {
        self.services.is_listed() && self.slices.is_listed() && self.node_listed
    }

    /// The Services whose plan may have changed since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<ServiceId> {
        mem::take(&mut self.touched)
    }

    /// A Service, if there is one of that name.
    pub fn service(&self, id: &ServiceId) -> Option<&Service> {
        self.services.get(id)
    }

    /// The names of all Services, sorted.
    pub fn names(&self) -> Vec<ServiceId> {
        let mut names: Vec<ServiceId> = self.services.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// The slices that hold a Service's endpoints, in the order of their names.
    pub fn slices(&self, id: &ServiceId) -> Vec<&EndpointSlice> {
        let slices = self.slices_of.get(id).into_iter().flatten();
        slices.filter_map(|slice| self.slices.get(slice)).collect()
    }

    /// This agent's own Node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// How many Services there are.
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// How many endpoints there are in all slices.
    pub fn endpoint_count(&self) -> usize {
        self.endpoints
    }

    fn apply_service(&mut self, change: Change<Service, ServiceId>) {
        match change {
            Change::Apply(service) => {
                let id = service.id.clone();
                if self.services.put(id.clone(), service).is_changed() {
                    self.touched.insert(id);
                }
            }
            Change::Delete(id) => {
                if self.services.remove(&id).is_some() {
                    self.touched.insert(id);
                }
            }
            Change::Listing => self.services.begin_list(),
            Change::Listed => {
                self.touched
                    .extend(self.services.end_list().into_iter().map(|gone| gone.id));
            }
        }
    }

    fn apply_slice(&mut self, change: Change<EndpointSlice, SliceId>) {
        match change {
            Change::Apply(slice) => {
                let (id, service, size) = (
                    slice.id.clone(),
                    slice.service.clone(),
                    slice.endpoints.len(),
                );
                let put = self.slices.put(id.clone(), slice);
                if let Put::Replaced(old) = &put {
                    self.unlink(old);
                }
                if put.is_changed() {
                    self.link(service, id, size);
                }
            }
            Change::Delete(id) => {
                if let Some(old) = self.slices.remove(&id) {
                    self.unlink(&old);
                }
            }
            Change::Listing => self.slices.begin_list(),
            Change::Listed => {
                for gone in self.slices.end_list() {
                    self.unlink(&gone);
                }
            }
        }
    }

    fn apply_node(&mut self, change: Change<Node, ()>) {
        let node = match change {
            Change::Apply(node) => node,
            // The levels stay as they were: a node whose object is gone still has its pods.
            Change::Delete(()) => Node {
                eligible: false,
                ..self.node.clone()
            },
            Change::Listing => return,
            Change::Listed => {
                self.node_listed = true;
                return;
            }
        };
        let moved = node.zone != self.node.zone;
        self.node = node;
        if moved {
            self.touched.extend(self.services.keys().cloned());
        }
    }

    fn link(&mut self, service: ServiceId, slice: SliceId, size: usize) {
        self.endpoints += size;
        self.slices_of
            .entry(service.clone())
            .or_default()
            .insert(slice);
        self.touched.insert(service);
    }

    fn unlink(&mut self, slice: &EndpointSlice) {
        self.endpoints -= slice.endpoints.len();
        if let Some(slices) = self.slices_of.get_mut(&slice.service) {
            slices.remove(&slice.id);
            if slices.is_empty() {
                self.slices_of.remove(&slice.service);
            }
        }
        self.touched.insert(slice.service.clone());
    }
}

#[cfg(test)]
mod tests;
