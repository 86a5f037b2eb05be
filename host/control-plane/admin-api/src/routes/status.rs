//! `/v1/status`, `/v1/nodes` and `/v1/tenants/{tenant}/status`, and what the API says of itself.

use axum::extract::State;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, CatalogError, NodeRevision};
use tidegate_types::revision::KERNELS;
use tidegate_types::{Problem, TenantId, UnixMillis};

use super::revisions::{activations, rollouts};
use crate::answer::{self, Answer};
use crate::data_plane::{ActiveRule, FailingRevision};
use crate::request::{self, At};
use crate::state::AdminState;

/// The description of this API.
const DOCUMENT: &str = include_str!("../../../../docs/openapi/admin.json");

pub(super) async fn document() -> Answer {
    answer::text(DOCUMENT.to_owned())
}

pub(super) async fn node(State(state): State<AdminState>) -> Answer {
    let tenants = state.catalog(Catalog::tenant_count).await?;
    let published = state.published();
    let mut body = state.data_plane.status();
    let failing = state.data_plane.failing();
    let own = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernels": KERNELS,
        "started_at": state.started_at.to_rfc3339(),
        "tenants": tenants,
        "published_at": published.at.map(UnixMillis::to_rfc3339),
        "publish_error": published.problem.as_ref().map(Problem::to_json),
        "failing": failing.iter().map(failing_view).collect::<Vec<Value>>(),
    });
    if let Value::Object(own) = own {
        body.extend(own);
    }
    answer::ok(&Value::Object(body))
}

/// The nodes that share the catalog, and how far each is.
pub(super) async fn nodes(State(state): State<AdminState>) -> Answer {
    let (lost_after, known) = (state.limits.node_lost_after, state.clone());
    let read = move |catalog: &Catalog| {
        Ok((catalog.version()?, catalog.nodes(lost_after)?, catalog.failed_revisions()?))
    };
    let (version, nodes, failed) = known.catalog(read).await?;
    let view = nodes.iter().map(|node| {
        let failed = failed.iter().filter(|(_, report)| report.node == node.report.name);
        let failed = failed.map(|(tenant, report)| {
            json!({
                "tenant": tenant,
                "digest": report.digest,
                "detail": report.detail,
                "at": report.at.to_rfc3339(),
            })
        });
        json!({
            "name": node.report.name,
            "place": node.report.place,
            "release": node.report.release,
            "started_at": node.report.started_at.to_rfc3339(),
            "applied": node.report.version_applied,
            "seen_at": node.seen_at.to_rfc3339(),
            "lost": node.is_lost,
            "failed": failed.collect::<Vec<Value>>(),
        })
    });
    answer::ok(&json!({ "version": version, "nodes": view.collect::<Vec<Value>>() }))
}

pub(super) async fn tenant(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let lost_after = state.limits.node_lost_after;
    let rules = state.data_plane.active_rules(&tenant);
    let mut failing = state.data_plane.failing();
    failing.retain(|one| one.tenant == tenant);
    let read = move |catalog: &Catalog| {
        let nodes = catalog.node_revisions(&tenant, lost_after)?;
        let keys = catalog.keys(&tenant)?;
        let target = catalog.rollback_target(&tenant)?;
        Ok(json!({
            "tenant": tenant,
            "active": catalog.active(&tenant)?.as_ref().map(activations::view),
            "rollout": catalog.rollout(&tenant)?.as_ref().map(rollouts::view),
            "rollback_to": target.map(|to| json!({ "number": to.number, "digest": to.digest })),
            "revisions": catalog.revision_count(&tenant)?,
            "rules": rule_views(catalog, &tenant, &rules)?,
            "nodes": nodes.iter().map(node_view).collect::<Vec<Value>>(),
            "failing": failing.iter().map(failing_view).collect::<Vec<Value>>(),
            "keys": {
                "active": keys.iter().filter(|key| key.is_active).count(),
                "total": keys.len(),
            },
        }))
    };
    let body: Value = state.catalog(read).await?;
    answer::ok(&body)
}

/// The active rules, each with the plugin that it is a version of.
fn rule_views(
    catalog: &Catalog,
    tenant: &TenantId,
    rules: &[ActiveRule],
) -> Result<Vec<Value>, CatalogError> {
    let view = |rule: &ActiveRule| {
        let component = catalog.component_of(tenant, &rule.component)?;
        Ok(json!({
            "name": rule.name,
            "plugin": component.name,
            "version": component.version,
            "digest": rule.component,
            "contract": rule.contract,
        }))
    };
    rules.iter().map(view).collect()
}

/// A revision that cannot run on the node that is asked.
fn failing_view(failing: &FailingRevision) -> Value {
    json!({
        "tenant": failing.tenant,
        "digest": failing.digest,
        "detail": failing.reason,
        "since": failing.since.to_rfc3339(),
        "tries": failing.tries,
    })
}

fn node_view(node: &NodeRevision) -> Value {
    json!({
        "name": node.node,
        "digest": node.digest,
        "state": node.state.as_str(),
        "detail": node.detail,
        "at": node.at.to_rfc3339(),
        "lost": node.is_lost,
    })
}
