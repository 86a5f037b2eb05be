//! Idempotency keys, and the Redis that nodes share.

use crate::metric::metrics;

metrics! {
    /// Keys that requests asked for, by the answer.
    CLAIMS: counter "tidegate_dedup_claims_total" [outcome];
    /// Keys whose event became durable.
    COMMITTED: counter "tidegate_dedup_committed_total" [];
    /// Keys that were given back.
    RELEASED: counter "tidegate_dedup_released_total" [];
    /// Claims that did not last until their event was durable.
    RESERVATION_LOST: counter "tidegate_dedup_reservation_lost_total" [];
    /// Keys whose outcome was never told.
    UNKNOWN: counter "tidegate_dedup_unknown_total" [];
    /// Keys that are held.
    KEYS: gauge "tidegate_dedup_keys" [];
    /// 1 while the store of keys cannot be asked.
    FAILING: gauge "tidegate_dedup_failing" [];
    /// Keys that could not be asked for.
    UNAVAILABLE: counter "tidegate_dedup_unavailable_total" [];
    /// Events that were stored although their key was committed: each is one duplicate.
    DUPLICATES_STORED: counter "tidegate_dedup_duplicates_stored_total" [];
    /// Commits that Redis refused; they are made up for from the log.
    COMMITS_REFUSED: counter "tidegate_dedup_commits_refused_total" [];
    /// Keys that were committed from the log.
    COMMITS_MADE_UP_FOR: counter "tidegate_dedup_commits_made_up_for_total" [];
    /// Requests whose keys are left to their lease, because too many waited.
    RELEASES_DROPPED: counter "tidegate_dedup_releases_dropped_total" [];
    /// Appends that are not known to be committed.
    UNCOMMITTED: gauge "tidegate_dedup_uncommitted_appends" [];
    /// How long the store took for the keys of a request.
    STORE_DURATION: histogram "tidegate_dedup_store_duration_seconds" [operation];
    /// Whether Redis can be used.
    REDIS_UP: gauge "tidegate_redis_up" [];
    /// Connections to Redis that were made.
    REDIS_CONNECTIONS: counter "tidegate_redis_connections_total" [];
    /// Commands that did nothing, or of which that is not known, by the reason.
    REDIS_ERRORS: counter "tidegate_redis_errors_total" [reason];
}
