//! The annotations of objects.

use super::Report;
use crate::config::annotations::{
    AFFINITY_YIELD, Annotation, Bearer, CAPACITY, CAPACITY_FACTOR, DRAIN, DRAIN_BACK, GLOBAL,
    LEVELS, PREFIX, REACH, REMOTE, ROUTING, SCHEDULER, SHED, SLICE_CAPACITY, WEIGHTS,
};
use crate::model::{NodeTuning, Reach, Said, SliceCapacity, Tuning};

/// As many characters of a value are shown: one may be 256 KiB long.
const SHOWN: usize = 80;

/// What a Service, `ServiceImport` or Node asks for. Also reports the annotations of the object
/// that mean nothing on a bearer of this kind.
pub fn tuning(bearer: Bearer, report: &mut Report<'_>) -> Tuning {
    if !has_ours(bearer, report) {
        return Tuning::default();
    }
    Tuning {
        routing: said(&ROUTING, report),
        weights: said(&WEIGHTS, report),
        levels: said(&LEVELS, report),
        capacity: said(&CAPACITY, report),
        remote: said(&REMOTE, report),
        scheduler: said(&SCHEDULER, report),
        shed: said(&SHED, report),
        affinity_yield: said(&AFFINITY_YIELD, report),
        drain_back: said(&DRAIN_BACK, report),
    }
}

/// What a Node asks for.
pub fn node_tuning(report: &mut Report<'_>) -> NodeTuning {
    NodeTuning {
        all: tuning(Bearer::Node, report),
        capacity_percent: said(&CAPACITY_FACTOR, report),
        drain: said(&DRAIN, report),
    }
}

/// `global` of a Service.
pub fn global(report: &mut Report<'_>) -> Said<bool> {
    said(&GLOBAL, report)
}

/// `capacity` and `reach` of an `EndpointSlice`.
pub fn slice_words(report: &mut Report<'_>) -> (Said<SliceCapacity>, Said<Reach>) {
    if !has_ours(Bearer::Slice, report) {
        return (Said::Nothing, Said::Nothing);
    }
    (said(&SLICE_CAPACITY, report), said(&REACH, report))
}

/// Whether the object has any annotation that is ours; reports those that mean nothing on it.
fn has_ours(bearer: Bearer, report: &mut Report<'_>) -> bool {
    let object = report.object;
    let Some(annotations) = &object.annotations else {
        return false;
    };
    let ours = || annotations.keys().filter(|name| name.starts_with(PREFIX));
    for name in ours().filter(|name| !bearer.can_have(name)) {
        let wrong = "means nothing here";
        report.add(path(name), wrong, bearer.remedy());
    }
    ours().next().is_some()
}

fn said<T>(annotation: &Annotation<T>, report: &mut Report<'_>) -> Said<T> {
    let object = report.object;
    let annotations = object.annotations.as_ref();
    let Some(text) = annotations.and_then(|annotations| annotations.get(annotation.name)) else {
        return Said::Nothing;
    };
    if let Some(value) = (annotation.read)(text) {
        return Said::Valid(value);
    }
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    let wrong = format_args!("found {shown:?}{more}");
    report.add(path(annotation.name), wrong, annotation.remedy);
    Said::Invalid
}

fn path(name: &str) -> String {
    format!("metadata.annotations[{name}]")
}

#[cfg(test)]
#[path = "annotations_tests.rs"]
mod tests;
