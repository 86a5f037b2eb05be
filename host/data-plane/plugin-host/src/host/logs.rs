//! What rules log: the last lines of each component of a tenant, and those who follow them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tidegate_types::{Digest, RuleName, UnixMillis};
use tokio::sync::broadcast;

pub use crate::guest::log::Level;

use super::observe::counters::Observed;
use super::tenant::Tenant;

/// Lines that are kept of one component.
const KEPT_LINES: usize = 256;
/// Components of a tenant whose lines are kept.
const KEPT_COMPONENTS: usize = 16;
/// Lines that a follower may be behind before it loses some.
const BEHIND: usize = 256;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub at: UnixMillis,
    pub level: Level,
    pub rule: RuleName,
    pub component: Digest,
    /// Without control characters.
    pub text: Arc<str>,
}

/// Which lines are wanted: all, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    pub component: Option<Digest>,
    pub rule: Option<RuleName>,
    /// This level and those above.
    pub level: Level,
}

impl LogFilter {
    fn takes(&self, line: &Line) -> bool {
        self.component.is_none_or(|component| component == line.component)
            && self.rule.as_ref().is_none_or(|rule| *rule == line.rule)
            && line.level >= self.level
    }
}

/// The lines of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<Digest, VecDeque<Line>>,
    /// Made for the first follower.
    followers: Option<broadcast::Sender<Line>>,
}

impl Logs {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, line: Line) {
        let mut inner = self.inner();
        if let Some(followers) = &inner.followers
            && followers.send(line.clone()).is_err()
        {
            // The last one has gone.
            inner.followers = None;
        }
        if !inner.kept.contains_key(&line.component) && inner.kept.len() >= KEPT_COMPONENTS {
            let last = |lines: &VecDeque<Line>| lines.back().map(|line| line.at);
            let quiet = inner.kept.iter().min_by_key(|(_, lines)| last(lines));
            if let Some(component) = quiet.map(|(component, _)| *component) {
                inner.kept.remove(&component);
            }
        }
        let lines = inner.kept.entry(line.component).or_default();
        if lines.len() >= KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn follow(&self, filter: &LogFilter) -> (Vec<Line>, broadcast::Receiver<Line>) {
        let mut inner = self.inner();
        let kept = inner.kept.values().flatten().filter(|line| filter.takes(line));
        let mut kept: Vec<Line> = kept.cloned().collect();
        kept.sort_by_key(|line| line.at);
        let followers = inner.followers.get_or_insert_with(|| broadcast::channel(BEHIND).0);
        (kept, followers.subscribe())
    }
}

/// Hands on what a call logged, as far as the tenant's lines reach.
pub(crate) fn emit(
    tenant: &Tenant,
    observed: &Observed,
    lines: Vec<(Level, String)>,
    mut dropped: u64,
) {
    let (_, component, rule) = &observed.key;
    let logged = lines.len() as u64;
    let kept = tenant.lines.take_some(tenant.clock.nanos(), logged);
    dropped += logged - kept;
    observed.lines.fetch_add(kept, Ordering::Relaxed);
    observed.lines_dropped.fetch_add(dropped, Ordering::Relaxed);
    let at = UnixMillis::now();
    for (level, text) in lines.into_iter().take(usize::try_from(kept).unwrap_or(usize::MAX)) {
        trace(tenant.id.as_str(), rule.as_str(), level, &text);
        let (rule, text) = (rule.clone(), text.into());
        tenant.logs.push(Line { at, level, rule, component: *component, text });
    }
    // This line is the tenant's as well: it comes with others or not at all.
    if dropped > 0 && kept > 0 {
        let (tenant, rule) = (tenant.id.as_str(), rule.as_str());
        tracing::info!(tenant, rule, dropped, "rule logged more than it may");
    }
}

fn trace(tenant: &str, rule: &str, level: Level, line: &str) {
    match level {
        Level::Debug => tracing::debug!(tenant, rule, line, "rule logged"),
        Level::Info => tracing::info!(tenant, rule, line, "rule logged"),
        // A tenant's rule does not raise the operator's alarms: what it calls a warning or an
        // error is a statement of the rule, not of the gateway.
        Level::Warn => tracing::info!(tenant, rule, line, level = "warn", "rule logged"),
        Level::Error => tracing::info!(tenant, rule, line, level = "error", "rule logged"),
    }
}

/// What comes to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    Line(Line),
    /// So many lines came faster than they were taken, and are lost to it, whether it wanted them
    /// or not.
    Lost(u64),
}

/// Gets the lines of a tenant as they come.
#[derive(Debug)]
pub struct Follower {
    lines: broadcast::Receiver<Line>,
    filter: LogFilter,
    /// Stays as long as somebody listens.
    _tenant: Arc<Tenant>,
}

impl Follower {
    pub(crate) fn new(tenant: Arc<Tenant>, filter: LogFilter) -> (Vec<Line>, Self) {
        let (kept, lines) = tenant.logs.follow(&filter);
        (kept, Self { lines, filter, _tenant: tenant })
    }

    /// The next line, or how many were lost. Waits for it; `None` at the end of the host.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            match self.lines.recv().await {
                Ok(line) if self.filter.takes(&line) => return Some(Followed::Line(line)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    return Some(Followed::Lost(lost));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(component: u8, number: u64) -> Line {
        Line {
            at: UnixMillis(number),
            level: if number.is_multiple_of(2) { Level::Info } else { Level::Error },
            rule: RuleName::new("checks").expect("name"),
            component: Digest::of(&[component]),
            text: number.to_string().into(),
        }
    }

    #[test]
    fn the_last_lines_of_the_last_components_are_kept() {
        let logs = Logs::default();
        for number in 0..1000 {
            logs.push(line(0, number));
        }
        let (kept, _) = logs.follow(&LogFilter { level: Level::Error, ..LogFilter::default() });
        assert_eq!(kept.len(), KEPT_LINES / 2);
        assert_eq!(kept.last().map(|line| line.at), Some(UnixMillis(999)));
        for component in 1..=20 {
            logs.push(line(component, 1000 + u64::from(component)));
        }
        let (kept, _) = logs.follow(&LogFilter::default());
        assert_eq!(kept.len(), KEPT_COMPONENTS);
        let of = LogFilter { component: Some(Digest::of(&[20])), ..LogFilter::default() };
        assert_eq!(logs.follow(&of).0, [line(20, 1020)]);
    }
}
