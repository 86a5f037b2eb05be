//! What became of events. Each that was received has one outcome, when its request has been answered:
//! `received = accepted + duplicate + quarantined + rejected`.

use crate::metric::metrics;

metrics! {
    /// Events that were read from the bodies of requests.
    RECEIVED: counter "tidegate_events_received_total" [];
    /// Events by what became of them. The outcome `rejected` has the statuses `rejected`, `conflict`, `retry`, and `refused` where the request as a whole was answered with a problem.
    EVENTS: counter "tidegate_events_total" [outcome, status];
    /// Events of a tenant by their outcome.
    TENANT_EVENTS: counter "tidegate_tenant_events_total" [tenant, outcome];
    /// From the headers of a request whose events were acknowledged to its answer, by the weakest level of it.
    ACK_DURATION: histogram "tidegate_ack_duration_seconds" [ack];
}
