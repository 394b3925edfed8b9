//! What Kubernetes promises of a Service, with real packets: who is served, by which pods, from
//! which addresses, and who is not. Run by `cargo lab test contract`; the table of what is promised
//! is in `docs/contract.md`.

mod addresses;
mod affinity;
mod balancer;
mod bed;
mod distribution;
mod external;
mod internal;
mod invalid;
mod lifecycle;
mod nodes;
mod pods;
mod rollout;
mod several;
mod start;
mod twins;
mod udp;

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::harness::main(
        "contract",
        lab::tests![
            external::under_policy_local_outside_gets_this_node_and_pods_and_the_node_get_all,
            external::under_policy_cluster_outside_is_masqueraded_and_served_by_all,
            internal::under_policy_local_a_pod_gets_the_pods_of_its_node,
            internal::hints_keep_traffic_in_the_zone,
            lifecycle::services_come_change_and_go_and_leave_the_others_alone,
            lifecycle::a_service_that_is_not_for_a_proxy_is_not_served,
            lifecycle::node_ports_come_change_and_go,
            lifecycle::what_is_ready_serves_and_without_any_clients_are_refused,
            lifecycle::connections_outlive_changes_and_the_service_itself,
            start::its_node_shows_that_there_is_a_proxy,
            start::load_balancers_are_told_to_wait_for_the_first_sync,
            start::an_agent_that_ends_for_want_of_its_address_says_so,
            start::init_only_sets_the_node_up_and_ends,
            addresses::node_ports_are_served_at_the_addresses_that_are_meant,
            addresses::what_is_for_an_address_that_no_service_has_is_dropped,
            addresses::services_of_a_second_service_cidr_are_served,
            addresses::who_pings_a_virtual_address_is_refused,
            addresses::a_firewall_that_drops_by_default_is_named,
            pods::pods_are_told_by_the_networks_of_all_pods,
            pods::pods_are_told_by_the_networks_of_the_node,
            pods::where_all_is_masqueraded_pods_see_the_node,
            pods::pods_are_told_by_the_link_that_they_are_at,
            pods::pods_are_told_by_what_their_links_are_called,
            affinity::a_client_gets_one_pod_at_all_addresses_of_a_service_port,
            affinity::under_policy_local_an_outside_client_keeps_one_pod_of_the_node,
            affinity::a_client_that_stays_away_for_the_time_out_may_get_another_pod,
            affinity::endpoints_that_come_and_go_move_none_but_their_own_clients,
            affinity::switched_on_and_off_no_connection_is_cut_or_refused,
            affinity::udp_flows_of_a_client_have_one_pod,
            balancer::source_ranges_hold_for_the_load_balancer_alone,
            balancer::an_external_ip_that_is_a_nodes_own_leaves_the_node_reachable,
            balancer::a_load_balancer_that_is_a_proxy_is_not_short_cut,
            nodes::node_ports_and_health_checks_follow_the_external_policy,
            rollout::under_policy_cluster_every_client_is_answered,
            rollout::under_policy_local_clients_are_answered_until_the_load_balancer_has_turned,
            udp::every_frontend_takes_datagrams_small_and_large,
            udp::traffic_policies_hold_for_datagrams,
            udp::flows_find_the_first_pod_and_the_one_after_it,
            udp::flows_find_the_next_pod_of_their_node,
            udp::flows_find_another_target_port,
            invalid::a_pods_packets_out_of_the_window_end_no_connection,
            invalid::told_to_be_liberal_they_end_no_masqueraded_connection_either,
            several::services_may_share_their_pods_and_one_may_go,
            several::one_port_number_serves_three_protocols_each_for_itself,
            several::ports_lead_where_their_slices_say,
            several::pods_on_the_hosts_network_serve_and_are_of_their_node,
            twins::two_connections_from_one_port_to_one_pod_are_kept_apart,
            twins::two_flows_from_one_port_to_one_pod_are_kept_apart,
            distribution::a_zone_keeps_its_traffic_and_one_without_pods_sends_it_everywhere,
            distribution::a_node_keeps_its_traffic_while_it_has_a_pod,
        ],
    )
}
