//! Limits of tenants and components as the catalog has them, and what rules logged.

use serde_json::{Value, json};
use tidegate_admin_api::LogRequest;
use tidegate_catalog::OwnLimits;
use tidegate_plugin_host::PluginHost;
use tidegate_plugin_host::host::logs::{Level, LogFilter};
use tidegate_plugin_host::limits::{CallLimits, TenantLimits};
use tidegate_types::{Digest, TenantId};

/// Are these limits?
pub(super) fn check(of_component: bool, limits: &Value) -> Result<(), String> {
    // A list would be read as the members in their order.
    if !limits.is_object() || limits.get("calls").is_some_and(|calls| !calls.is_object()) {
        return Err("limits, and those of calls, are a JSON object".to_owned());
    }
    if of_component {
        read::<CallLimits>(limits).map(drop)
    } else {
        read::<TenantLimits>(limits).map(drop)
    }
}

fn read<T: serde::de::DeserializeOwned>(limits: &Value) -> Result<T, String> {
    T::deserialize(limits).map_err(|error| error.to_string())
}

/// What a tenant has limits of its own for.
pub(in crate::serve) type Owner = (TenantId, Option<Digest>);

/// Puts limits in force; those that are no longer there are those of the gateway again.
pub(in crate::serve) fn apply(plugins: &PluginHost, own: Vec<OwnLimits>, before: &mut Vec<Owner>) {
    let owners: Vec<Owner> = own.iter().map(|own| (own.tenant.clone(), own.component)).collect();
    for (tenant, component) in before.drain(..).filter(|owner| !owners.contains(owner)) {
        set(plugins, &tenant, component, &json!({}));
    }
    for own in own {
        set(plugins, &own.tenant, own.component, &own.limits);
    }
    *before = owners;
}

fn set(plugins: &PluginHost, tenant: &TenantId, component: Option<Digest>, limits: &Value) {
    let set = match component {
        None => read(limits).map(|limits| plugins.set_tenant_limits(tenant, limits)),
        Some(component) => {
            read(limits).map(|limits| plugins.set_plugin_limits(tenant, component, limits))
        }
    };
    if let Err(why) = set {
        // They were checked before they were stored, by another release perhaps.
        tracing::warn!(tenant = tenant.as_str(), why, "limits of a tenant cannot be used");
    }
}

/// Log lines for the admin API.
pub(super) fn lines(plugins: &PluginHost, tenant: &TenantId, wanted: &LogRequest) -> Vec<Value> {
    let level = match wanted.level.as_str() {
        "info" => Level::Info,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Debug,
    };
    let filter = LogFilter { component: wanted.component, rule: wanted.rule.clone(), level };
    let (lines, _) = plugins.logs(tenant, filter);
    let lines = lines.iter().filter(|line| wanted.since.is_none_or(|since| line.at >= since));
    let view = lines.map(|line| {
        json!({
            "at": line.at.to_rfc3339(),
            "level": line.level,
            "rule": line.rule,
            "plugin": line.component,
            "text": line.text,
        })
    });
    view.collect()
}
