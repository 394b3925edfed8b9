//! What the cluster looks like now: the objects that the watches have brought, indexed by the
//! Service they belong to. Pure: it is fed events and says which Services they touched.
//!
//! A value of an annotation that means nothing is ignored as a whole: what the object said before
//! goes on being true. So nothing that is handed out here is [`Said::Invalid`].

mod identity;
mod own_node;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use crate::model::{
    EndpointSlice, Family, HostCapacity, Neighbour, Node, NodeTuning, Origin, Said, Service,
    ServiceCidr, ServiceId, SliceId, Tuning,
};
use crate::watch::{Change, Event};
use identity::Identity;
use own_node::OwnNode;
use table::{Put, Table};

/// The cluster as the watches last reported it.
#[derive(Debug, Default)]
pub struct Snapshot {
    services: Table<ServiceId, Service>,
    imports: Table<ServiceId, Service>,
    slices: Table<SliceId, EndpointSlice>,
    slices_of: HashMap<ServiceId, BTreeSet<SliceId>>,
    node: OwnNode,
    neighbours: Table<Arc<str>, Neighbour>,
    /// Whether they are others, or say something else, than when they were last asked for.
    neighbours_moved: bool,
    identity: Identity,
    service_cidrs: Table<Arc<str>, ServiceCidr>,
    endpoints: usize,
    touched: BTreeSet<ServiceId>,
    /// Of slices that have changed.
    since: Vec<(Family, SystemTime)>,
}

impl Snapshot {
    /// Of a cluster that the operator has given this id, which goes before what the cluster says
    /// of itself.
    pub fn of_cluster(id: Option<Arc<str>>) -> Self {
        Self {
            identity: Identity::given(id),
            ..Self::default()
        }
    }

    /// The same, on a Node whose first address is this, whatever it says of itself.
    #[must_use]
    pub fn on_node_at(mut self, first: Option<IpAddr>) -> Self {
        self.node = OwnNode::at(first);
        self
    }

    /// Takes in one event. An event that changes nothing touches nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Service(change) => self.apply_service(change),
            Event::Import(change) => self.apply_import(change),
            Event::Slice(change) => self.apply_slice(change),
            Event::Node(change) => {
                if self.node.apply(change) {
                    self.touch_all();
                }
            }
            Event::Neighbour(change) => self.apply_neighbour(change),
            Event::ClusterId(change) => {
                if self.identity.apply(change) {
                    self.touch_all();
                }
            }
            Event::ServiceCidr(change) => self.apply_service_cidr(change),
        }
    }

    /// Whether every kind of object that Services depend on has been listed in full at least once.
    /// Before that, a Service that is missing may just not have arrived yet.
    pub fn is_complete(&self) -> bool {
        self.services.is_listed()
            && self.imports.is_listed()
            && self.slices.is_listed()
            && self.node.is_listed()
            && self.neighbours.is_listed()
            && self.identity.is_listed()
    }

    /// The Services whose plan may have changed since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<ServiceId> {
        mem::take(&mut self.touched)
    }

    /// When what slices show happened, for those that have changed since the last call.
    pub fn take_since(&mut self) -> Vec<(Family, SystemTime)> {
        mem::take(&mut self.since)
    }

    /// A Service or `ServiceImport`, if there is one of that name.
    pub fn service(&self, id: &ServiceId) -> Option<&Service> {
        match id.origin {
            Origin::Service => self.services.get(id),
            Origin::Import => self.imports.get(id),
        }
    }

    /// The names of all Services and `ServiceImports`, sorted.
    pub fn names(&self) -> Vec<ServiceId> {
        let names = self.services.keys().chain(self.imports.keys());
        let mut names: Vec<ServiceId> = names.cloned().collect();
        names.sort_unstable();
        names
    }

    /// The slices that hold a Service's endpoints, in the order of their names. Those of a global
    /// Service come after those that other clusters export under its name.
    pub fn slices(&self, id: &ServiceId) -> Vec<&EndpointSlice> {
        let mut slices = Vec::new();
        if self.is_global(id) {
            let own = self.cluster_id();
            let import = id.clone().import();
            let abroad = |slice: &&EndpointSlice| slice.cluster.as_ref() != own;
            slices.extend(self.own_slices(&import).filter(abroad));
        }
        slices.extend(self.own_slices(id));
        slices
    }

    /// Those that name it.
    fn own_slices(&self, id: &ServiceId) -> impl Iterator<Item = &EndpointSlice> {
        let slices = self.slices_of.get(id).into_iter().flatten();
        slices.filter_map(|slice| self.slices.get(slice))
    }

    /// Whether it is a Service that endpoints of other clusters serve, too.
    fn is_global(&self, id: &ServiceId) -> bool {
        let service = self.services.get(id);
        service.and_then(|service| service.global.get()) == Some(&true)
    }

    /// This agent's own Node.
    pub fn node(&self) -> &Node {
        self.node.get()
    }

    /// What the other Nodes that all shall know say of their pods, if that is not what it was at the
    /// last call.
    pub fn take_neighbours(&mut self) -> Option<HashMap<Arc<str>, HostCapacity>> {
        mem::take(&mut self.neighbours_moved).then(|| {
            let all = self.neighbours.values();
            all.map(|one| (one.name.clone(), one.tuning.pods()))
                .collect()
        })
    }

    /// This cluster's id, if it has one.
    pub fn cluster_id(&self) -> Option<&Arc<str>> {
        self.identity.id()
    }

    /// The networks that virtual addresses are allocated from, as far as that is known, sorted.
    pub fn service_networks(&self) -> Vec<IpNet> {
        let all = self.service_cidrs.values();
        let mut networks: Vec<IpNet> = all.flat_map(|one| &one.networks).copied().collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }

    /// How many Services and `ServiceImports` there are.
    pub fn service_count(&self) -> usize {
        self.services.len() + self.imports.len()
    }

    /// How many endpoints there are in all slices.
    pub fn endpoint_count(&self) -> usize {
        self.endpoints
    }

    fn apply_service(&mut self, change: Change<Service, ServiceId>) {
        self.touched.extend(take_in(&mut self.services, change));
    }

    fn apply_import(&mut self, change: Change<Service, ServiceId>) {
        self.touched.extend(take_in(&mut self.imports, change));
    }

    fn apply_slice(&mut self, change: Change<EndpointSlice, SliceId>) {
        match change {
            Change::Apply(mut slice) => {
                let before = self.slices.get(&slice.id);
                keep_slice_words(&mut slice, before);
                let since = slice.since.0.map(|since| (slice.family, since));
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
                    self.since.extend(since);
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

    fn apply_neighbour(&mut self, change: Change<Neighbour, Arc<str>>) {
        let mut moved = Vec::new();
        match change {
            Change::Apply(mut one) => {
                let nothing = NodeTuning::default();
                let before = self.neighbours.get(&one.name);
                let before = before.map_or(&nothing, |before| &before.tuning);
                one.tuning.or_before(before);
                if one.tuning.pods() != before.pods() {
                    moved.push(one.name.clone());
                }
                self.neighbours.put(one.name.clone(), one);
            }
            Change::Delete(name) => moved.extend(self.neighbours.remove(&name).map(|one| one.name)),
            Change::Listing => self.neighbours.begin_list(),
            Change::Listed => {
                moved.extend(self.neighbours.end_list().into_iter().map(|one| one.name));
            }
        }
        if moved.is_empty() {
            return;
        }
        self.neighbours_moved = true;
        let mut concerned = BTreeSet::new();
        for slice in self.slices.values() {
            let mut nodes = slice.endpoints.iter().filter_map(|one| one.node.as_ref());
            if nodes.any(|node| moved.contains(node)) {
                concerned.insert(slice.service.clone());
            }
        }
        for id in concerned {
            self.touch(id);
        }
    }

    fn apply_service_cidr(&mut self, change: Change<ServiceCidr, Arc<str>>) {
        match change {
            Change::Apply(one) => {
                self.service_cidrs.put(one.name.clone(), one);
            }
            Change::Delete(name) => {
                self.service_cidrs.remove(&name);
            }
            Change::Listing => self.service_cidrs.begin_list(),
            Change::Listed => {
                self.service_cidrs.end_list();
            }
        }
    }

    /// Has all Services planned again: what they are planned by has changed.
    pub fn touch_all(&mut self) {
        let all = self.services.keys().chain(self.imports.keys());
        self.touched.extend(all.cloned());
    }

    /// Notes that the slices of a Service or `ServiceImport` are no longer the same.
    fn touch(&mut self, id: ServiceId) {
        if id.origin == Origin::Import {
            let namesake = ServiceId {
                origin: Origin::Service,
                ..id.clone()
            };
            if self.is_global(&namesake) {
                self.touched.insert(namesake);
            }
        }
        self.touched.insert(id);
    }

    fn link(&mut self, service: ServiceId, slice: SliceId, size: usize) {
        self.endpoints += size;
        self.slices_of
            .entry(service.clone())
            .or_default()
            .insert(slice);
        self.touch(service);
    }

    fn unlink(&mut self, slice: &EndpointSlice) {
        self.endpoints -= slice.endpoints.len();
        if let Some(slices) = self.slices_of.get_mut(&slice.service) {
            slices.remove(&slice.id);
            if slices.is_empty() {
                self.slices_of.remove(&slice.service);
            }
        }
        self.touch(slice.service.clone());
    }
}

/// Takes in a change to the Services or `ServiceImports`, and says which it touched.
fn take_in(
    table: &mut Table<ServiceId, Service>,
    change: Change<Service, ServiceId>,
) -> Vec<ServiceId> {
    match change {
        Change::Apply(mut service) => {
            let id = service.id.clone();
            keep_words(&mut service, table.get(&id));
            let put = table.put(id.clone(), service);
            put.is_changed().then_some(id).into_iter().collect()
        }
        Change::Delete(id) => table.remove(&id).map(|_| id).into_iter().collect(),
        Change::Listing => {
            table.begin_list();
            Vec::new()
        }
        Change::Listed => table.end_list().into_iter().map(|gone| gone.id).collect(),
    }
}

/// Puts what a Service said before in the place of what means nothing now.
fn keep_words(service: &mut Service, before: Option<&Service>) {
    let nothing = Tuning::default();
    let (tuning, global) = match before {
        Some(before) => (&before.tuning, &before.global),
        None => (&nothing, &Said::Nothing),
    };
    service.tuning.or_before(tuning);
    service.global.or_before(global);
}

/// The same for an `EndpointSlice`.
fn keep_slice_words(slice: &mut EndpointSlice, before: Option<&EndpointSlice>) {
    let (capacity, reach) = match before {
        Some(before) => (&before.capacity, &before.reach),
        None => (&Said::Nothing, &Said::Nothing),
    };
    slice.capacity.or_before(capacity);
    slice.reach.or_before(reach);
}

#[cfg(test)]
mod tests;
