//! Which rules are active on this node, and which versions of the contract they need.

use std::collections::BTreeMap;

use tidegate_admin_api::ActiveRule;
use tidegate_ingest::Snapshot;
use tidegate_plugin_host::PluginHost;
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::rules as metrics;
use tidegate_types::TenantId;

/// The rules of a tenant's active revision, in the order in which they run.
pub(super) fn rules(snapshot: &Snapshot, tenant: &TenantId) -> Vec<ActiveRule> {
    let rules = snapshot.in_force(tenant).map(|in_force| in_force.revision.rules());
    let told = rules.unwrap_or_default().iter().map(|rule| ActiveRule {
        name: rule.name().clone(),
        component: rule.component(),
        contract: rule.contract().to_string(),
    });
    told.collect()
}

/// How many rules of active revisions need which version of the contract; every version that this
/// gateway speaks is there.
pub(super) fn by_contract(plugins: &PluginHost, snapshot: &Snapshot) -> BTreeMap<String, u64> {
    let spoken = plugins.contracts().spoken().iter().map(|version| (version.to_string(), 0));
    let mut counts: BTreeMap<String, u64> = spoken.collect();
    for rule in snapshot.tenants().flat_map(|(_, in_force)| in_force.revision.rules()) {
        *counts.entry(rule.contract().to_string()).or_default() += 1;
    }
    counts
}

/// Tells the same. There are as many series as versions that this gateway speaks.
pub(super) fn report(counts: &BTreeMap<String, u64>, page: &mut Page) {
    for (version, count) in counts {
        page.put(&metrics::ACTIVE, &[version], *count);
    }
}
