//! What spilling does without the agent, and when the agent comes back.

use anyhow::{Context, Result, ensure};

use crate::bed::{BUDGET, Bed, Pods, at_most, each_has};

pub fn a_kernel_without_its_agent_goes_on_spilling() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 2,
        zone: 0,
        cluster: 4,
        remote: 0,
    })?;
    let services = bed.one_each_way(BUDGET)?;
    bed.start_agent_and_warm_up(BUDGET)?;
    let mut all = Vec::new();
    for (way, web) in &services {
        all.push((*way, web, bed.hold(*way, web, 2 * BUDGET + 20)?));
    }
    for (way, _, held) in &all {
        each_has(held, &bed.node, BUDGET..=at_most(BUDGET)).with_context(|| format!("{way:?}"))?;
    }

    // With the agent, without it, and with the next one, new connections do the same.
    bed.agent.take().context("an agent")?.kill9()?;
    for (way, web, held) in &mut all {
        held.add(bed.hold(*way, web, 20)?);
        each_has(held, &bed.node, BUDGET..=at_most(BUDGET))
            .with_context(|| format!("{way:?} without an agent"))?;
    }
    let before: Vec<_> = all.iter().map(|(.., held)| bed.per_level(held)).collect();
    bed.start_agent()?;
    for ((way, web, held), before) in all.iter_mut().zip(before) {
        ensure!(held.ping().failed() == 0, "{way:?}: {}", held.ping());
        let [_, _, far, _] = bed.per_level(held);
        ensure!(
            far == before[2],
            "{way:?}: a restart moves nothing: {far} of {before:?}"
        );
        held.add(bed.hold(*way, web, 20)?);
        each_has(held, &bed.node, BUDGET..=at_most(BUDGET))
            .with_context(|| format!("{way:?} with the next agent"))?;
    }
    Ok(())
}
