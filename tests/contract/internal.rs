//! Clients in the cluster: `internalTrafficPolicy`, terminating pods and hints.

use anyhow::Result;
use lab::traffic::Failure;
use lab::world::Pod;
use lab::world::objects::Endpoint;

use crate::bed::{Bed, NODE_PORT, fails, served_by};

/// A pod gets those of its node, even ones on their way out; without any it gets no answer, where
/// others have some, and is refused where nobody has. The policy is not for node ports.
pub fn under_policy_local_a_pod_gets_the_pods_of_its_node() -> Result<()> {
    let bed = Bed::start()?;
    let [near, far] = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?.internal_local();
    bed.cluster()?.publish(&web, [near, far])?;
    let ways = [web.v4(80), web.v6(80)];
    for to in ways {
        served_by(&bed.client, to, &[near])?;
        served_by(bed.node()?, to, &[near])?;
    }
    served_by(&bed.client, bed.node()?.v4(NODE_PORT), &[near, far])?;

    let leaving = [Endpoint::from(near).terminating(), Endpoint::from(far)];
    bed.cluster()?.set_endpoints(&web, leaving)?;
    // The node port shows that the change is there.
    served_by(&bed.client, bed.node()?.v4(NODE_PORT), &[far])?;
    for to in ways {
        served_by(&bed.client, to, &[near])?;
    }

    bed.cluster()?.set_endpoints(&web, [far])?;
    for to in ways {
        fails(&bed.client, to, &Failure::TimedOut)?;
        fails(bed.node()?, to, &Failure::TimedOut)?;
    }
    bed.cluster()?.set_endpoints(&web, Vec::<&Pod>::new())?;
    for to in ways {
        fails(&bed.client, to, &Failure::Refused)?;
    }
    Ok(())
}

/// Pods that are meant for another zone get nothing, until one pod is meant for nobody.
pub fn hints_keep_traffic_in_the_zone() -> Result<()> {
    let bed = Bed::start()?;
    let web = bed.web()?;
    let to = web.v4(80);
    let all: Vec<&Pod> = bed.pods.iter().collect();
    let hinted = || {
        all.iter()
            .map(|pod| Endpoint::from(pod).hint(&pod.node.zone))
    };
    bed.cluster()?.publish(&web, hinted())?;
    served_by(&bed.client, to, &all[..2])?;
    let without_one = hinted().take(2).chain([Endpoint::from(all[2])]);
    bed.cluster()?.set_endpoints(&web, without_one)?;
    served_by(&bed.client, to, &all)
}
