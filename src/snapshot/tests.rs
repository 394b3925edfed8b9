use super::*;
use crate::model::example::*;

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
        .map(|id| id.name.to_string())
        .collect()
}

#[test]
fn it_is_complete_when_every_kind_has_been_listed() {
    let mut snapshot = Snapshot::default();
    snapshot.apply(Event::Service(Change::Listed));
    snapshot.apply(Event::Slice(Change::Listed));
    assert!(!snapshot.is_complete());
    snapshot.apply(Event::Node(Change::Listed));
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
