//! The agent with real packets: given this cluster, this traffic goes there. Run by
//! `cargo lab test agent`.

mod audit;
mod bed;
mod faults;
mod migrate;
mod objects;
mod restart;
mod routing;
mod stream;
mod takeover;

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::harness::main(
        "agent",
        lab::tests![
            routing::connections_divide_by_weight_and_go_elsewhere_when_the_near_pod_is_gone,
            routing::a_pod_reaches_itself_through_its_service,
            routing::an_outside_client_of_a_node_port_is_answered_from_any_node,
            routing::a_service_without_endpoints_refuses_and_serves_with_the_first,
            routing::a_client_with_affinity_stays_with_its_pod,
            routing::sctp_is_routed,
            restart::killed_in_the_middle_of_a_large_sync_it_converges_and_cuts_no_connection,
            restart::connections_outlive_the_agent_and_a_removed_endpoint,
            restart::draining_connections_of_a_service_without_endpoints_outlive_a_restart,
            restart::clients_with_affinity_come_back_to_their_pods_after_a_restart,
            restart::what_another_program_changed_is_put_right_by_a_restart,
            restart::while_the_api_server_is_gone_the_last_state_serves,
            objects::bad_objects_are_named_and_counted_and_the_rest_works_on,
            objects::an_unknown_field_is_named_once_and_counted_and_no_problem,
            objects::cleanup_takes_out_what_is_ours_and_nothing_else,
            objects::strangers_in_the_kernel_are_left_alone,
            faults::a_refused_virtual_address_stops_no_other_service,
            faults::on_a_node_without_ipv6_services_are_served_over_ipv4,
            faults::a_refused_endpoint_stops_no_other,
            faults::what_somebody_flushes_is_put_back,
            faults::a_link_that_somebody_deletes_comes_back_with_the_next_service,
            takeover::from_kube_proxy_no_connection_is_cut_and_nothing_of_it_is_left,
            takeover::back_to_kube_proxy_no_connection_is_cut_either,
            migrate::a_udp_client_goes_on_with_another_pod_when_its_own_has_gone,
            migrate::load_balancers_are_told_where_the_pods_are,
            stream::ten_thousand_changes_leave_the_kernel_as_a_fresh_start_does,
            audit::the_agent_never_executes_anything,
            audit::the_cluster_role_is_no_wider_than_what_the_agent_asks_for,
        ],
    )
}
