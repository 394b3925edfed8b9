//! Nearest first, spill when full: what connections do under load. Given these pods at these
//! distances and these capacities, so many connections go there. Run by `cargo lab test levels`.
//!
//! The pass marks T1 to T9 are those that the project set itself.

mod again;
mod back;
mod bed;
mod change;
mod endpoints;
mod fleet;
mod full;
#[path = "../ipvs/mod.rs"]
#[allow(dead_code, reason = "the fleet simulator uses the rest")]
mod ipvs;
mod kernel;
mod ladder;
mod model;
mod order;
mod own;
mod remote;
mod reports;
mod restart;
mod rise;
mod told;

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::harness::main(
        "levels",
        lab::tests![
            order::the_near_level_is_filled_before_the_next_is_touched,
            order::three_levels_fill_one_after_the_other,
            order::short_connections_at_idle_stay_near,
            order::one_after_the_other_still_means_evenly,
            order::udp_flows_are_even_within_a_level,
            order::nobody_is_refused_when_every_level_is_over_its_budget,
            order::a_client_with_affinity_stays_with_one_near_pod,
            order::balance_is_even_at_any_distance,
            order::full_pods_are_passed_over_in_every_mode,
            ladder::four_five_and_six_levels_fill_one_after_the_other,
            full::who_sheds_load_refuses_what_nobody_has_room_for,
            full::a_client_with_affinity_leaves_a_full_pod_if_it_yields,
            full::others_are_sent_past_a_pod_that_clients_with_affinity_fill,
            endpoints::a_level_that_dies_is_left_at_once_and_nobody_is_refused,
            endpoints::new_flows_leave_a_level_that_dies_at_once_and_all_are_answered,
            endpoints::no_pod_of_a_new_level_is_flooded,
            again::a_pod_that_comes_back_is_not_taken_for_full,
            again::a_pod_that_was_deleted_comes_back_with_all_its_room,
            change::a_capacity_changed_live_takes_effect,
            change::a_bad_annotation_leaves_the_last_good_one,
            change::what_another_node_says_of_its_pods_counts_if_it_is_known_to_all,
            change::a_drained_level_is_left_and_comes_back,
            own::a_pod_that_calls_its_own_service_gets_itself,
            own::a_pod_that_is_full_itself_goes_to_others,
            back::old_connections_come_back_when_near_pods_have_room,
            remote::another_cluster_takes_what_this_one_has_no_room_for,
            remote::clusters_are_used_in_the_order_that_is_said,
            remote::a_cluster_that_is_evacuated_is_left_and_comes_back,
            remote::hosts_of_another_cluster_see_this_node,
            remote::an_import_is_served_at_its_clusterset_ip,
            remote::never_means_never_and_always_means_like_any_other,
            restart::a_kernel_without_its_agent_goes_on_spilling,
            reports::a_node_that_wants_all_gets_more_than_an_equal_share,
            reports::nodes_that_want_the_same_share_it_and_who_dies_leaves_its_part,
            reports::without_reports_nobody_is_refused_and_they_are_used_again,
            told::routes_and_why_say_where_connections_go,
            told::why_says_whose_word_it_is,
            told::metrics_count_what_went_where,
            told::an_event_tells_of_a_spill_and_of_its_end_and_counts,
            model::what_was_measured_is_so_on_this_kernel_and_in_the_model,
            model::what_expires_is_forgotten_as_in_the_model,
            model::a_ladder_with_thresholds_fills_as_in_the_model,
            model::least_connections_are_found_as_in_the_model,
            model::turns_go_around_as_in_the_model,
            kernel::no_scheduler_can_stall_the_kernel,
            kernel::a_thousand_endpoints_cost_a_packet_no_time,
            rise::load_rises_threefold_and_falls_back,
        ],
    )
}
