//! The sinks of a node, by their names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_types::SinkName;

use super::Outlet;

/// The sinks of a node.
pub struct Outlets {
    outlets: BTreeMap<SinkName, Arc<Outlet>>,
    timeout: Duration,
}

impl Default for Outlets {
    fn default() -> Self {
        Self { outlets: BTreeMap::new(), timeout: Duration::from_secs(10) }
    }
}

impl Outlets {
    /// `timeout` is how long an answer waits for sinks.
    #[must_use]
    pub fn new(outlets: impl IntoIterator<Item = Arc<Outlet>>, timeout: Duration) -> Self {
        let outlets = outlets.into_iter().map(|outlet| (outlet.name().clone(), outlet)).collect();
        Self { outlets, timeout }
    }

    #[must_use]
    pub fn get(&self, name: &SinkName) -> Option<&Arc<Outlet>> {
        self.outlets.get(name)
    }

    /// In the order of their names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Outlet>> {
        self.outlets.values()
    }

    /// How long an answer waits for sinks.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}
