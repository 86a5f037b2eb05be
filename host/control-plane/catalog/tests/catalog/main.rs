//! The catalog through its calls: what is stored, found, refused, and still there after it is opened
//! again. One suite runs over every database that a catalog may be kept in; what a database does
//! alone stands beside it.

#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod place;
#[cfg(all(test, feature = "postgres"))]
mod postgres;
#[cfg(test)]
mod revisions;
#[cfg(test)]
mod writers;

#[cfg(test)]
use keys::access;

#[cfg(test)]
use artifacts::jobs;

/// Every case with each database.
#[cfg(test)]
macro_rules! suite {
    ($($module:ident: $($case:ident),+;)+) => {
        mod over_sqlite {
            $($(
                #[test]
                fn $case() {
                    crate::$module::$case(&crate::place::Place::sqlite());
                }
            )+)+
        }

        #[cfg(feature = "postgres")]
        mod over_postgres {
            $($(
                #[test]
                fn $case() {
                    crate::$module::$case(&crate::place::Place::postgres());
                }
            )+)+
        }
    };
}

#[cfg(test)]
suite! {
    keys: a_key_is_kept_as_its_hash_alone, keys_are_revoked_for_good, keys_are_discarded,
        keys_of_other_systems_are_adopted, the_last_use_of_keys_only_grows;
    artifacts: schemas_count_up_and_the_latest_is_what_was_put_last,
        tables_keep_their_generation_where_only_the_order_changed,
        builtin_components_follow_the_program_and_older_ones_stay,
        uploaded_components_belong_to_their_tenant,
        lists_are_in_the_order_of_bytes_and_come_in_pages;
    revisions: rollbacks_go_back_step_by_step_and_withdrawals_leave_no_trace,
        one_candidate_is_tried_at_a_time_and_its_end_is_told,
        derived_revisions_are_stored_and_active_together,
        stored_revisions_come_back_as_they_were,
        a_revision_that_was_changed_is_told;
    limits: limits_are_kept, nothing_is_stored_for_a_tenant_that_is_not_there,
        damaged_content_is_told, newer_layouts_are_refused;
    access: tokens_are_kept_as_their_hash_and_revoked_for_good, keys_and_policies_of_signatures,
        changes_and_their_entries_are_one, entries_cannot_be_changed_and_the_chain_tells;
    jobs: a_version_is_admitted_by_its_job, a_job_has_one_node_at_a_time,
        what_could_not_be_decided_is_tried_again,
        what_failed_is_tried_again_under_other_settings, tenants_take_turns,
        quotas_name_what_was_hit_and_when_it_frees_up;
    writers: writers_of_two_nodes_never_make_one_number_twice,
        what_one_node_writes_another_reads;
    fleet: what_nodes_run_has_a_version, a_watch_is_told_by_its_own_process,
        a_watch_looks_where_nobody_tells_it, watches_end_and_are_few,
        nodes_are_seen_lost_and_replaced, nodes_report_on_revisions,
        a_name_is_one_nodes_until_it_leaves_or_is_lost,
        jobs_run_one_at_a_time_and_go_on_where_they_were_noted;
}
