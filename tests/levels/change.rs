//! Annotations that change while connections come.

use anyhow::{Result, ensure};
use lab::world::Pod;

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

pub fn a_bad_annotation_leaves_the_last_good_one() -> Result<()> {
    let mut bed = Bed::new(TWO_AND_TWO)?;
    let web = bed.spilling("web", TCP, 10)?;
    bed.east()?.publish(&web, bed.own())?;
    bed.start_agent_and_warm_up(10)?;
    bed.east()?.annotate(&web, CAPACITY, Some("plenty"))?;
    bed.agent()?.wait_log("plenty")?;
    until("an Event warns of it", || {
        let events = bed.east()?.api().list("events.events.k8s.io");
        Ok(events.iter().any(|event| {
            event["type"] == "Warning"
                && event["regarding"]["name"] == "web"
                && event.to_string().contains("capacity")
        }))
    })?;
    until("a metric counts it", || {
        let metrics = bed.agent()?.metrics()?;
        Ok(metrics
            .iter()
            .any(|(name, value)| name.starts_with("spillway_object_problems") && *value >= 1.0))
    })?;
    let held = bed.hold(TCP, &web, 2 * 10 + 10)?;
    each_has(&held, &bed.node, 10..=at_most(10))?;
    // And the next good one counts.
    bed.east()?.annotate(&web, CAPACITY, Some("100"))?;
    until("the next good value is true", || {
        let more = bed.hold(TCP, &web, 20)?;
        Ok(more.spread.of_all(&bed.node) == 20)
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
