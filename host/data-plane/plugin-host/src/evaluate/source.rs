//! What the instances of one rule are made from.

use std::sync::Arc;

use wasmtime::Engine;

use super::instance::{ConfigureError, Fault, Instance};
use super::registry::Registry;
use super::rule::lane::SlowLane;
use crate::guest::bindings::contract;
use crate::guest::contract::Prepared;
use crate::guest::meter::LongCalls;
use crate::host::tenant::Tenant;
use crate::limits::Limits;

/// A component, linked, and its configuration.
pub(crate) struct Source {
    pub(crate) engine: Engine,
    pub(crate) prepared: Box<dyn Prepared>,
    pub(crate) config: String,
    /// Turns that there are for long calls, of all tenants.
    pub(crate) long_calls: Arc<LongCalls>,
    pub(crate) slow_lane: Arc<SlowLane>,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) rules: Arc<Registry>,
}

impl Source {
    /// Makes an instance and configures it. Where the host is full, idle stores make room.
    pub(crate) async fn start(
        &self,
        limits: &Limits,
        calls: u32,
    ) -> Result<(Instance, contract::Manifest), ConfigureError> {
        loop {
            let rooms = self.rules.rooms();
            let started = Instance::start(self, limits, calls).await;
            let is_full = matches!(started, Err(ConfigureError::Fault(Fault::Exhausted)));
            if !is_full || !self.rules.make_room(rooms) {
                return started;
            }
        }
    }
}
