//! Services that come, change and go, and what their clients have of it.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::traffic::{Failure, Protocol};
use lab::world::objects::{Endpoint, Port, Service};
use lab::world::{ECHO_PORT, Place, Pod};
use serde_json::json;

use crate::bed::{BALANCER, Bed, NODE_PORT, fails, served_by, unserved};

/// e2e: "should be able to up and down services", "should work after the service has been
/// recreated", "should be updated after adding or deleting ports".
pub fn services_come_change_and_go_and_leave_the_others_alone() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let [one, other, _] = [&bed.pods[0], &bed.pods[1], &bed.pods[2]];
    let port = |name, number| Port::tcp(name, number).to(ECHO_PORT);
    let web = cluster.service("web", [port("http", 80)]);
    let stays = cluster.service("stays", [port("http", 80)]);
    cluster.publish(&web, [one])?;
    cluster.publish(&stays, [other])?;
    served_by(&bed.client, web.v4(80), &[one])?;
    served_by(&bed.client, stays.v4(80), &[other])?;

    let two_ports = web.clone().with_ports([port("http", 80), port("more", 81)]);
    cluster.publish(&two_ports, [one])?;
    served_by(&bed.client, web.v4(81), &[one])?;
    cluster.publish(&web, [one])?;
    fails(&bed.client, web.v4(81), &Failure::Refused)?;
    served_by(&bed.client, web.v4(80), &[one])?;

    delete(&bed, &web)?;
    unserved(&bed.client, web.v4(80))?;
    served_by(&bed.client, stays.v4(80), &[other])?;
    cluster.publish(&web, [one, other])?;
    served_by(&bed.client, web.v4(80), &[one, other])?;
    served_by(&bed.client, stays.v4(80), &[other])
}

/// e2e: the changes of type from and to `ExternalName`, `service.kubernetes.io/service-proxy-name`,
/// `service.kubernetes.io/headless`.
pub fn a_service_that_is_not_for_a_proxy_is_not_served() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let api = cluster.api();
    let pod = [&bed.pods[0]];
    let web = bed.web()?;
    cluster.publish(&web, pod)?;
    let node_port = bed.node()?.v4(NODE_PORT);
    served_by(&bed.client, web.v4(80), &pod)?;
    served_by(&bed.client, node_port, &pod)?;

    let patch = |patch| api.patch("services", web.in_namespace(), web.name(), patch);
    let label = |label: &str, value: serde_json::Value| {
        let key = format!("service.kubernetes.io/{label}");
        json!({"metadata": {"labels": {key: value}}})
    };
    for (away, back) in [
        (
            label("service-proxy-name", json!("other")),
            label("service-proxy-name", json!(null)),
        ),
        (
            json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
            json!({"spec": {"type": "LoadBalancer"}}),
        ),
    ] {
        patch(away)?;
        unserved(&bed.client, web.v4(80))?;
        unserved(&bed.client, node_port)?;
        patch(back)?;
        served_by(&bed.client, web.v4(80), &pod)?;
        served_by(&bed.client, node_port, &pod)?;
    }

    // The other label says it of the endpoints.
    let slice = |patch| api.patch("endpointslices", "default", "web-ipv4", patch);
    slice(label("headless", json!("")))?;
    unserved(&bed.client, web.v4(80))?;
    served_by(&bed.client, web.v6(80), &pod)?;
    slice(label("headless", json!(null)))?;
    served_by(&bed.client, web.v4(80), &pod)
}

/// e2e: "update nodePort", "should be able to change the type and ports of a TCP service".
pub fn node_ports_come_change_and_go() -> Result<()> {
    const OTHER_PORT: u16 = NODE_PORT + 1;
    let bed = Bed::start()?;
    let (cluster, outside) = (bed.cluster()?, bed.world.outside());
    let pod = [&bed.pods[1]];
    let port = || Port::tcp("http", 80).to(ECHO_PORT);
    let cluster_ip = cluster.service("web", [port()]).dual_stack();
    let on_nodes = |number| cluster_ip.clone().with_ports([port().node_port(number)]);
    let balanced = BALANCER
        .into_iter()
        .fold(on_nodes(OTHER_PORT), Service::load_balancer);
    let unexposed = BALANCER
        .into_iter()
        .fold(cluster_ip.clone(), Service::load_balancer)
        .spec("allocateLoadBalancerNodePorts", false.into());
    let node = bed.node()?;
    let at = |number| [node.v4(number), node.v6(number)];
    let announced = BALANCER.map(|ip| (ip, 80).into());
    let nowhere: [SocketAddr; 0] = [];
    for (service, open, closed) in [
        (
            &on_nodes(NODE_PORT),
            &at(NODE_PORT)[..],
            &at(OTHER_PORT)[..],
        ),
        (&on_nodes(OTHER_PORT), &at(OTHER_PORT), &at(NODE_PORT)),
        (&balanced, &announced, &at(NODE_PORT)),
        (&unexposed, &announced, &at(OTHER_PORT)),
        (&on_nodes(NODE_PORT), &at(NODE_PORT), &announced),
        (&cluster_ip, &nowhere, &at(NODE_PORT)),
    ] {
        cluster.publish(service, pod)?;
        for to in open {
            served_by(outside, *to, &pod)?;
        }
        for to in closed {
            unserved(outside, *to)?;
        }
        served_by(&bed.client, cluster_ip.v4(80), &pod)?;
    }
    Ok(())
}

/// e2e: "terminating and unready endpoints", "fallback to terminating endpoints when there are no
/// ready endpoints with externaltrafficPolicy=Cluster", "should be rejected when no endpoints exist";
/// with publishNotReadyAddresses: "should create endpoints for unready pods".
pub fn what_is_ready_serves_and_without_any_clients_are_refused() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let outside = bed.world.outside();
    let [one, other] = [&bed.pods[0], &bed.pods[1]];
    let web = bed.web()?;
    let virtual_ones = [web.v4(80), web.v6(80)];
    let node_ports = [bed.node()?.v4(NODE_PORT), bed.node()?.v6(NODE_PORT)];
    let serves = |pods: &[&Pod]| -> Result<()> {
        for to in virtual_ones {
            served_by(&bed.client, to, pods)?;
        }
        for to in node_ports {
            served_by(outside, to, pods)?;
        }
        Ok(())
    };
    cluster.publish(
        &web,
        [Endpoint::from(one), Endpoint::from(other).not_ready()],
    )?;
    serves(&[one])?;
    let leaving = [one, other].map(|pod| Endpoint::from(pod).terminating());
    cluster.set_endpoints(&web, leaving)?;
    serves(&[one, other])?;
    let gone = [
        Endpoint::from(one).terminated(),
        Endpoint::from(other).not_ready(),
    ];
    cluster.set_endpoints(&web, gone.clone())?;
    for to in virtual_ones {
        fails(&bed.client, to, &Failure::Refused)?;
    }
    for to in node_ports {
        fails(outside, to, &Failure::Refused)?;
    }
    let tolerant = web.clone().spec("publishNotReadyAddresses", true.into());
    cluster.publish(&tolerant, gone.map(Endpoint::published))?;
    serves(&[one, other])?;
    cluster.publish(&web, [other])?;
    serves(&[other])
}

/// Connections that are open stay so through all that happens to their Service, even its end.
pub fn connections_outlive_changes_and_the_service_itself() -> Result<()> {
    let bed = Bed::start()?;
    let cluster = bed.cluster()?;
    let [one, other, third] = [&bed.pods[0], &bed.pods[1], &bed.pods[2]];
    let port = |name, number| Port::tcp(name, number).to(ECHO_PORT);
    let web = cluster.service("web", [port("http", 80)]);
    cluster.publish(&web, [one, other])?;
    served_by(&bed.client, web.v4(80), &[one, other])?;
    let mut held = bed.client.hold_over(web.v4(80), Protocol::Tcp, 20, 5)?;
    let mut intact = |what: &str| -> Result<()> {
        let answers = held.ping();
        ensure!(answers.failed() == 0, "{what}: {answers}");
        Ok(())
    };
    intact("at first")?;

    cluster.set_endpoints(&web, [one, other, third])?;
    served_by(&bed.client, web.v4(80), &[one, other, third])?;
    intact("an endpoint more")?;
    cluster.set_endpoints(&web, [other, third])?;
    served_by(&bed.client, web.v4(80), &[other, third])?;
    intact("an endpoint less")?;
    let two_ports = web.clone().with_ports([port("http", 80), port("more", 81)]);
    cluster.publish(&two_ports, [other, third])?;
    served_by(&bed.client, web.v4(81), &[other, third])?;
    intact("a port more")?;
    cluster.publish(&web.clone().affinity(60), [other, third])?;
    sticks(&bed, &web)?;
    intact("with affinity")?;
    cluster.publish(&web, [other, third])?;
    served_by(&bed.client, web.v4(80), &[other, third])?;
    intact("without affinity")?;

    delete(&bed, &web)?;
    fails(&bed.client, web.v4(80), &Failure::Refused)?;
    intact("without the Service")
}

/// Asks until a client always gets the same pod.
fn sticks(bed: &Bed, web: &Service) -> Result<()> {
    crate::bed::until("the client stays with one pod", || {
        let spread = bed.client.spread(web.v4(80), Protocol::Tcp, 15, 5)?;
        Ok(spread.answers.len() == 1 && spread.failed() == 0)
    })
}

fn delete(bed: &Bed, service: &Service) -> Result<()> {
    let (namespace, name) = (service.in_namespace(), service.name());
    bed.cluster()?.api().delete("services", namespace, name)?;
    Ok(())
}
