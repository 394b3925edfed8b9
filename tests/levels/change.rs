//! Annotations that change while connections come.

use anyhow::{Result, ensure};
use lab::world::Pod;
use serde_json::json;

use crate::bed::{BUDGET, Bed, CAPACITY, Pods, ROUTING, TCP, at_most, each_has, until};

const TWO_AND_TWO: Pods = Pods {
    node: 2,
    zone: 0,
    cluster: 2,
    remote: 0,
};

pub fn a_capacity_changed_live_takes_effect() -> Result<()> {
    let mut bed = Bed::new(TWO_AND_TWO)?;
    let web = bed.spilling("web", TCP, BUDGET)?;
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;
    let mut held = bed.hold(TCP, &web, 2 * 10)?;
    ensure!(held.now().of_all(&bed.node) == 20, "{}", held.now());

    // Less than they have: nothing is cut, but all that is new goes on.
    bed.east()?.annotate(&web, CAPACITY, Some("5"))?;
    until("new connections go farther", || {
        let more = bed.hold(TCP, &web, 4)?;
        Ok(more.spread.of_all(&bed.cluster) == 4)
    })?;
    ensure!(held.ping().answered() == 20, "{}", held.ping());

    // More again.
    bed.east()?.annotate(&web, CAPACITY, Some("40"))?;
    until("new connections stay near", || {
        let more = bed.hold(TCP, &web, 20)?;
        Ok(more.spread.of_all(&bed.node) == 20)
    })
}

/// On a Service, an `EndpointSlice` and a Node: what was said last stays true, and a Warning on the
/// object, a line in the log and a metric tell.
pub fn a_bad_annotation_leaves_the_last_good_one() -> Result<()> {
    let mut bed = Bed::new(TWO_AND_TWO)?;
    let all = |capacity| format!("*={capacity}");
    let by_service = bed.spilling("by-service", TCP, 10)?;
    let by_slice = bed.plain("by-slice", TCP)?.annotation(ROUTING, "spill");
    let by_slice = by_slice.slice_annotation(CAPACITY, &all("10"));
    let by_node = bed.plain("by-node", TCP)?.annotation(CAPACITY, "10");
    let services = [&by_service, &by_slice, &by_node];
    let east = bed.east()?;
    for service in services {
        east.publish(service, bed.own())?;
    }
    east.annotate_node("east-1", ROUTING, Some("spill"))?;
    bed.start_agent_and_warm_up(10)?;

    let east = bed.east()?;
    east.annotate(&by_service, CAPACITY, Some("plenty"))?;
    annotate_slice(&bed, "by-slice-ipv4", &all("heaps"))?;
    east.annotate_node("east-1", ROUTING, Some("anyhow"))?;
    for (kind, name, annotation, wrong) in [
        ("Service", "by-service", CAPACITY, "plenty"),
        ("EndpointSlice", "by-slice-ipv4", CAPACITY, "heaps"),
        ("Node", "east-1", ROUTING, "anyhow"),
    ] {
        is_told(&bed, kind, name, annotation, wrong)?;
    }
    for service in services {
        let mut held = bed.hold(TCP, service, 2 * 10)?;
        each_has(&held, &bed.node, 10..=10)?;
        held.add(bed.hold(TCP, service, 10)?);
        each_has(&held, &bed.node, 10..=at_most(10))?;
    }

    // And the next good one counts.
    east.annotate(&by_service, CAPACITY, Some("100"))?;
    annotate_slice(&bed, "by-slice-ipv4", &all("100"))?;
    for service in [&by_service, &by_slice] {
        until("the next good value is true", || {
            let more = bed.hold(TCP, service, 2 * 10 + 10)?;
            Ok(more.spread.of_all(&bed.node) == 2 * 10 + 10)
        })?;
    }
    east.annotate_node("east-1", ROUTING, Some("balance"))?;
    until("the next good value is true", || {
        let more = bed.hold(TCP, &by_node, 8)?;
        Ok(more.spread.of_all(&bed.cluster) == 4)
    })
}

/// What `kubectl annotate` does to a slice of the namespace `default`.
fn annotate_slice(bed: &Bed, name: &str, capacity: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {CAPACITY: capacity}}});
    let api = bed.east()?.api();
    api.patch("EndpointSlice", "default", name, patch)?;
    Ok(())
}

/// That people hear of a bad value.
fn is_told(bed: &Bed, kind: &str, name: &str, annotation: &str, wrong: &str) -> Result<()> {
    bed.agent()?.wait_log(wrong)?;
    until(&format!("an Event warns of the {kind} {name}"), || {
        let events = bed.east()?.api().list("events.events.k8s.io");
        Ok(events.iter().any(|event| {
            let note = event["note"].as_str().unwrap_or_default();
            event["type"] == "Warning"
                && event["reason"] == "BadAnnotation"
                && event["regarding"]["kind"] == kind
                && event["regarding"]["name"] == name
                && note.contains(annotation)
        }))
    })?;
    until("a metric counts it", || {
        let metrics = bed.agent()?.metrics()?;
        let metric = format!("spillway_object_problems_total{{kind=\"{kind}\"}}");
        Ok(metrics.get(&metric).is_some_and(|value| *value >= 1.0))
    })
}

/// An agent hears of another Node only if that has the label.
pub fn what_another_node_says_of_its_pods_counts_if_it_is_known_to_all() -> Result<()> {
    const KNOWN_TO_ALL: &str = "spillway.io/known-to-all";
    let mut bed = Bed::new(Pods {
        node: 0,
        zone: 2,
        cluster: 2,
        remote: 0,
    })?;
    bed.east()?
        .annotate_node("east-2", CAPACITY, Some(&BUDGET.to_string()))?;
    let web = bed.plain("web", TCP)?.annotation(ROUTING, "spill");
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent()?;
    let held = bed.hold(TCP, &web, 2 * BUDGET + 10)?;
    ensure!(held.now().of_all(&bed.cluster) == 0, "{}", held.now());

    let label = |value| bed.east()?.label_node("east-2", KNOWN_TO_ALL, value);
    label(Some("true"))?;
    until("its pods are full", || {
        let more = bed.hold(TCP, &web, 4)?;
        Ok(more.spread.of_all(&bed.cluster) == 4)
    })?;
    label(None)?;
    until("its pods have room for all again", || {
        let more = bed.hold(TCP, &web, 4)?;
        Ok(more.spread.of_all(&bed.zone) == 4)
    })
}

pub fn a_drained_level_is_left_and_comes_back() -> Result<()> {
    const DRAIN: &str = "spillway.io/drain";
    let mut bed = Bed::new(TWO_AND_TWO)?;
    let web = bed.spilling("web", TCP, BUDGET)?;
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;
    let mut held = bed.hold(TCP, &web, 10)?;
    ensure!(held.now().of_all(&bed.node) == 10, "{}", held.now());

    let goes_to = |pods: &[Pod]| {
        until("new connections go where they should", || {
            let more = bed.hold(TCP, &web, 10)?;
            Ok(more.spread.of_all(pods) == 10)
        })
    };
    bed.east()?.annotate_node("east-1", DRAIN, Some("node"))?;
    goes_to(&bed.cluster)?;
    ensure!(held.ping().answered() == 10, "the open ones were cut");
    // Where nothing else serves, a drained level does.
    bed.east()?.set_endpoints(&web, &bed.node)?;
    goes_to(&bed.node)?;
    bed.east()?.set_endpoints(&web, bed.own())?;
    goes_to(&bed.cluster)?;
    bed.east()?.annotate_node("east-1", DRAIN, None)?;
    goes_to(&bed.node)
}
