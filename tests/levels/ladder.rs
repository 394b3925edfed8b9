//! Ladders of four levels and more, of pods that are not alike: every pod of a level is full, each to
//! its own capacity, before the next level gets a connection.

use anyhow::{Context, Result, ensure};
use lab::traffic::Held;
use lab::world::objects::Service;
use lab::world::{Place, Pod};

use crate::bed::{Bed, CAPACITY, GLOBAL, Pods, REMOTE, ROUTING, TCP};

/// What the two pods of a level accept. There is no head-room at capacities as small as these, so a
/// level takes just this.
const ACCEPT: [usize; 2] = [8, 16];
const LEVELS: &str = "spillway.io/levels";

/// Two pods at each distance, four of them abroad: two in `north`, two in `west`.
const TWO_EACH: Pods = Pods {
    node: 2,
    zone: 2,
    cluster: 2,
    remote: 4,
};

pub fn four_five_and_six_levels_fill_one_after_the_other() -> Result<()> {
    let mut bed = Bed::new(TWO_EACH)?;
    let four = publish(&bed, "four", &["west"], None)?;
    let five = publish(&bed, "five", &["north", "west"], None)?;
    let own = Some("self,node,zone,cluster,remote");
    let six = publish(&bed, "six", &["north", "west"], own)?;
    bed.start_agent_and_warm_up(ACCEPT[0])?;

    let (node, north, west) = (&bed.node, &bed.remote[..2], &bed.remote[2..]);
    let near = [node.as_slice(), &bed.zone, &bed.cluster];
    climb(&bed.client, &four, &[&near[..], &[west]].concat()).context("four levels")?;
    climb(&bed.client, &five, &[&near[..], &[north, west]].concat()).context("five levels")?;
    // To one of the near pods, the other one is the nearest after itself.
    let near = [&node[..1], &node[1..], &bed.zone, &bed.cluster];
    climb(&node[0], &six, &[&near[..], &[north, west]].concat()).context("six levels")
}

/// A Service over the pods of this cluster and of others, which come in this order.
fn publish(bed: &Bed, name: &str, clusters: &[&str], levels: Option<&str>) -> Result<Service> {
    let east = bed.east()?;
    let mut service = bed
        .plain(name, TCP)?
        .annotation(ROUTING, "spill")
        .annotation(GLOBAL, "true")
        .annotation(REMOTE, &format!("fallback:{}", clusters.join(",")))
        .slice_annotation(CAPACITY, &capacities(bed.own()));
    if let Some(levels) = levels {
        service = service.annotation(LEVELS, levels);
    }
    let import = east.import(&service);
    for cluster in clusters {
        let pods = match *cluster {
            "north" => &bed.remote[..2],
            _ => &bed.remote[2..],
        };
        let import = import
            .clone()
            .slice_annotation(CAPACITY, &capacities(pods.iter()));
        east.publish_import(&import, cluster, pods)?;
    }
    east.publish(&service, bed.own())?;
    Ok(service)
}

/// What a slice says of its endpoints, one by one.
fn capacities<'a>(pods: impl Iterator<Item = &'a Pod>) -> String {
    let each = pods.map(|pod| format!("{}={}", pod.addresses.v4, accepts(pod)));
    each.collect::<Vec<_>>().join(",")
}

/// Of two neighbours, one accepts more.
fn accepts(pod: &Pod) -> usize {
    let [.., last] = pod.addresses.v4.octets();
    ACCEPT[usize::from(last % 2)]
}

/// Fills level after level, half of it at a time.
fn climb(client: &Pod, service: &Service, levels: &[&[Pod]]) -> Result<()> {
    let more = |count| client.hold_over(TCP.to(service), TCP.0, count, 2);
    let mut held = Held::default();
    for (place, level) in levels.iter().enumerate() {
        let (nearer, farther) = (&levels[..place], &levels[place + 1..]);
        let room: usize = level.iter().map(accepts).sum();
        for part in [room / 2, room] {
            held.add(more(room / 2)?);
            let now = held.now();
            let told = || format!("{part} of {room} at level {place}: {now}");
            for pod in nearer.iter().copied().flatten() {
                ensure!(now.of(&pod.name) == accepts(pod), "{}", told());
            }
            for pod in farther.iter().copied().flatten() {
                ensure!(now.of(&pod.name) == 0, "{}", told());
            }
            // In proportion; of two that are as full as each other, one is next.
            for pod in *level {
                let fair = accepts(pod) * part / room;
                let off = usize::from(part < room);
                ensure!(now.of(&pod.name).abs_diff(fair) <= off, "{}", told());
            }
        }
    }
    // Beyond all that there is, nobody is refused.
    held.add(more(5)?);
    ensure!(held.spread.failed() == 0, "{}", held.spread);
    ensure!(held.ping().failed() == 0, "one was cut");
    Ok(())
}
