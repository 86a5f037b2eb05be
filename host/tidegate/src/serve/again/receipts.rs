//! Receipts of stored events, as they were given.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_ingest::{ReadReceipt, Receipts};
use tidegate_storage::read::Lookup;
use tidegate_storage::{Storage, StoredEvent};
use tidegate_types::{EventId, Problem, Status, TenantId};

use super::unreadable;

/// The receipts of what this node has stored.
pub(in super::super) struct StoredReceipts(pub(in super::super) Arc<Storage>);

impl Receipts for StoredReceipts {
    fn read(&self, tenant: &TenantId, event_id: EventId) -> Result<ReadReceipt, Problem> {
        let found = self.0.events().find(tenant.as_str(), event_id);
        Ok(match found.map_err(|error| unreadable(&error))? {
            Lookup::Found(event) => ReadReceipt::Found(receipt(&event)),
            Lookup::Expired => ReadReceipt::Expired,
            Lookup::NotStored => ReadReceipt::NotStored,
        })
    }
}

/// The receipt as it was given.
pub(super) fn receipt(event: &StoredEvent) -> Value {
    json!({
        "event_id": event.event_id,
        "received_at": event.received_at().to_rfc3339(),
        "status": Status::from(event.status),
        "findings": event.findings(),
        "event_type": event.event_type,
        "lsn": event.lsn,
    })
}
