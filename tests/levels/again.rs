//! Pods that go and come back at the same address. The kernel keeps the counters of a destination
//! that is gone as long as connections refer to it, and one that comes back has them again (T9).

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Held, Protocol, Spread};
use lab::world::objects::Service;
use lab::world::{Place, Pod, Setup};
use spillway::kernel::ipvs::DestinationEntry;

use crate::bed::{BUDGET, Bed, Pods, WAYS, Way, at_most, each_has, takes, until};

const TWO_AND_TWO: Pods = Pods {
    node: 2,
    zone: 0,
    cluster: 2,
    remote: 0,
};

/// Whether the kernel ends the connections of a destination that is deleted.
const EXPIRE: &str = "/proc/sys/net/ipv4/vs/expire_nodest_conn";

/// T9 as things are by default: the destination is only drained, and starts slowly.
pub fn a_pod_that_comes_back_is_not_taken_for_full() -> Result<()> {
    let mut bed = Bed::new(TWO_AND_TWO)?;
    // One each way would not do: the same pods' addresses would stay behind the UDP Services.
    let services = [("web-4", WAYS[0]), ("web-6", WAYS[1])].map(|(name, way)| -> Result<_> {
        let web = bed.spilling(name, way, BUDGET)?;
        bed.east()?.publish(&web, bed.own())?;
        Ok((way, web))
    });
    let services = services.into_iter().collect::<Result<Vec<_>>>()?;
    bed.start_agent_and_warm_up(BUDGET)?;
    for (way, web) in &services {
        fill_with_what_is_over(&bed, *way, web)?;
        let address = |pod: &Pod| match way.to(web) {
            SocketAddr::V4(_) => pod.v4().ip(),
            SocketAddr::V6(_) => pod.v6().ip(),
        };
        bed.east()?.set_endpoints(web, &bed.cluster)?;
        bed.until_programmed("the near pods are gone", |destinations| {
            !bed.node.iter().any(|pod| takes(destinations, address(pod)))
        })?;
        bed.east()?.set_endpoints(web, bed.own())?;
        bed.until_programmed("the near pods are back", |destinations| {
            bed.node.iter().all(|pod| takes(destinations, address(pod)))
        })?;
        // Back, they may start slowly, but they do not stay shut.
        let mut held = bed.hold(*way, web, 0)?;
        until("the near pods take what they can", || {
            held.close(BUDGET);
            held.add(bed.hold(*way, web, BUDGET)?);
            Ok(held.now().of_all(&bed.node) == BUDGET)
        })?;
    }
    Ok(())
}

/// T9 with destinations that are deleted: by an agent that drains no longer than a second, and
/// without slow start, so that whatever might keep connections from a pod that is back is what it had
/// before.
pub fn a_pod_that_was_deleted_comes_back_with_all_its_room() -> Result<()> {
    let mut bed = Bed::new(TWO_AND_TWO)?;
    let services = bed.one_each_way(BUDGET)?;
    bed.start_agent_with(&Setup::default().config(
        "slowStartSeconds: 30",
        "slowStartSeconds: 0\n  drainSeconds: 1",
    ))?;
    // The kernel ends the connections of what is deleted, flows of silent clients, too.
    let remembered = go_and_come_back(&bed, &services)?;
    ensure!(remembered == 0, "{remembered} are remembered");

    // Kernels before 5.9 keep them, as does this one if it is told to: there, a destination that
    // comes back has its old counters. (A flow that is kept is load, so UDP has no part in this.)
    let (tcp, udp) = services.split_at(2);
    for (_, web) in udp {
        let api = bed.east()?.api();
        api.delete("Service", web.in_namespace(), web.name())?;
    }
    bed.east_1()?.netns().enter(|| fs::write(EXPIRE, "0"))??;
    let remembered = go_and_come_back(&bed, tcp)?;
    ensure!(remembered >= 2 * BUDGET, "{remembered} are remembered");
    Ok(())
}

/// Fills the near pods, has them deleted and added again, and insists that new connections find them
/// empty. Returns how many of its old ones a near pod still has when it is back.
fn go_and_come_back(bed: &Bed, services: &[(Way, Service)]) -> Result<usize> {
    // Kept, so that no later flow gets the port of one that the kernel still knows.
    let mut flows = Vec::new();
    for (way, web) in services {
        match way.0 {
            Protocol::Udp => flows.push(fill_with_flows(bed, *way, web)?),
            Protocol::Tcp | Protocol::Sctp => fill_with_what_is_over(bed, *way, web)?,
        }
    }
    let budget = u32::try_from(BUDGET)?;
    // With head-room for one more.
    let room_for_all = |it: &DestinationEntry| it.inactive + budget..=it.inactive + budget + 1;
    bed.until_programmed("the agent has counted what there is", |destinations| {
        near(bed, destinations).all(|it| {
            let upper = it.destination.upper_threshold;
            // What is over leaves all of a budget; flows fill it.
            room_for_all(it).contains(&upper) || upper == it.inactive
        })
    })?;
    for (_, web) in services {
        bed.east()?.set_endpoints(web, &bed.cluster)?;
    }
    bed.until_programmed("the near pods are deleted", |destinations| {
        near(bed, destinations).next().is_none()
    })?;
    for (_, web) in services {
        bed.east()?.set_endpoints(web, bed.own())?;
    }
    let back = services.len() * bed.node.len();
    let (mut remembered, mut most) = (None, 0);
    bed.until_programmed(
        "the near pods are back, open for a budget",
        |destinations| {
            let near = || near(bed, destinations);
            remembered = near().map(|it| it.inactive).min();
            let room = near().map(|it| it.destination.upper_threshold.saturating_sub(it.inactive));
            most = room.chain([most]).max().unwrap_or(0);
            let open =
                near().filter(|it| room_for_all(it).contains(&it.destination.upper_threshold));
            open.count() == back
        },
    )?;
    ensure!(most <= budget + 1, "one was open for {most}");
    for (way, web) in services {
        let mut held = bed.hold(*way, web, bed.node.len() * BUDGET)?;
        each_has(&held, &bed.node, BUDGET..=BUDGET).with_context(|| format!("{way:?}"))?;
        // That is all the room they have.
        held.add(bed.hold(*way, web, bed.node.len() * BUDGET)?);
        each_has(&held, &bed.node, BUDGET..=at_most(BUDGET))?;
    }
    Ok(usize::try_from(remembered.context("a near pod")?)?)
}

/// What is over counts for two minutes, and so each near pod gets its budget twice over. (Some go on
/// where they come faster than the agent looks.)
fn fill_with_what_is_over(bed: &Bed, way: Way, web: &Service) -> Result<()> {
    let mut spread = Spread::default();
    until("each near pod had its budget twice over", || {
        spread.add(&bed.client.spread(way.to(web), way.0, BUDGET, 1)?);
        let mut near = bed.node.iter();
        Ok(near.all(|pod| spread.of(&pod.name) >= 2 * BUDGET))
    })?;
    ensure!(spread.failed() == 0, "{way:?}: {spread}");
    Ok(())
}

/// Flows that fill the near pods, of clients that are silent then; each far pod has one, too, since it
/// was idle.
fn fill_with_flows(bed: &Bed, way: Way, web: &Service) -> Result<Held> {
    let flows = bed.hold(way, web, bed.node.len() * BUDGET + bed.cluster.len())?;
    each_has(&flows, &bed.node, BUDGET..=BUDGET)?;
    Ok(flows)
}

/// What the kernel was told of the near pods.
fn near<'a>(
    bed: &'a Bed,
    destinations: &'a [DestinationEntry],
) -> impl Iterator<Item = &'a DestinationEntry> {
    let is_near = |ip| {
        let mut pods = bed.node.iter();
        pods.any(|pod| pod.addresses.both().contains(&ip))
    };
    let all = destinations.iter();
    all.filter(move |it| is_near(it.destination.ip))
}
