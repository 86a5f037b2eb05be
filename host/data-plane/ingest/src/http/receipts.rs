//! `GET /v1/events/{event_id}`: the receipt of a stored event, for its tenant alone.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::Value;
use tidegate_types::{EventId, Problem, ProblemType, TenantId};

use super::answer::{self, Body};
use crate::gateway::Gateway;

/// What is known of an event that was received.
#[derive(Debug)]
pub enum ReadReceipt {
    /// A JSON object: the receipt, and what the event was.
    Found(Value),
    /// What was stored at its time was removed.
    Expired,
    /// It was rejected, or never seen, or belongs to another tenant.
    NotStored,
}

/// Reads receipts of stored events; the binary implements it over what stores them.
pub trait Receipts: Send + Sync + 'static {
    /// Finds an event of a tenant. Called on a blocking thread.
    ///
    /// # Errors
    /// Where what is stored cannot be read; the cause is logged.
    fn read(&self, tenant: &TenantId, event_id: EventId) -> Result<ReadReceipt, Problem>;
}

/// Answers one.
///
/// # Errors
/// 404 where there is none for the tenant, 503 where too many are read at once.
pub(super) async fn answer(
    gateway: &Gateway,
    tenant: TenantId,
    id: &str,
) -> Result<Response<Body>, Problem> {
    let missing = |detail: &str| Problem::new(ProblemType::NotFound, detail);
    let event_id: EventId = id.parse().map_err(|_| missing("this is not the id of an event"))?;
    let place = Arc::clone(&gateway.receipt_reads).try_acquire_owned().map_err(|_| {
        let detail = "too many receipts are read at once; ask again later";
        Problem::new(ProblemType::Overloaded, detail).retry_after(1000)
    })?;
    let receipts = Arc::clone(&gateway.receipts);
    let reading = tokio::task::spawn_blocking(move || {
        let read = receipts.read(&tenant, event_id);
        drop(place);
        read
    });
    let read = reading.await.map_err(|error| {
        tracing::error!(%error, "receipt not read");
        Problem::new(ProblemType::Internal, "the receipt could not be read")
    })??;
    match read {
        ReadReceipt::Found(receipt) => Ok(answer::json(StatusCode::OK, &receipt.to_string())),
        ReadReceipt::Expired => Err(missing("what was stored at the event's time was removed")),
        ReadReceipt::NotStored => {
            Err(missing("the tenant has no such event: rejected ones are not stored"))
        }
    }
}
