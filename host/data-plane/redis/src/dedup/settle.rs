//! Commits and releases, and what their replies mean.

use std::time::Instant;

use redis::Value;
use tidegate_dedup::{Commit, Holder, Settling, Wanted};
use tidegate_types::{EventId, TenantId, UnixMillis};

use super::Shared;
use super::commands::{self, Committed};
use super::value::First;

/// What of a request the store was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// All commits.
    pub(super) commits: bool,
    /// All releases.
    pub(super) releases: bool,
}

impl Shared {
    /// Commits and releases in one pipeline. What is out of its window needs no commit.
    pub(super) async fn settle(
        &self,
        holder: &Holder,
        settling: Settling<'_>,
        until: Instant,
    ) -> Told {
        let Settling { commits, releases, lease_deadline } = settling;
        let now = UnixMillis::now();
        let in_window = |one: &Commit| Some((*one, self.rest(one.event_id, now)?));
        let commits: Vec<_> = commits.iter().filter_map(in_window).collect();
        let surely_ours = lease_deadline.is_some_and(|latest| Instant::now() < latest);
        let pipeline = self.commands.settle(holder, &commits, surely_ours, releases);
        if pipeline.is_empty() {
            return Told { commits: true, releases: true };
        }
        let scripts = [&self.commands.commit, &self.commands.release];
        let Ok(replies) = self.link.run(&scripts, &pipeline, until).await else {
            return Told { commits: false, releases: releases.is_empty() };
        };
        let (of_commits, of_releases) = replies.split_at(commits.len().min(replies.len()));
        let all = self.hear_commits(holder, &commits, of_commits, surely_ours).await;
        Told { commits: all, releases: self.hear_releases(releases, of_releases) }
    }

    /// Counts what the replies to commits say; answers whether all were made.
    async fn hear_commits(
        &self,
        holder: &Holder,
        commits: &[(Commit, u64)],
        replies: &[Value],
        surely_ours: bool,
    ) -> bool {
        let mut all = replies.len() == commits.len();
        let mut twice = Vec::new();
        for ((commit, _), reply) in commits.iter().zip(replies) {
            match commands::committed(holder, commit, reply) {
                Ok(Committed::Ours | Committed::Again) => self.stats.committed(1),
                Ok(Committed::Taken | Committed::Gone) => {
                    self.stats.committed(1);
                    self.stats.reservation_lost();
                }
                Ok(Committed::Twice(first)) => {
                    self.stats.reservation_lost();
                    self.stored_twice(&holder.tenant, commit, &first);
                    twice.push((*commit, first));
                }
                Err(why) => {
                    tracing::debug!(why, "redis refused a commit");
                    self.stats.commit_refused();
                    all = false;
                }
            }
        }
        if surely_ours && !twice.is_empty() {
            self.put_back(&holder.tenant, &twice).await;
        }
        all
    }

    /// Counts an event that is stored a second time.
    pub(super) fn stored_twice(&self, tenant: &TenantId, commit: &Commit, first: &First) {
        if self.stats.stored_twice(commit.event_id) {
            let (event_id, first) = (commit.event_id, first.event_id);
            tracing::warn!(tenant = tenant.as_str(), %event_id, %first, "event stored twice");
        }
    }

    /// Puts back commits of earlier events that Redis had although our claims stood there.
    async fn put_back(&self, tenant: &TenantId, replaced: &[(Commit, First)]) {
        let now = UnixMillis::now();
        let back = replaced
            .iter()
            .filter_map(|(commit, first)| Some((commit, first, self.rest(first.event_id, now)?)));
        let back: Vec<_> = back.collect();
        let pipeline = self.commands.put_back(tenant, &back);
        if !pipeline.is_empty() {
            // Where it cannot be put back now, the later outcome is what is told from here on.
            let scripts = [&self.commands.put_back];
            drop(self.link.run(&scripts, &pipeline, self.link.deadline()).await);
        }
    }

    /// Releases keys; answers whether that is done.
    pub(super) async fn release(&self, holder: &Holder, keys: &[Wanted], until: Instant) -> bool {
        let pipeline = self.commands.release(holder, keys);
        let replies = self.link.run(&[&self.commands.release], &pipeline, until).await;
        replies.is_ok_and(|replies| self.hear_releases(keys, &replies))
    }

    fn hear_releases(&self, keys: &[Wanted], replies: &[Value]) -> bool {
        let released = replies.iter().filter(|reply| commands::is_done(reply)).count();
        self.stats.released(released as u64);
        released == keys.len()
    }

    /// What is left of an event's window, in milliseconds.
    pub(super) fn rest(&self, event_id: EventId, now: UnixMillis) -> Option<u64> {
        let window = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        let end = event_id.received_at().0.saturating_add(window);
        end.checked_sub(now.0).filter(|rest| *rest > 0)
    }
}
