use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;
use crate::model::{Capacity, Evacuation, Level, Mode};

fn object(annotations: &[(&str, &str)]) -> ObjectMeta {
    let annotations = annotations.iter().copied();
    ObjectMeta {
        namespace: Some("shop".into()),
        name: Some("web".into()),
        annotations: Some(
            annotations
                .map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned()))
                .collect(),
        ),
        ..ObjectMeta::default()
    }
}

#[test]
fn what_is_not_said_is_nothing() {
    for object in [ObjectMeta::default(), object(&[])] {
        let mut report = Report::new("Node", &object);
        assert_eq!(node_tuning(&mut report), NodeTuning::default());
        assert_eq!(slice_words(&mut report), (Said::Nothing, Said::Nothing));
        assert_eq!(global(&mut report), Said::Nothing);
        assert_eq!(report.problems, []);
    }
}

#[test]
fn a_service_is_tuned_by_its_annotations() {
    let object = object(&[
        ("routing", "spill"),
        ("levels", "node,cluster"),
        ("shed", "true"),
        ("global", "true"),
    ]);
    let mut report = Report::new("Service", &object);
    let tuning = tuning(Bearer::Service, &mut report);
    let wanted = Tuning {
        routing: Said::Valid(Mode::Spill),
        levels: Said::Valid(vec![Level::Node, Level::Cluster]),
        shed: Said::Valid(true),
        ..Tuning::default()
    };
    assert_eq!(tuning, wanted);
    assert_eq!(global(&mut report), Said::Valid(true));
    assert_eq!(report.problems, []);
}

#[test]
fn a_node_can_say_more() {
    let object = object(&[
        ("capacity", "unlimited"),
        ("capacity-factor", "0.5"),
        ("drain", "zone"),
    ]);
    let mut report = Report::new("Node", &object);
    let tuning = node_tuning(&mut report);
    assert_eq!(tuning.all.capacity, Said::Valid(Capacity::Unlimited));
    assert_eq!(tuning.capacity_percent.get().map(|one| one.get()), Some(50));
    let drain = Evacuation {
        levels: [Level::Zone].into(),
        ..Evacuation::default()
    };
    assert_eq!(tuning.drain, Said::Valid(drain));
    assert_eq!(report.problems, []);
}

#[test]
fn a_slice_has_words_of_its_own() {
    let object = object(&[("capacity", "10.1.1.5=100,*=80"), ("reach", "host")]);
    let mut report = Report::new("EndpointSlice", &object);
    let (capacity, reach) = slice_words(&mut report);
    assert_eq!(capacity.get().map(|capacity| capacity.of.len()), Some(1));
    assert_eq!(reach, Said::Valid(Reach::Host));
    assert_eq!(report.problems, []);
}

#[test]
fn a_bad_value_is_reported_and_costs_only_itself() {
    let object = object(&[("routing", "nearest"), ("capacity", "7")]);
    let mut report = Report::new("Service", &object);
    let tuning = tuning(Bearer::Service, &mut report);
    assert_eq!(tuning.routing, Said::Invalid);
    assert!(tuning.capacity.get().is_some());
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "Service shop/web: metadata.annotations[spillway.io/routing]: found \"nearest\"; \
             use prefer, spill or balance"
        ]
    );
}

#[test]
fn what_means_nothing_on_an_object_is_reported_with_what_does() {
    for (bearer, name) in [
        (Bearer::Service, "rooting"),
        (Bearer::Service, "drain"),
        (Bearer::Import, "global"),
        (Bearer::Node, "reach"),
        (Bearer::Slice, "routing"),
    ] {
        let object = object(&[(name, "true")]);
        let mut report = Report::new("Service", &object);
        has_ours(bearer, &mut report);
        let problem = &report.problems[0];
        assert_eq!(
            problem.field,
            format!("metadata.annotations[{PREFIX}{name}]")
        );
        assert_eq!(problem.remedy, bearer.remedy());
    }
}

#[test]
fn a_long_value_is_shown_in_part() {
    let object = object(&[("routing", &"é".repeat(1000))]);
    let mut report = Report::new("Service", &object);
    tuning(Bearer::Service, &mut report);
    let wrong = &report.problems[0].wrong;
    assert_eq!(*wrong, format!("found \"{}\"...", "é".repeat(SHOWN)));
}
