//! Is there room for the request? Work beyond the limit is shed at once, before anything is spent
//! on it. What the sender may send at all is `meter`'s to say.

pub(crate) mod meter;

use std::sync::Arc;

use tidegate_types::{Problem, ProblemType, TenantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::authenticate::Producer;
use crate::force::keys::WriteScope;
use crate::force::rollout::InForce;

/// A sender whose request is worked on; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    tenant: TenantId,
    write: WriteScope,
    in_force: Arc<InForce>,
    place: OwnedSemaphorePermit,
}

impl Admitted {
    pub(crate) fn into_parts(self) -> (TenantId, WriteScope, Arc<InForce>, OwnedSemaphorePermit) {
        (self.tenant, self.write, self.in_force, self.place)
    }
}

/// Takes a place for the request.
///
/// # Errors
/// 503 `overloaded` where there is none.
pub fn admit(producer: Producer, places: &Arc<Semaphore>) -> Result<Admitted, Problem> {
    let place = Arc::clone(places).try_acquire_owned().map_err(|_| {
        Problem::new(ProblemType::Overloaded, "too many requests are worked on; nothing was stored")
            .retry_after(1000)
    })?;
    let (tenant, write, in_force) = producer.into_parts();
    Ok(Admitted { tenant, write, in_force, place })
}
