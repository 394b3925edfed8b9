//! Tests of the lab's own world: if these fail, nothing that other tests say of traffic counts.
//! Run them by `cargo lab test world`.

mod agent;
mod client;
mod ipvs;
mod load;
mod network;
mod objects;

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::harness::main(
        "world",
        lab::tests![
            network::two_clusters_start_in_seconds_and_leave_nothing_behind,
            network::a_name_that_is_taken_goes_to_the_newer,
            network::every_node_reaches_every_pod_by_both_families,
            network::the_outside_client_reaches_nodes_but_no_pods,
            network::an_announced_address_reaches_its_node,
            client::a_connection_stays_with_its_server,
            client::a_pod_that_stops_listening_refuses_new_clients_only,
            client::a_killed_pod_cuts_its_connections,
            client::a_pod_off_the_network_leaves_its_clients_waiting,
            client::udp_answers_come_from_the_chosen_source_port,
            client::a_thousand_clients_are_counted_in_seconds,
            ipvs::a_virtual_server_spreads_connections_over_pods_on_all_nodes,
            load::held_connections_and_flows_are_counted_exactly,
            load::a_schedule_is_followed_recorded_judged_and_drawn,
            load::a_cut_connection_is_recorded_and_replaced,
            objects::a_published_service_is_in_its_own_cluster_only,
            agent::an_agent_runs_as_the_manifests_say,
            agent::an_agent_ends_as_told,
            agent::an_agent_that_dies_at_once_is_reported_with_its_last_words,
        ],
    )
}
