//! What rules do while they run: their log lines, their limits, and what is measured.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, json};
use tidegate_catalog::{Catalog, OwnLimits, Selector};
use tidegate_types::{Digest, Problem, RuleName, TenantId, UnixMillis};

use crate::answer::{self, Answer};
use crate::data_plane::LogRequest;
use crate::request::{self, Asked, At, parse_json, whole};
use crate::state::AdminState;

const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct LogQuery {
    /// `NAME` (the latest version) or `NAME@VERSION`.
    plugin: Option<String>,
    rule: Option<String>,
    level: Option<String>,
    /// RFC 3339.
    since: Option<String>,
}

/// `GET /v1/tenants/{tenant}/log`
pub(in crate::routes) async fn log(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<LogQuery>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let level = query.level.unwrap_or_else(|| "debug".to_owned());
    if !LEVELS.contains(&level.as_str()) {
        return Err(request::bad(format!("level is one of {}", LEVELS.join(", "))).into());
    }
    let rule = query
        .rule
        .map(|rule| RuleName::new(&rule).map_err(|error| request::bad(error.to_string())));
    let since = query.since.map(|text| {
        UnixMillis::parse_rfc3339(&text).ok_or_else(|| request::bad("since is an RFC 3339 time"))
    });
    let component = match query.plugin {
        None => None,
        Some(plugin) => Some(component(&state, &tenant, &plugin).await?),
    };
    let (rule, since) = (rule.transpose()?, since.transpose()?);
    let wanted = LogRequest { component, rule, level, since };
    let owner = tenant.clone();
    state.catalog(move |catalog: &Catalog| catalog.tenant(&owner)).await?;
    answer::ok(&json!({ "lines": state.data_plane.plugin_log(&tenant, &wanted) }))
}

async fn component(state: &AdminState, tenant: &TenantId, plugin: &str) -> Result<Digest, Problem> {
    let (name, which) = match plugin.split_once('@') {
        Some((name, version)) => (name, request::selector(version)?),
        None => (plugin, Selector::Latest),
    };
    let (owner, name) = (tenant.clone(), request::artifact(name)?);
    let find = move |catalog: &Catalog| catalog.component(&owner, &name, &which);
    Ok(state.catalog(find).await?.digest)
}

/// `GET /v1/tenants/{tenant}/limits`
pub(in crate::routes) async fn limits(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let owner = tenant.clone();
    let read = move |catalog: &Catalog| {
        catalog.tenant(&owner)?;
        catalog.own_limits()
    };
    let own = state.catalog(read).await?.into_iter().filter(|own| own.tenant == tenant);
    let (mut whole, mut plugins) = (json!({}), Map::new());
    for OwnLimits { component, limits, .. } in own {
        match component {
            None => whole = limits,
            Some(digest) => drop(plugins.insert(digest.to_string(), limits)),
        }
    }
    answer::ok(&json!({ "tenant": whole, "plugins": plugins }))
}

/// `PUT /v1/tenants/{tenant}/limits`
pub(in crate::routes) async fn set_limits(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    set(state, request::tenant(&tenant)?, None, request).await
}

/// `PUT /v1/tenants/{tenant}/plugins/{name}/versions/{version}/limits`
pub(in crate::routes) async fn set_plugin_limits(
    State(state): State<AdminState>,
    At((tenant, name, version)): At<(String, String, String)>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let digest = component(&state, &tenant, &format!("{name}@{version}")).await?;
    set(state, tenant, Some(digest), request).await
}

async fn set(
    state: AdminState,
    tenant: TenantId,
    component: Option<Digest>,
    request: Request,
) -> Answer {
    let body = request::json_body(&state, request).await?;
    let limits = whole(parse_json(&body)?);
    let checked = state.data_plane.check_limits(component.is_some(), &limits);
    checked.map_err(request::bad)?;
    let (changing, set) = (state.clone(), limits.clone());
    let done = state.change(async move {
        let work = move |catalog: &Catalog| catalog.set_limits(&tenant, component.as_ref(), &set);
        changing.catalog(work).await?;
        changing.publish(None).await
    });
    done.await?;
    answer::ok(&limits)
}

/// `GET /metrics`
pub(in crate::routes) async fn metrics(
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Answer {
    let source = Arc::new(move || state.data_plane.page());
    Ok(tidegate_telemetry::serve::page(&headers, source).await.into_response())
}
