//! Connections that went far for want of room, and last.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::traffic::Held;

use crate::bed::{BUDGET, Bed, Pods, TCP, until};

/// So many connections a second are ended at most, and as many at once.
const PER_SECOND: u64 = 5;
/// No connection is ended that is younger.
const OLD: Duration = Duration::from_secs(30);

/// The near pod is full, the rest goes far. When most near connections end, the far ones come back,
/// a few a second, and only as many as leave the near pod room.
pub fn old_connections_come_back_when_near_pods_have_room() -> Result<()> {
    let mut bed = Bed::new(Pods {
        node: 1,
        zone: 0,
        cluster: 2,
        remote: 0,
    })?;
    let service = bed.spilling("web", TCP, BUDGET)?;
    let service = service.annotation("spillway.io/drain-back", "true");
    bed.east()?.publish(&service, bed.own())?;
    bed.start_agent_and_warm_up(BUDGET)?;

    // The last of them is younger than this.
    let spilled = Instant::now();
    let mut held = bed.hold(TCP, &service, BUDGET + 15)?;
    let far = |held: &Held| held.now().of_all(&bed.cluster);
    let gone_far = far(&held);
    ensure!(gone_far >= 10, "{}", held.now());
    held.close(BUDGET - 5);

    let mut ended = 0;
    let mut first = None;
    until("enough far connections have come back", || {
        let cut = held.keep_alive().failed();
        if cut > 0 {
            let begun = *first.get_or_insert_with(Instant::now);
            ended += cut;
            let most = (begun.elapsed().as_secs() + 2) * PER_SECOND;
            ensure!(
                ended as u64 <= most,
                "{ended} ended after {:?}",
                begun.elapsed()
            );
            // What a client does whose connection broke.
            held.add(bed.hold(TCP, &service, cut)?);
        }
        Ok(held.now().of_all(&bed.node) * 4 >= BUDGET * 3 - 4)
    })?;
    let first = first.map(|at| at.duration_since(spilled));
    ensure!(first.is_some_and(|after| after >= OLD), "after {first:?}");
    ensure!(far(&held) < gone_far, "{}", held.now());
    tracing::info!(
        "{gone_far} far connections, {ended} came back: {}",
        held.now()
    );
    Ok(())
}
