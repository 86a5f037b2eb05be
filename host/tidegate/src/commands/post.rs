//! `tidegate post`: reads events from files, posts them through the connector, and tells what came
//! of them.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use tidegate_connector::{Connector, ConnectorOptions, Endpoint, RetryPolicy, Summary};

use self::input::Input;
use self::report::Rejections;
use super::files;
use crate::cli::{EndpointName, Global, PostArguments};
use crate::client::{ingress_url, read_secret, tls};
use crate::output::{Printer, remark};

mod csv_records;
mod input;
mod key;
mod ndjson;
mod progress;
mod report;

pub(super) fn run(global: &Global, arguments: &PostArguments) -> anyhow::Result<ExitCode> {
    let connector = Connector::new(options(global, arguments)?)?;
    let taken = Arc::new(AtomicU64::new(0));
    let input = Input::new(arguments, Arc::clone(&taken));
    let bar = progress::bar(total_bytes(&arguments.files));
    let mut rejections = Rejections::default();
    let mut settled_events = 0;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let summary = runtime.block_on(connector.post_until(input, interrupted(), |settled| {
        rejections.note(&settled);
        settled_events += 1;
        progress::advance(&bar, &taken, settled_events);
    }));
    bar.finish_and_clear();
    // The thread that reads standard input may wait for ever; nobody waits for it.
    runtime.shutdown_background();

    for line in rejections.lines() {
        remark(&line);
    }
    if let Some(stopped) = &summary.stopped {
        remark(&format!("error: {stopped}"));
    }
    Printer::new(global.json).answer(&report::json(&summary), || report::text(&summary))?;
    Ok(exit_code(&summary, arguments.allow_rejected))
}

fn options(global: &Global, arguments: &PostArguments) -> anyhow::Result<ConnectorOptions> {
    let key = match (&arguments.api_key, &arguments.api_key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(file)) => read_secret(file).context("the API key cannot be read")?,
        (None, None) => anyhow::bail!("an API key is needed: name --api-key-file"),
    };
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => ingress_url(global)?,
    };
    let mut options = ConnectorOptions::new(url, key);
    // Events go out as they are in the file; `--key-field` gives them a key that is the same each time.
    options.key_field = None;
    options.tls = tls(global);
    options.endpoint = match arguments.endpoint {
        EndpointName::Batch => Endpoint::Batch,
        EndpointName::Events => Endpoint::Single,
    };
    options.batch_events = arguments.batch;
    options.connections = arguments.connections;
    options.request_timeout = arguments.request_timeout;
    options.retry = RetryPolicy {
        max_attempts: arguments.retries.saturating_add(1),
        max_elapsed: arguments.max_elapsed,
        ..RetryPolicy::default()
    };
    Ok(options)
}

/// `None` where an input has no size that is known in advance.
fn total_bytes(inputs: &[std::path::PathBuf]) -> Option<u64> {
    let size = |path: &Path| {
        let data = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        data.map(|data| data.len()).filter(|_| !files::is_stdin(path))
    };
    inputs.iter().map(|path| size(path)).sum()
}

/// Ready when Ctrl-C is pressed.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process by itself.
        std::future::pending::<()>().await;
    }
}

fn exit_code(summary: &Summary, allow_rejected: bool) -> ExitCode {
    let good = if allow_rejected { summary.is_complete() } else { summary.all_taken() };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
