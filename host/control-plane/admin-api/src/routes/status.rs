//! `/v1/status` and `/v1/tenants/{tenant}/status`

use axum::extract::State;
use serde_json::{Value, json};
use tidegate_catalog::Catalog;
use tidegate_types::revision::KERNELS;
use tidegate_types::{Problem, UnixMillis};

use super::revisions::{activations, rollouts};
use crate::answer::{self, Answer};
use crate::request::{self, At};
use crate::state::AdminState;

pub(super) async fn node(State(state): State<AdminState>) -> Answer {
    let tenants = state.catalog(Catalog::tenant_count).await?;
    let published = state.published();
    let mut body = state.data_plane.status();
    let own = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernels": KERNELS,
        "started_at": state.started_at.to_rfc3339(),
        "tenants": tenants,
        "published_at": published.at.map(UnixMillis::to_rfc3339),
        "publish_error": published.problem.as_ref().map(Problem::to_json),
    });
    if let Value::Object(own) = own {
        body.extend(own);
    }
    answer::ok(&Value::Object(body))
}

pub(super) async fn tenant(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let read = move |catalog: &Catalog| {
        let keys = catalog.keys(&tenant)?;
        let target = catalog.rollback_target(&tenant)?;
        Ok(json!({
            "tenant": tenant,
            "active": catalog.active(&tenant)?.as_ref().map(activations::view),
            "rollout": catalog.rollout(&tenant)?.as_ref().map(rollouts::view),
            "rollback_to": target.map(|to| json!({ "number": to.number, "digest": to.digest })),
            "revisions": catalog.revision_count(&tenant)?,
            "keys": {
                "active": keys.iter().filter(|key| key.is_active).count(),
                "total": keys.len(),
            },
        }))
    };
    let body: Value = state.catalog(read).await?;
    answer::ok(&body)
}
