//! `tidegate explain`: the way to one event's verdict, and whether the same inputs give it again.

use std::process::ExitCode;

use serde_json::Value;

use crate::client::path;
use crate::commands::Context;
use crate::output::cell;

/// The status is 0 where the verdict was reproduced, 1 where it came out differently or could not
/// be had.
pub(in crate::commands) fn run(
    context: &Context,
    tenant: &str,
    event_id: &str,
) -> anyhow::Result<ExitCode> {
    let path = path(&["tenants", tenant, "events", event_id, "explanation"]);
    let explained = context.admin.get(&path)?;
    context.print.answer(&explained, || told(&explained))?;
    let reproduced = explained.pointer("/reproduced") == Some(&Value::Bool(true));
    Ok(if reproduced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(explained: &Value) -> String {
    match cell(explained, "/state").as_str() {
        "not-stored" => {
            return "not stored: the event was rejected, or never came, or is another tenant's"
                .into();
        }
        "inputs-expired" => return "the stored event has expired: nothing is left to judge".into(),
        _ => {}
    }
    let mut lines = vec![
        format!(
            "{} {} at {}",
            cell(explained, "/event_id"),
            cell(explained, "/receipt/status"),
            cell(explained, "/receipt/received_at")
        ),
        format!(
            "judged by revision {} {}",
            cell(explained, "/revision/number"),
            cell(explained, "/revision/digest")
        ),
    ];
    for rule in list(explained, "/rules") {
        let stood_in = match cell(rule, "/by").as_str() {
            "fall-back" => ", its fall-back judged",
            "on-fault" => ", not called: its policy for faults decided",
            _ => "",
        };
        lines.push(format!(
            "\n{} ({}) {}{stood_in}",
            cell(rule, "/rule"),
            cell(rule, "/role"),
            cell(rule, "/component")
        ));
        if let Some(Value::Object(inputs)) = rule.pointer("/inputs") {
            lines.extend(
                inputs.iter().map(|(at, value)| format!("  read   {at} = {}", cell(value, ""))),
            );
        }
        for finding in list(rule, "/findings") {
            let [severity, code, at, detail] =
                ["/severity", "/code", "/pointer", "/detail"].map(|at| cell(finding, at));
            lines.push(format!("  found  {severity} {code} {at} {detail}").trim_end().to_owned());
        }
        for patch in list(rule, "/patches") {
            let [op, at, value] = ["/op", "/pointer", "/value"].map(|at| cell(patch, at));
            lines.push(format!("  wrote  {op} {at} {value}").trim_end().to_owned());
        }
    }
    lines.push(String::new());
    lines.push(match explained.pointer("/reproduced") {
        Some(Value::Bool(true)) => "judged again: the same verdict".to_owned(),
        Some(_) => format!("judged again: other {}", cell(explained, "/differences")),
        None => cell(explained, "/detail"),
    });
    lines.join("\n")
}

fn list<'v>(value: &'v Value, at: &str) -> &'v [Value] {
    value.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
