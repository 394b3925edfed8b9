use super::*;
use crate::model::example::*;
use crate::model::{Capacity, Mode, NodeTuning, Reach, ServiceCidr, SliceCapacity};

fn with_web() -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.apply(Event::Service(Change::Listing));
    snapshot.apply(Event::Service(Change::Apply(service(
        "web",
        &["10.96.0.10"],
    ))));
    snapshot.apply(Event::Service(Change::Apply(service(
        "api",
        &["10.96.0.11"],
    ))));
    snapshot.apply(Event::Service(Change::Listed));
    snapshot.apply(Event::Slice(Change::Listing));
    snapshot.apply(Event::Slice(Change::Apply(web_slice("10.1.1.5"))));
    snapshot.apply(Event::Slice(Change::Listed));
    snapshot.apply(Event::Node(Change::Listing));
    snapshot.apply(Event::Node(Change::Apply(node("a"))));
    snapshot.apply(Event::Node(Change::Listed));
    snapshot.apply(Event::Neighbour(Change::Listed));
    snapshot.apply(Event::Import(Change::Listed));
    snapshot.apply(Event::ClusterId(Change::Listed));
    snapshot.take_touched();
    snapshot
}

fn web_slice(address: &str) -> EndpointSlice {
    slice("web-1", "web", vec![endpoint(address, "a1", "a")])
}

fn node(zone: &str) -> Node {
    Node {
        zone: Some(zone.into()),
        eligible: true,
        ..Node::default()
    }
}

fn touched(snapshot: &mut Snapshot) -> Vec<String> {
    snapshot
        .take_touched()
        .iter()
        .map(|id| id.to_string().replace("default/", ""))
        .collect()
}

/// `web` with these words of its annotations.
fn tuned_web(routing: Said<Mode>, global: Said<bool>) -> Event {
    let mut web = service("web", &["10.96.0.10"]);
    web.tuning.routing = routing;
    web.global = global;
    Event::Service(Change::Apply(web))
}

fn import(name: &str) -> Event {
    let mut import = service(name, &["10.112.0.10"]);
    import.id = id(name).import();
    Event::Import(Change::Apply(import))
}

/// What a cluster exports under the name `web`.
fn exported(cluster: &str, address: &str) -> EndpointSlice {
    let mut slice = slice(
        &format!("web-{cluster}"),
        "web",
        vec![endpoint(address, "n", "z")],
    );
    slice.service = id("web").import();
    slice.cluster = Some(cluster.into());
    slice
}

fn put(slice: EndpointSlice) -> Event {
    Event::Slice(Change::Apply(slice))
}

fn identity(said: Said<Arc<str>>) -> Event {
    Event::ClusterId(Change::Apply(said))
}

fn this_is(cluster: &str) -> Event {
    identity(Said::Valid(cluster.into()))
}

fn slices(snapshot: &Snapshot, of: &ServiceId) -> Vec<String> {
    let slices = snapshot.slices(of);
    slices
        .iter()
        .map(|slice| slice.id.name.to_string())
        .collect()
}

#[test]
fn it_is_complete_when_every_kind_has_been_listed() {
    let mut snapshot = Snapshot::default();
    for listed in [
        Event::Service(Change::Listed),
        Event::Import(Change::Listed),
        Event::Slice(Change::Listed),
        Event::Node(Change::Listed),
        Event::Neighbour(Change::Listed),
        Event::ClusterId(Change::Listed),
    ] {
        assert!(!snapshot.is_complete());
        snapshot.apply(listed);
    }
    assert!(snapshot.is_complete());
}

#[test]
fn a_slice_touches_the_service_it_belongs_to() {
    let mut snapshot = with_web();
    snapshot.apply(Event::Slice(Change::Apply(web_slice("10.1.1.6"))));
    assert_eq!(touched(&mut snapshot), ["web"]);
}

#[test]
fn an_event_that_changes_nothing_touches_nothing() {
    let mut snapshot = with_web();
    snapshot.apply(Event::Slice(Change::Apply(web_slice("10.1.1.5"))));
    snapshot.apply(Event::Service(Change::Apply(service(
        "web",
        &["10.96.0.10"],
    ))));
    snapshot.apply(Event::Service(Change::Delete(id("never-seen"))));
    snapshot.apply(Event::Node(Change::Apply(node("a"))));
    assert!(touched(&mut snapshot).is_empty());
}

#[test]
fn a_slice_that_moves_to_another_service_touches_both() {
    let mut snapshot = with_web();
    let mut moved = web_slice("10.1.1.5");
    moved.service = id("api");
    snapshot.apply(Event::Slice(Change::Apply(moved)));
    assert_eq!(touched(&mut snapshot), ["api", "web"]);
    assert_eq!(snapshot.slices(&id("web")).len(), 0);
    assert_eq!(snapshot.slices(&id("api")).len(), 1);
}

#[test]
fn what_a_new_list_does_not_name_is_gone() {
    let mut snapshot = with_web();
    snapshot.apply(Event::Service(Change::Listing));
    snapshot.apply(Event::Service(Change::Apply(service(
        "web",
        &["10.96.0.10"],
    ))));
    assert!(
        snapshot.service(&id("api")).is_some(),
        "nothing goes before the list is complete"
    );
    snapshot.apply(Event::Service(Change::Listed));
    assert!(snapshot.service(&id("api")).is_none());
    assert_eq!(touched(&mut snapshot), ["api"]);
}

#[test]
fn a_service_may_come_before_its_slices_or_after() {
    let mut snapshot = with_web();
    snapshot.apply(Event::Service(Change::Delete(id("web"))));
    assert_eq!(touched(&mut snapshot), ["web"]);
    snapshot.apply(Event::Service(Change::Apply(service(
        "web",
        &["10.96.0.10"],
    ))));
    assert_eq!(touched(&mut snapshot), ["web"]);
    assert_eq!(snapshot.slices(&id("web")).len(), 1);
}

#[test]
fn a_node_that_changes_its_zone_touches_everything() {
    let mut snapshot = with_web();
    snapshot.apply(Event::Node(Change::Apply(node("b"))));
    assert_eq!(touched(&mut snapshot), ["api", "web"]);
}

#[test]
fn a_node_that_is_deleted_is_no_longer_eligible_but_keeps_its_zone() {
    let mut snapshot = with_web();
    snapshot.apply(Event::Node(Change::Delete(())));
    assert!(!snapshot.node().eligible);
    assert_eq!(snapshot.node().zone.as_deref(), Some("a"));
    assert!(touched(&mut snapshot).is_empty());
}

#[test]
fn endpoints_are_counted_through_every_kind_of_change() {
    let mut snapshot = with_web();
    assert_eq!(snapshot.endpoint_count(), 1);
    let two = vec![
        endpoint("10.1.1.5", "a1", "a"),
        endpoint("10.1.1.6", "a1", "a"),
    ];
    snapshot.apply(Event::Slice(Change::Apply(slice("web-1", "web", two))));
    assert_eq!(snapshot.endpoint_count(), 2);
    snapshot.apply(Event::Slice(Change::Listing));
    snapshot.apply(Event::Slice(Change::Listed));
    assert_eq!(snapshot.endpoint_count(), 0);
}

#[test]
fn a_bad_value_keeps_the_last_good_one() {
    let mut snapshot = with_web();
    let routing = |snapshot: &Snapshot| {
        let web = snapshot.service(&id("web")).unwrap();
        (web.tuning.routing.clone(), web.global.clone())
    };
    snapshot.apply(tuned_web(Said::Invalid, Said::Invalid));
    assert_eq!(routing(&snapshot), (Said::Nothing, Said::Nothing));
    assert!(touched(&mut snapshot).is_empty(), "nothing has changed");

    let good = || (Said::Valid(Mode::Spill), Said::Valid(true));
    snapshot.apply(tuned_web(good().0, good().1));
    assert_eq!(touched(&mut snapshot), ["web"]);
    snapshot.apply(tuned_web(Said::Invalid, Said::Invalid));
    snapshot.apply(tuned_web(Said::Invalid, Said::Invalid));
    assert_eq!(routing(&snapshot), good());
    assert!(touched(&mut snapshot).is_empty());

    snapshot.apply(tuned_web(Said::Nothing, Said::Nothing));
    assert_eq!(routing(&snapshot), (Said::Nothing, Said::Nothing));
    snapshot.apply(tuned_web(good().0, good().1));
    snapshot.apply(Event::Service(Change::Delete(id("web"))));
    snapshot.apply(tuned_web(Said::Invalid, Said::Invalid));
    let message = "what is deleted and comes back has said nothing before";
    assert_eq!(
        routing(&snapshot),
        (Said::Nothing, Said::Nothing),
        "{message}"
    );
}

#[test]
fn a_slice_and_an_import_keep_their_last_good_values_too() {
    let mut snapshot = with_web();
    let words = |capacity, reach| EndpointSlice {
        capacity,
        reach,
        ..web_slice("10.1.1.5")
    };
    let capacity = SliceCapacity {
        default: Some(Capacity::Auto),
        of: vec![],
    };
    let good = words(Said::Valid(capacity), Said::Valid(Reach::Host));
    snapshot.apply(put(good.clone()));
    assert_eq!(touched(&mut snapshot), ["web"]);
    snapshot.apply(put(words(Said::Invalid, Said::Invalid)));
    assert!(touched(&mut snapshot).is_empty());
    assert_eq!(snapshot.slices(&id("web")), [&good]);

    let Event::Import(Change::Apply(mut web)) = import("web") else {
        panic!("an import is applied")
    };
    web.tuning.shed = Said::Valid(true);
    snapshot.apply(Event::Import(Change::Apply(web.clone())));
    web.tuning.shed = Said::Invalid;
    snapshot.apply(Event::Import(Change::Apply(web)));
    let web = snapshot.service(&id("web").import()).unwrap();
    assert_eq!(web.tuning.shed, Said::Valid(true));
}

#[test]
fn what_the_node_asks_for_touches_everything_but_a_bad_value_nothing() {
    let mut snapshot = with_web();
    snapshot.apply(import("web"));
    snapshot.take_touched();
    let tuned = |routing| {
        let mut tuning = NodeTuning::default();
        tuning.all.routing = routing;
        let node = Node {
            tuning,
            ..node("a")
        };
        Event::Node(Change::Apply(node))
    };
    snapshot.apply(tuned(Said::Valid(Mode::Balance)));
    assert_eq!(touched(&mut snapshot), ["api", "web", "web@clusterset"]);
    snapshot.apply(tuned(Said::Invalid));
    assert!(touched(&mut snapshot).is_empty());
    let routing = &snapshot.node().tuning.all.routing;
    assert_eq!(*routing, Said::Valid(Mode::Balance));
}

#[test]
fn what_another_node_says_of_its_pods_touches_whom_they_serve() {
    let mut snapshot = with_web();
    let says = |capacity| {
        let mut tuning = NodeTuning::default();
        tuning.all.capacity = capacity;
        Event::Neighbour(Change::Apply(Neighbour {
            name: "a1".into(),
            tuning,
        }))
    };
    let ten = Capacity::Connections(10.try_into().unwrap());
    snapshot.apply(says(Said::Valid(ten)));
    assert_eq!(touched(&mut snapshot), ["web"]);
    let known = snapshot.take_neighbours().unwrap();
    assert_eq!(known["a1"].capacity, Some(ten));

    snapshot.apply(says(Said::Valid(ten)));
    snapshot.apply(says(Said::Invalid));
    assert!(touched(&mut snapshot).is_empty());
    assert_eq!(snapshot.take_neighbours(), None, "the same as before");

    snapshot.apply(Event::Neighbour(Change::Listing));
    snapshot.apply(Event::Neighbour(Change::Listed));
    assert_eq!(touched(&mut snapshot), ["web"]);
    assert!(snapshot.take_neighbours().unwrap().is_empty());
}

#[test]
fn an_import_is_another_service_than_its_namesake() {
    let mut snapshot = with_web();
    snapshot.apply(import("web"));
    snapshot.apply(put(exported("b", "10.2.1.5")));
    assert_eq!(touched(&mut snapshot), ["web@clusterset"]);
    assert_eq!(snapshot.service_count(), 3);
    assert_eq!(snapshot.endpoint_count(), 2);
    let imported = id("web").import();
    let ips = |id| snapshot.service(id).unwrap().cluster_ips.clone();
    assert_eq!(ips(&imported), [ip("10.112.0.10")]);
    assert_eq!(ips(&id("web")), [ip("10.96.0.10")]);
    assert_eq!(slices(&snapshot, &imported), ["web-b"]);
    assert_eq!(slices(&snapshot, &id("web")), ["web-1"]);

    snapshot.apply(Event::Import(Change::Listing));
    snapshot.apply(Event::Import(Change::Listed));
    assert_eq!(touched(&mut snapshot), ["web@clusterset"]);
    assert!(snapshot.service(&imported).is_none());
    assert!(snapshot.service(&id("web")).is_some());
}

#[test]
fn a_global_service_is_served_by_what_others_export_under_its_name() {
    let mut snapshot = with_web();
    for event in [
        this_is("a"),
        put(exported("a", "10.1.1.5")),
        put(exported("b", "10.2.1.5")),
        put(exported("c", "10.3.1.5")),
        tuned_web(Said::Nothing, Said::Valid(false)),
    ] {
        snapshot.apply(event);
    }
    assert_eq!(slices(&snapshot, &id("web")), ["web-1"]);
    snapshot.apply(tuned_web(Said::Nothing, Said::Valid(true)));
    assert_eq!(slices(&snapshot, &id("web")), ["web-b", "web-c", "web-1"]);
    let imported = id("web").import();
    assert_eq!(slices(&snapshot, &imported), ["web-a", "web-b", "web-c"]);
    assert_eq!(slices(&snapshot, &id("api")), Vec::<String>::new());
}

#[test]
fn what_others_export_touches_a_global_namesake() {
    let mut snapshot = with_web();
    snapshot.apply(tuned_web(Said::Nothing, Said::Valid(true)));
    snapshot.take_touched();
    snapshot.apply(put(exported("b", "10.2.1.5")));
    assert_eq!(touched(&mut snapshot), ["web", "web@clusterset"]);
    snapshot.apply(put(exported("b", "10.2.1.6")));
    assert_eq!(touched(&mut snapshot), ["web", "web@clusterset"]);
    snapshot.apply(Event::Slice(Change::Delete(exported("b", "10.2.1.6").id)));
    assert_eq!(touched(&mut snapshot), ["web", "web@clusterset"]);
}

#[test]
fn the_clusters_id_touches_everything_when_it_changes() {
    let mut snapshot = with_web();
    snapshot.apply(import("web"));
    snapshot.take_touched();
    let all = ["api", "web", "web@clusterset"];
    snapshot.apply(this_is("a"));
    assert_eq!(snapshot.cluster_id().map(|id| &**id), Some("a"));
    assert_eq!(touched(&mut snapshot), all);
    snapshot.apply(identity(Said::Invalid));
    snapshot.apply(Event::ClusterId(Change::Listing));
    snapshot.apply(this_is("a"));
    snapshot.apply(Event::ClusterId(Change::Listed));
    assert_eq!(snapshot.cluster_id().map(|id| &**id), Some("a"));
    assert!(touched(&mut snapshot).is_empty());
    snapshot.apply(Event::ClusterId(Change::Listing));
    snapshot.apply(Event::ClusterId(Change::Listed));
    assert_eq!(snapshot.cluster_id(), None);
    assert_eq!(touched(&mut snapshot), all);
    snapshot.apply(this_is("a"));
    snapshot.apply(Event::ClusterId(Change::Delete(())));
    assert_eq!(snapshot.cluster_id(), None);
}

#[test]
fn an_id_that_the_operator_has_given_stands() {
    let mut snapshot = Snapshot::of_cluster(Some("a".into()));
    snapshot.apply(Event::Service(Change::Apply(service(
        "web",
        &["10.96.0.10"],
    ))));
    snapshot.take_touched();
    snapshot.apply(this_is("b"));
    assert_eq!(snapshot.cluster_id().map(|id| &**id), Some("a"));
    assert!(touched(&mut snapshot).is_empty());
}

#[test]
fn the_networks_of_virtual_addresses_are_those_of_all_service_cidrs() {
    let mut snapshot = with_web();
    let cidr = |name: &str, network: &str| {
        let networks = vec![network.parse().unwrap()];
        let name = name.into();
        Event::ServiceCidr(Change::Apply(ServiceCidr { name, networks }))
    };
    let networks = |snapshot: &Snapshot| -> Vec<String> {
        let networks = snapshot.service_networks();
        networks.iter().map(ToString::to_string).collect()
    };
    assert_eq!(networks(&snapshot), Vec::<String>::new());
    snapshot.apply(Event::ServiceCidr(Change::Listing));
    snapshot.apply(cidr("kubernetes", "10.96.0.0/16"));
    snapshot.apply(cidr("more", "10.112.0.0/16"));
    snapshot.apply(cidr("again", "10.96.0.0/16"));
    snapshot.apply(Event::ServiceCidr(Change::Listed));
    assert_eq!(networks(&snapshot), ["10.96.0.0/16", "10.112.0.0/16"]);
    snapshot.apply(Event::ServiceCidr(Change::Delete("kubernetes".into())));
    assert_eq!(networks(&snapshot).len(), 2, "another one names it");
    snapshot.apply(Event::ServiceCidr(Change::Listing));
    snapshot.apply(cidr("more", "10.112.0.0/16"));
    snapshot.apply(Event::ServiceCidr(Change::Listed));
    assert_eq!(networks(&snapshot), ["10.112.0.0/16"]);
    assert_eq!(touched(&mut snapshot), Vec::<String>::new());
}
