//! Level `self`: pods that call the service that they belong to.

use anyhow::{Result, ensure};
use lab::world::objects::Service;
use lab::world::{Place, Pod};

use crate::bed::{BUDGET, Bed, Pods, TCP, WAYS, Way, at_most};

const LEVELS: &str = "spillway.io/levels";
const OWN: &str = "self,node,zone,cluster,remote";

fn bed() -> Result<Bed> {
    Bed::new(Pods {
        node: 2,
        zone: 0,
        cluster: 1,
        remote: 0,
    })
}

/// How many connections of a pod's own end at itself, and how many at all.
fn to_itself(pod: &Pod, way: Way, service: &Service, count: usize) -> Result<(usize, usize)> {
    let held = pod.hold_over(way.to(service), way.0, count, 4)?;
    ensure!(held.spread.failed() == 0, "{way:?}: {}", held.spread);
    let now = held.now();
    Ok((now.of(&pod.name), now.answered()))
}

/// A pod gets itself and nobody else, and for clients that are no endpoints nothing changes.
pub fn a_pod_that_calls_its_own_service_gets_itself() -> Result<()> {
    let mut bed = bed()?;
    let services = WAYS
        .into_iter()
        .enumerate()
        .map(|(index, way)| {
            let service = bed.plain(&format!("web-{index}"), way)?;
            let service = service.annotation(LEVELS, OWN);
            bed.east()?.publish(&service, bed.own())?;
            Ok((way, service))
        })
        .collect::<Result<Vec<_>>>()?;
    bed.start_agent()?;
    for (way, service) in &services {
        for pod in &bed.node {
            let (own, all) = to_itself(pod, *way, service, 20)?;
            ensure!(
                (own, all) == (20, 20),
                "{way:?} {}: {own} of {all}",
                pod.name
            );
        }
        let held = bed.hold(*way, service, 30)?;
        let now = held.now();
        for pod in bed.own() {
            ensure!(now.of(&pod.name) > 0, "{way:?}: {now}");
        }
    }
    Ok(())
}

/// A pod that is full itself sends the rest to the next level.
pub fn a_pod_that_is_full_itself_goes_to_others() -> Result<()> {
    let mut bed = bed()?;
    let service = bed.spilling("web", TCP, BUDGET)?.annotation(LEVELS, OWN);
    bed.east()?.publish(&service, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;
    let (own, all) = to_itself(&bed.node[0], TCP, &service, BUDGET + 15)?;
    ensure!(all == BUDGET + 15, "{own} of {all}");
    ensure!((BUDGET..=at_most(BUDGET)).contains(&own), "{own} of {all}");
    Ok(())
}
