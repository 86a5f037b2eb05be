//! `tidegate plugin pack`: golden cases into a component. Needs no gateway.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use tidegate_types::Digest;

use crate::commands::files;
use crate::output::Printer;

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 256 << 20;

pub(super) fn run(
    print: Printer,
    component: &Path,
    cases: &Path,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let bytes = files::read_whole(component, MAX_BYTES)?;
    let cases = tidegate_golden::read_folder(cases)?;
    let count = cases.len();
    let packed = tidegate_golden::pack(&bytes, cases)
        .with_context(|| format!("no cases were packed into {}", component.display()))?;
    let output = output.unwrap_or(component);
    // Whole or not at all, also over the component itself.
    let new = output.with_extension("wasm.new");
    fs::write(&new, &packed)
        .and_then(|()| fs::rename(&new, output))
        .with_context(|| output.display().to_string())?;
    let digest = Digest::of(&packed);
    let answer = json!({
        "file": output.display().to_string(),
        "cases": count,
        "bytes": packed.len(),
        "digest": digest,
    });
    let cases = if count == 1 { "case" } else { "cases" };
    print
        .answer(&answer, || format!("{count} {cases} packed into {} {digest}", output.display()))?;
    Ok(())
}
