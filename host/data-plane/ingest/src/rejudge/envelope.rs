//! What the envelope of a stored event says, as a revision has it: who mends an event may not make
//! another one of it.

use tidegate_dedup::DedupKey;
use tidegate_types::{EventType, Finding, TenantId, UnixMillis};

use super::judge::Subject;
use crate::event::Identity;
use crate::force::revision::Revision;
use crate::stage::identify::{Envelope, Wrong, identity};

/// What an event says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub event_type: EventType,
    /// Its own time, where its route names one.
    pub event_time: Option<UnixMillis>,
    /// Its idempotency key. One that came in a header is known only where a rule could read it.
    pub key: Option<DedupKey>,
}

impl Revision {
    /// Reads an event's envelope.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn facts(&self, tenant: &TenantId, subject: &Subject) -> Result<Facts, Vec<Finding>> {
        let context = &subject.context;
        let header = context.key.as_deref();
        let envelope = Envelope { tenant, cloud_event: context.cloud_event, header };
        match identity(subject.node(), self, &envelope) {
            Ok(Identity { route, key, event_time, .. }) => Ok(Facts {
                event_type: route.event_type.clone(),
                event_time,
                key: key.map(|keyed| keyed.key),
            }),
            Err(Wrong::Event(findings)) => Err(findings),
            Err(Wrong::Header(problem)) => {
                let at = problem.pointer.as_deref().unwrap_or_default();
                Err(vec![crate::event::host_finding("key", at, &*problem.detail)])
            }
        }
    }
}
