//! The quarantine workbench of this node, as the control plane sees it.

use serde_json::Value;
use tidegate_admin_api::{
    BoxFuture, HeldDecision, HeldFilter, HeldGroup, NotSettled, Rest, SettlePage, Settled,
    Workbench,
};
use tidegate_types::{EventId, Problem, TenantId};

use crate::serve::data_plane::Node;

impl Workbench for Node {
    fn node(&self) -> &str {
        self.gateway.node()
    }

    fn durable_end(&self) -> u64 {
        self.log_end().0
    }

    fn open_events<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a HeldFilter,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(self.open_page(tenant, filter, after, limit))
    }

    fn groups<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a HeldFilter,
        by: HeldGroup,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(self.count_open(tenant, filter, by))
    }

    fn held<'a>(
        &'a self,
        tenant: &'a TenantId,
        event_id: EventId,
    ) -> BoxFuture<'a, Result<String, Problem>> {
        Box::pin(self.view_held(tenant, event_id))
    }

    fn settle<'a>(
        &'a self,
        tenant: &'a TenantId,
        event_id: EventId,
        decision: &'a HeldDecision,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Value, NotSettled>> {
        Box::pin(self.settle_one(tenant, event_id, decision, by))
    }

    fn settle_page<'a>(
        &'a self,
        page: SettlePage<'a>,
        rest: Option<Rest>,
    ) -> BoxFuture<'a, Result<Settled, Problem>> {
        Box::pin(self.settle_some(page, rest))
    }

    fn settled_by<'a>(&'a self, page: SettlePage<'a>) -> BoxFuture<'a, Result<Settled, Problem>> {
        Box::pin(self.count_settled_by(page))
    }
}
