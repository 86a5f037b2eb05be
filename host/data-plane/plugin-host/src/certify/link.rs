//! The third step: does the component fit a contract version that the host speaks?

use serde_json::{Value, json};

use super::report::{Place, Step};
use crate::compile::Compiled;
use crate::compile::scan::Examined;
use crate::host::{PluginHost, link};

/// The contract's package; its interfaces carry the version.
const PACKAGE: &str = "tidegate:rules/";
/// The interface that a rule exports.
const RULES: &str = "tidegate:rules/rules@";

/// Contract versions that the host speaks, oldest first.
const SPOKEN: [&str; 1] = ["1.0.0"];

/// Links the component.
pub(super) fn check(
    host: &PluginHost,
    compiled: &Compiled,
    scanned: &Examined,
) -> (Step, Option<()>) {
    let mut step = Step::default();
    let linked = link(&host.linker, &compiled.component);
    let exported: Vec<&str> =
        scanned.exports.iter().filter_map(|export| export.strip_prefix(RULES)).collect();
    step.fact("contract", exported.first().map_or(Value::Null, |version| json!(version)));
    step.fact("spoken", SPOKEN.to_vec());
    if let Err(why) = linked {
        let spoken = SPOKEN.join(", ");
        let mend = format!("build it against tidegate:rules, version {spoken}");
        let mut told = false;
        if exported.is_empty() {
            let place = Place { export: Some(format!("{RULES}…")), ..Place::default() };
            step.problem("the component exports no rules", place, &mend);
            told = true;
        }
        for import in scanned.imports.iter().map(|import| &import.0) {
            let version = import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@'));
            let Some((_, version)) = version.filter(|(_, version)| !SPOKEN.contains(version))
            else {
                continue;
            };
            let detail = format!("the host does not speak version {version} of the contract");
            let place = Place { import: Some(import.clone()), ..Place::default() };
            step.problem(detail, place, &mend);
            told = true;
        }
        if !told {
            let named = |names: &[String]| names.iter().find(|name| why.contains(*name)).cloned();
            let imports: Vec<String> = scanned.imports.iter().map(|it| it.0.clone()).collect();
            let place = Place {
                import: named(&imports),
                export: named(&scanned.exports),
                ..Place::default()
            };
            step.problem(format!("the component does not fit the contract: {why}"), place, &mend);
        }
    }
    step.with(())
}
