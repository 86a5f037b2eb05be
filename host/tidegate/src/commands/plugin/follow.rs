//! Follows an admission job to its end: a line for each step that is done, and on a terminal a
//! spinner for the one that runs.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::cli::OfTenant;
use crate::client::path;
use crate::commands::Context;
use crate::output::cell;

/// How often the gateway is asked.
const EVERY: Duration = Duration::from_millis(200);

/// The job when it is settled.
///
/// # Errors
/// Where the gateway cannot be asked, or standard output is closed.
pub(super) fn to_the_end(
    context: &Context,
    of: &OfTenant,
    mut job: Value,
) -> anyhow::Result<Value> {
    let place = path(&["tenants", &of.tenant, "jobs", &cell(&job, "/job")]);
    let spinner = spinner();
    let mut told = 0;
    loop {
        for step in steps(&job).iter().skip(told).take_while(|step| is_done(step)) {
            spinner.suspend(|| tell(context, step))?;
            told += 1;
        }
        if !matches!(state(&job), Some("pending" | "running")) {
            break;
        }
        let next = steps(&job).get(told).map(|step| cell(step, "/step")).unwrap_or_default();
        spinner.set_message(format!("{}: {next}", cell(&job, "/state")));
        spinner.tick();
        std::thread::sleep(EVERY);
        job = context.admin.get(&place)?;
    }
    spinner.finish_and_clear();
    if let Some(trouble) = job.get("trouble").and_then(Value::as_str) {
        context.print.line(&format!("the gateway could not decide: {trouble}"))?;
    }
    Ok(job)
}

fn steps(job: &Value) -> &[Value] {
    job.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// How far a job or a step has come.
pub(super) fn state(of: &Value) -> Option<&str> {
    of.get("state").and_then(Value::as_str)
}

fn is_done(step: &Value) -> bool {
    matches!(state(step), Some("passed" | "failed" | "skipped"))
}

fn tell(context: &Context, step: &Value) -> anyhow::Result<()> {
    let (name, state) = (cell(step, "/step"), cell(step, "/state"));
    let note = cell(step, "/note");
    let after = if note.is_empty() { format!("{} ms", cell(step, "/duration_ms")) } else { note };
    context.print.line(&format!("{name:<12} {state:<8} {after}"))?;
    for problem in step.get("problems").and_then(Value::as_array).into_iter().flatten() {
        context.print.line(&format!("  {}", cell(problem, "/detail")))?;
        for (what, at) in
            [("at", "/place"), ("expected", "/expected"), ("got", "/got"), ("mend", "/mend")]
        {
            let text = cell(problem, at);
            if !text.is_empty() {
                context.print.line(&format!("    {what}: {text}"))?;
            }
        }
    }
    Ok(())
}

fn spinner() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg}");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
