//! All that is measured on this node.

use tidegate_telemetry::{Page, process};

use super::{Node, active};
use crate::serve::recovery::redis;

/// Series that the metrics of rules have, about; beyond, rules are summed up.
const MOST_SERIES: usize = 20_000;

impl Node {
    pub(super) fn report(&self, page: &mut Page) {
        self.gateway.report(page);
        self.wal.report(page);
        self.storage.report(page);
        self.sinks.report(page);
        redis::report(self.link.as_ref(), page);
        self.plugins.report(MOST_SERIES, page);
        active::report(&active::by_contract(&self.plugins, &self.gateway.snapshot()), page);
        process::report(env!("CARGO_PKG_VERSION"), page);
        self.telemetry.report(page);
    }
}
