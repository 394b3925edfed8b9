//! The kinds of objects that are watched: which of them, and the events they become.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use kube::Resource;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;

use super::event::{Change, Event};
use super::names::Names;
use super::objects::{
    ClusterProperty, EndpointSlice, HEADLESS, KNOWN_TO_ALL, McsVersion, Neighbour, Node,
    SERVICE_PROXY_NAME, Service, ServiceCidr, ServiceImport,
};
use super::parse::{self, Problem};
use super::unknown;
use crate::model::{self, Said, ServiceId, SliceId};

/// A kind of objects.
pub trait Kind: Resource + Clone + Debug + DeserializeOwned + Send + 'static {
    /// Its name.
    const NAME: &'static str;
    /// The versions in which it may be served, in the order in which they are asked for.
    const VERSIONS: &'static [Self::DynamicType];
    /// Whether a cluster may be without it.
    const OPTIONAL: bool = false;

    /// What an object of this kind becomes.
    type Model;
    /// The name of an object of this kind.
    type Id;

    /// Which objects are asked for, by the agent of the node of this name.
    fn selection(node: &str) -> watcher::Config;

    /// The object's name.
    fn id(&self, names: &mut Names) -> Self::Id;

    /// The fields of the object that decoding passed over, where that is noted.
    fn passed_over(&self) -> &[String] {
        &[]
    }

    /// Whether an object of this kind has, as far as it is known here, such a field.
    fn has(_field: &str) -> bool {
        true
    }

    /// Checks the object; `None` for one that is none of ours.
    fn parse(self, names: &mut Names) -> (Option<Self::Model>, Vec<Problem>);

    /// Puts a change to an object of this kind among the events.
    fn event(change: Change<Self::Model, Self::Id>) -> Event;
}

/// What an object that is there says: `Apply`, or `Delete` where it is none of ours any more.
pub fn applied<K: Kind>(object: K, names: &mut Names) -> (Event, Vec<Problem>) {
    let id = object.id(names);
    let (model, problems) = object.parse(names);
    let change = model.map_or_else(|| Change::Delete(id), Change::Apply);
    (K::event(change), problems)
}

impl Kind for Service {
    const NAME: &'static str = "Service";
    const VERSIONS: &'static [()] = &[()];

    type Model = model::Service;
    type Id = ServiceId;

    fn selection(_: &str) -> watcher::Config {
        watcher::Config::default()
            .labels(&format!("!{SERVICE_PROXY_NAME}"))
            .fields("spec.clusterIP!=None")
    }

    fn id(&self, names: &mut Names) -> ServiceId {
        parse::service_id(&self.metadata, names)
    }

    fn passed_over(&self) -> &[String] {
        self.passed_over.fields()
    }

    fn has(field: &str) -> bool {
        unknown::is_known::<core::Service>(field)
    }

    fn parse(self, names: &mut Names) -> (Option<model::Service>, Vec<Problem>) {
        parse::service(self, names)
    }

    fn event(change: Change<model::Service, ServiceId>) -> Event {
        Event::Service(change)
    }
}

impl Kind for ServiceImport {
    const NAME: &'static str = "ServiceImport";
    const VERSIONS: &'static [McsVersion] = &[McsVersion("v1beta1"), McsVersion("v1alpha1")];
    const OPTIONAL: bool = true;

    type Model = model::Service;
    type Id = ServiceId;

    fn selection(_: &str) -> watcher::Config {
        watcher::Config::default()
    }

    fn id(&self, names: &mut Names) -> ServiceId {
        parse::service_id(&self.metadata, names).import()
    }

    fn parse(self, names: &mut Names) -> (Option<model::Service>, Vec<Problem>) {
        parse::import(self, names)
    }

    fn event(change: Change<model::Service, ServiceId>) -> Event {
        Event::Import(change)
    }
}

impl Kind for EndpointSlice {
    const NAME: &'static str = "EndpointSlice";
    const VERSIONS: &'static [()] = &[()];

    type Model = model::EndpointSlice;
    type Id = SliceId;

    fn selection(_: &str) -> watcher::Config {
        watcher::Config::default().labels(&format!("!{HEADLESS}"))
    }

    fn id(&self, names: &mut Names) -> SliceId {
        parse::slice_id(&self.metadata, names)
    }

    fn passed_over(&self) -> &[String] {
        self.passed_over.fields()
    }

    fn has(field: &str) -> bool {
        unknown::is_known::<discovery::EndpointSlice>(field)
    }

    fn parse(self, names: &mut Names) -> (Option<model::EndpointSlice>, Vec<Problem>) {
        parse::slice(self, names)
    }

    fn event(change: Change<model::EndpointSlice, SliceId>) -> Event {
        Event::Slice(change)
    }
}

impl Kind for Node {
    const NAME: &'static str = "Node";
    const VERSIONS: &'static [()] = &[()];

    type Model = model::Node;
    type Id = ();

    fn selection(node: &str) -> watcher::Config {
        watcher::Config::default().fields(&format!("metadata.name={node}"))
    }

    fn id(&self, _: &mut Names) {}

    fn parse(self, names: &mut Names) -> (Option<model::Node>, Vec<Problem>) {
        let (node, problems) = parse::node(self, names);
        (Some(node), problems)
    }

    fn event(change: Change<model::Node, ()>) -> Event {
        Event::Node(change)
    }
}

impl Kind for Neighbour {
    const NAME: &'static str = "Node";
    const VERSIONS: &'static [()] = &[()];

    type Model = model::Neighbour;
    type Id = Arc<str>;

    /// Every Node changes every few minutes, which thousands of agents had better not all be told.
    /// So only those that are labelled for it.
    fn selection(node: &str) -> watcher::Config {
        watcher::Config::default()
            .labels(&format!("{KNOWN_TO_ALL}=true"))
            .fields(&format!("metadata.name!={node}"))
    }

    fn id(&self, names: &mut Names) -> Arc<str> {
        names.intern(self.metadata.name.as_deref().unwrap_or_default())
    }

    /// What is wrong with it, its own agent tells.
    fn parse(self, names: &mut Names) -> (Option<model::Neighbour>, Vec<Problem>) {
        (Some(parse::neighbour(self, names)), Vec::new())
    }

    fn event(change: Change<model::Neighbour, Arc<str>>) -> Event {
        Event::Neighbour(change)
    }
}

impl Kind for ClusterProperty {
    const NAME: &'static str = "ClusterProperty";
    const VERSIONS: &'static [()] = &[()];
    const OPTIONAL: bool = true;

    type Model = Said<Arc<str>>;
    type Id = ();

    fn selection(_: &str) -> watcher::Config {
        watcher::Config::default().fields(&format!("metadata.name={}", parse::CLUSTER_ID))
    }

    fn id(&self, _: &mut Names) {}

    fn parse(self, _: &mut Names) -> (Option<Said<Arc<str>>>, Vec<Problem>) {
        let (id, problems) = parse::cluster_id(self);
        (Some(id), problems)
    }

    fn event(change: Change<Said<Arc<str>>, ()>) -> Event {
        Event::ClusterId(change)
    }
}

impl Kind for ServiceCidr {
    const NAME: &'static str = "ServiceCIDR";
    const VERSIONS: &'static [()] = &[()];
    const OPTIONAL: bool = true;

    type Model = model::ServiceCidr;
    type Id = Arc<str>;

    fn selection(_: &str) -> watcher::Config {
        watcher::Config::default()
    }

    fn id(&self, names: &mut Names) -> Arc<str> {
        names.intern(self.metadata.name.as_deref().unwrap_or_default())
    }

    fn parse(self, names: &mut Names) -> (Option<model::ServiceCidr>, Vec<Problem>) {
        let (cidr, problems) = parse::service_cidr(self, names);
        (Some(cidr), problems)
    }

    fn event(change: Change<model::ServiceCidr, Arc<str>>) -> Event {
        Event::ServiceCidr(change)
    }
}
