//! `tidegate plugin show`: what a version declares and what it costs, for an admin who decides
//! whether it may judge events.

use serde_json::Value;

use crate::cli::OfTenant;
use crate::client::path;
use crate::commands::Context;
use crate::output::cell;

/// What is shown, and where it is in the answer; what is not there is left out.
const FACTS: [(&str, &str); 20] = [
    ("name", "/name"),
    ("version", "/version"),
    ("built in", "/builtin"),
    ("digest", "/digest"),
    ("bytes", "/bytes"),
    ("state", "/state"),
    ("job", "/job"),
    ("role", "/inspection/manifest/role"),
    ("writes", "/inspection/manifest/writes"),
    ("codes", "/inspection/manifest/codes"),
    ("metrics", "/inspection/manifest/metrics"),
    ("fuel per event, p50", "/inspection/cost/fuel_per_event/p50"),
    ("fuel per event, p99", "/inspection/cost/fuel_per_event/p99"),
    ("fuel per event, in 100", "/inspection/cost/fuel_per_event/batch_100"),
    ("ns per event, alone", "/inspection/cost/nanoseconds_per_event/batch_1"),
    ("ns per event, in 100", "/inspection/cost/nanoseconds_per_event/batch_100"),
    ("peak memory bytes", "/inspection/cost/peak_memory_bytes"),
    ("instance start us", "/inspection/cost/instance_start_us"),
    ("compile ms", "/inspection/compile_ms"),
    ("code bytes", "/inspection/code_bytes"),
];

pub(super) fn run(
    context: &Context,
    of: &OfTenant,
    name: &str,
    version: &str,
) -> anyhow::Result<()> {
    let at = path(&["tenants", &of.tenant, "plugins", name, "versions", version]);
    let found = context.admin.get(&at)?;
    context.print.one(&found, &FACTS)?;
    let list = |of: &Value, at: &str| {
        of.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    for read in &list(&found, "/inspection/manifest/reads") {
        context.print.line(&format!(
            "reads  {} ({})",
            cell(read, "/pointer"),
            cell(read, "/cell")
        ))?;
    }
    for table in &list(&found, "/inspection/manifest/tables") {
        let columns: Vec<String> = list(table, "/columns")
            .iter()
            .map(|column| format!("{} ({})", cell(column, "/name"), cell(column, "/cell")))
            .collect();
        context.print.line(&format!("table  {}: {}", cell(table, "/name"), columns.join(", ")))?;
    }
    Ok(())
}
