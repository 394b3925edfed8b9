//! What Kubernetes promises of a Service, with real packets: who is served, by which pods, from
//! which addresses, and who is not. Run by `cargo lab test contract`; the table of what is promised
//! is in `docs/contract.md`.

mod addresses;
mod balancer;
mod bed;
mod external;
mod internal;
mod lifecycle;
mod pods;

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
            lifecycle::what_is_ready_serves_and_without_any_clients_are_refused,
            lifecycle::connections_outlive_changes_and_the_service_itself,
            lifecycle::the_start_of_the_agent_is_an_event_of_its_node,
            addresses::node_ports_are_served_at_the_addresses_that_are_meant,
            addresses::what_is_for_an_address_that_no_service_has_is_dropped,
            addresses::a_firewall_that_drops_by_default_is_named,
            pods::pods_are_told_by_the_networks_of_all_pods,
            pods::pods_are_told_by_the_networks_of_the_node,
            pods::pods_are_told_by_the_link_that_they_are_at,
            pods::pods_are_told_by_what_their_links_are_called,
            balancer::source_ranges_hold_for_the_load_balancer_alone,
            balancer::an_external_ip_that_is_a_nodes_own_leaves_the_node_reachable,
            balancer::a_load_balancer_that_is_a_proxy_is_not_short_cut,
        ],
    )
}
