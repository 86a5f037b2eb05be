//! Telling a sink of published files, where the settings name one.

use std::sync::Arc;

use anyhow::Context as _;
use tidegate_config::Config;
use tidegate_notices::{NoticeOptions, Notices};
use tidegate_storage::{BucketOptions, Storage};

use super::Sinks;

/// Beside the positions of sinks, and a name that no sink has.
const CURSOR: &str = ".notices";

/// To be called when storage runs.
pub(in crate::serve) fn start(
    config: &Config,
    sinks: &Sinks,
    storage: &Arc<Storage>,
) -> anyhow::Result<Option<Notices>> {
    let Some(name) = &config.storage.notify else { return Ok(None) };
    let outlet = sinks.outlets().get(name).with_context(|| {
        format!("storage.notify: there is no sink `{name}`: write one with this name")
    })?;
    let from = &config.storage;
    let url = || BucketOptions::new(&from.url).of_node(&config.node.name).url;
    let options = NoticeOptions {
        outlet: Arc::clone(outlet),
        node: config.node.name.clone(),
        storage: if from.url.is_empty() { from.directory.display().to_string() } else { url() },
        cursor: config.sinks.directory.join(CURSOR),
    };
    Notices::start(options, Arc::clone(storage)).map(Some).context("storage.notify")
}
