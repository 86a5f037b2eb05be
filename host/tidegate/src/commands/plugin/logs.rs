//! `tidegate plugin logs`: what rules have to say.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::cli::OfTenant;
use crate::client::{path, query};
use crate::commands::Context;
use crate::output::cell;

/// How often is looked for lines to come.
const LOOK: Duration = Duration::from_millis(500);

/// Which lines.
pub(super) struct Wanted {
    pub(super) plugin: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) level: String,
}

pub(super) fn run(
    context: &Context,
    of: &OfTenant,
    wanted: &Wanted,
    follow: bool,
) -> anyhow::Result<()> {
    let at = path(&["tenants", &of.tenant, "log"]);
    let mut since = String::new();
    // Lines of the last millisecond come again with the next look.
    let mut told: HashSet<String> = HashSet::new();
    loop {
        let mut parts = vec![("level", wanted.level.as_str())];
        parts.extend(wanted.plugin.as_deref().map(|plugin| ("plugin", plugin)));
        parts.extend(wanted.rule.as_deref().map(|rule| ("rule", rule)));
        if !since.is_empty() {
            parts.push(("since", &since));
        }
        let answer = context.admin.get(&format!("{at}{}", query(&parts)))?;
        let lines = answer.pointer("/lines").and_then(Value::as_array);
        let mut last = since.clone();
        for line in lines.into_iter().flatten() {
            let time = cell(line, "/at");
            if time > last {
                told.clear();
                last.clone_from(&time);
            }
            if told.insert(line.to_string()) {
                context.print.answer(line, || {
                    let [level, rule, text] = ["/level", "/rule", "/text"].map(|at| cell(line, at));
                    format!("{time} {level:5} {rule}: {text}")
                })?;
            }
        }
        since = last;
        if !follow {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}
