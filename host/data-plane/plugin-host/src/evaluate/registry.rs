//! The rules that are in use, of all tenants. Their warm stores share the engine's pool and one
//! budget of memory: where either is used up, those that were used least recently make room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tidegate_types::{Digest, TenantId};

use super::pool::held::Memory;
use super::rule::Rule;

/// Which rule a store belongs to: tenant, component and configuration.
pub(crate) type RuleKey = (TenantId, Digest, Digest);

/// One in so many idle stores goes where the engine's pool is used up.
const ROOM: usize = 8;

/// All rules that a plan holds.
#[derive(Default)]
pub(crate) struct Registry {
    rules: Mutex<HashMap<RuleKey, Weak<Rule>>>,
    /// Held by whoever makes room.
    making_room: Mutex<()>,
    /// How often room was made.
    rooms: AtomicU64,
    pub(crate) memory: Arc<Memory>,
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

    /// All that are in use.
    pub(crate) fn all(&self) -> Vec<Arc<Rule>> {
        match self.rules.lock() {
            Ok(rules) => rules.values().filter_map(Weak::upgrade).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// How often room was made. To be asked before an instance is started that may need some.
    pub(crate) fn rooms(&self) -> u64 {
        self.rooms.load(Ordering::Acquire)
    }

    /// Drops idle stores since the engine has no room for another instance, unless somebody has done
    /// so since `seen`: stores that are on their way out are in no list. Answers whether room was made.
    pub(crate) fn make_room(&self, seen: u64) -> bool {
        let _alone = self.making_room.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rooms() != seen {
            return true;
        }
        let rules = self.all();
        let idle: usize = rules.iter().map(|rule| rule.pool.idle_count()).sum();
        let dropped = evict(&rules, idle.div_ceil(ROOM), |_| 1);
        tracing::debug!(dropped, "idle stores made room");
        if dropped > 0 {
            self.rooms.fetch_add(1, Ordering::Release);
        }
        dropped > 0
    }

    /// Drops idle stores where all together hold more memory than they may.
    pub(crate) fn keep_budget(&self) {
        if let Some(excess) = self.memory.excess() {
            let dropped = evict(&self.all(), excess, |bytes| bytes);
            tracing::debug!(dropped, bytes = self.memory.bytes(), "idle stores gave memory back");
        }
    }

    /// Drops the stores that nobody has used for long. Answers how many.
    pub(crate) fn sweep(&self, now: u64) -> usize {
        let dropped = self.all().iter().map(|rule| rule.pool.sweep(now)).sum();
        if dropped > 0 {
            tracing::debug!(dropped, "stores that nobody used are dropped");
        }
        dropped
    }
}

/// Drops the least recently used idle stores until what they weigh comes to `need`. Answers how many.
fn evict(rules: &[Arc<Rule>], mut need: usize, weight: impl Fn(usize) -> usize) -> usize {
    let mut idle: Vec<_> = rules.iter().flat_map(|rule| rule.pool.idle()).collect();
    idle.sort_unstable_by_key(|store| store.since);
    let mut sum = 0usize;
    let enough = idle.iter().find(|store| {
        sum = sum.saturating_add(weight(store.bytes));
        sum >= need
    });
    let until = enough.or(idle.last()).map_or(0, |store| store.since);
    let mut dropped = 0;
    // First those that are older, then as many of the same moment as are needed.
    for moment in [false, true] {
        for rule in rules {
            dropped += rule.pool.drop_idle(|store| {
                let goes =
                    need > 0 && if moment { store.since == until } else { store.since < until };
                if goes {
                    need = need.saturating_sub(weight(store.bytes));
                }
                goes
            });
        }
    }
    dropped
}
