//! Tests of the kernel room against a real kernel; run them by `cargo lab test kernel`.

mod conntrack;
mod ipvs;
mod link;
mod modules;
mod namespace;
mod nft;
mod sysctl;

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::harness::main(
        "kernel",
        lab::tests![
            conntrack::flows_that_somebody_else_answers_are_forgotten,
            conntrack::flows_to_a_node_port_are_those_to_any_address_of_the_family,
            conntrack::targets_with_different_ports_are_found_in_one_look,
            conntrack::a_flow_of_real_packets_without_translation_is_forgotten,
            ipvs::connecting_is_enough_to_have_ipvs_loaded,
            ipvs::services_come_back_as_they_were_asked_for,
            ipvs::a_service_can_be_edited_in_place,
            ipvs::a_service_goes_with_its_destinations_and_leaves_the_others,
            ipvs::destinations_come_back_with_every_field,
            ipvs::a_tunnel_can_lead_to_the_other_family,
            ipvs::a_destination_can_be_edited_and_deleted,
            ipvs::refusals_say_what_is_wrong,
            ipvs::one_refusal_among_thousands_names_its_command,
            ipvs::twenty_thousand_commands_take_effect,
            ipvs::when_every_command_fails_every_one_is_named,
            ipvs::time_outs_can_be_set_one_at_a_time,
            ipvs::connections_are_counted_until_zeroed,
            link::the_link_is_a_dummy_that_is_down_and_its_addresses_are_local,
            link::virtual_addresses_are_not_chosen_as_source,
            link::opening_again_finds_the_link_and_its_addresses,
            link::adding_twice_and_removing_twice_is_no_error,
            link::addresses_of_other_links_are_not_its,
            link::an_address_that_is_refused_is_named_and_the_others_are_added,
            link::thousands_of_addresses_go_in_batches,
            link::deleting_needs_no_link,
            modules::a_module_that_is_missing_is_loaded_by_the_kernel_on_request,
            namespace::a_test_has_a_network_namespace_of_its_own,
            nft::opening_makes_a_table_that_the_nft_tool_prints_in_its_own_language,
            nft::rules_are_exchanged_while_the_elements_stay,
            nft::elements_are_read_back_as_they_were_written,
            nft::a_mark_is_exchanged_in_one_transaction,
            nft::a_refused_element_is_named_and_nothing_changes,
            nft::taking_over_replaces_the_chains_and_keeps_the_elements,
            nft::taking_over_after_a_change_of_the_mark_range_empties_the_maps,
            nft::an_element_that_is_not_ours_is_reported,
            nft::a_transaction_that_is_refused_as_such_says_so_at_once,
            nft::seventy_thousand_elements_of_a_map_are_one_transaction,
            nft::networks_are_exchanged_in_one_transaction,
            nft::affinity::session_affinity_has_a_rule_for_each_time_out_in_use,
            nft::affinity::taking_over_keeps_what_is_remembered_of_clients_with_affinity,
            nft::deleting_needs_no_table,
            nft::a_masquerade_bit_within_the_prefix_of_the_marks_is_refused,
            nft::traffic::host_ports_are_closed_on_virtual_addresses,
            nft::traffic::a_verdict_mark_refuses_or_drops,
            nft::traffic::what_comes_from_loopback_is_left_alone,
            nft::traffic::node_ports_are_closed_at_addresses_that_are_not_meant,
            nft::traffic::a_guarded_address_is_for_some_clients_only,
            nft::traffic::a_frontend_for_outside_is_not_for_this_node,
            nft::traffic::without_a_virtual_server_the_neighbours_mark_comes_back_and_the_host_stays_closed,
            nft::traffic::when_too_many_marks_are_borrowed_the_mark_is_lost_but_not_the_packet,
            sysctl::settings_that_differ_are_written,
            sysctl::a_setting_that_cannot_be_made_is_named_and_does_not_stop_the_others,
            sysctl::the_running_kernel_has_a_version,
        ],
    )
}
