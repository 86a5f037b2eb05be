//! The rules that are in use, of all tenants. Their warm stores share the engine's pool: where it
//! is used up, those that nobody has asked for lately make room for a rule that is needed now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tidegate_types::{Digest, TenantId};

use super::rule::Rule;

/// Which rule a store belongs to: tenant, component and configuration.
pub(crate) type RuleKey = (TenantId, Digest, Digest);

/// All rules that a plan holds.
#[derive(Default)]
pub(crate) struct Registry {
    rules: Mutex<HashMap<RuleKey, Weak<Rule>>>,
}

impl Registry {
    pub(crate) fn get(&self, key: &RuleKey) -> Option<Arc<Rule>> {
        self.rules.lock().ok()?.get(key)?.upgrade()
    }

    pub(crate) fn put(&self, key: RuleKey, rule: &Arc<Rule>) {
        if let Ok(mut rules) = self.rules.lock() {
            rules.retain(|_, rule| rule.strong_count() > 0);
            rules.insert(key, Arc::downgrade(rule));
        }
    }

    /// Drops the idle stores of rules that were not used since the last time, or of all rules
    /// where each was used. Answers whether there is room now.
    pub(crate) fn make_room(&self) -> bool {
        let rules: Vec<Arc<Rule>> = match self.rules.lock() {
            Ok(rules) => rules.values().filter_map(Weak::upgrade).collect(),
            Err(_) => return false,
        };
        let sweep = || rules.iter().map(|rule| rule.pool.sweep()).sum::<usize>();
        let mut dropped = sweep();
        if dropped == 0 {
            dropped = sweep();
        }
        tracing::info!(dropped, "idle stores made room");
        dropped > 0
    }
}
