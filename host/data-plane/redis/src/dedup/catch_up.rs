//! Reads from the log what is not known to be committed, commits it, and keeps the durable position up
//! to where all is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::{Commit, DedupKey, Fingerprint, Holder, Owner, Settled};
use tidegate_types::{Lsn, TenantId, UnixMillis};
use tidegate_wal::{Group, ReadError, Stored};
use tokio::sync::watch;

use super::Shared;
use super::commands::{self, Committed};

/// How often the position is made durable, where it has moved.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// The pauses after a failure: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Commits that are sent together.
const TOGETHER: usize = 500;

pub(super) struct CatchUp {
    shared: Arc<Shared>,
    cursor: tidegate_wal::Cursor,
    recovered: watch::Sender<bool>,
    close: watch::Receiver<bool>,
}

/// How far a reading of the log came.
enum Progress {
    End,
    /// Up to this position, and why not further.
    Stopped(Lsn, String),
}

impl CatchUp {
    pub(super) fn new(
        shared: Arc<Shared>,
        cursor: tidegate_wal::Cursor,
        recovered: watch::Sender<bool>,
        close: watch::Receiver<bool>,
    ) -> Self {
        Self { shared, cursor, recovered, close }
    }

    pub(super) async fn run(mut self) {
        let mut pause = PAUSES.0;
        let mut told = false;
        loop {
            let mut wait = WRITE_EVERY;
            if let Some(from) = self.shared.appends.take(Instant::now()) {
                match self.read(from).await {
                    Progress::End => {
                        self.shared.appends.read(None);
                        self.recovered.send_replace(true);
                        (pause, told) = (PAUSES.0, false);
                    }
                    Progress::Stopped(at, why) => {
                        self.shared.appends.read(Some(at));
                        if !told {
                            tracing::warn!(%at, why, "keys of the log are not committed yet");
                            told = true;
                        }
                        wait = pause;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
            }
            self.keep_position().await;
            if *self.close.borrow() {
                return;
            }
            let woken = async {
                // After a failure others wait for the pause as well.
                if wait == WRITE_EVERY {
                    self.shared.appends.failed.notified().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(wait) => {}
                closed = self.close.changed() => {
                    if closed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Commits the records at `from` and after it.
    async fn read(&self, from: Lsn) -> Progress {
        let (mut at, end) = (from, self.shared.wal.durable_end());
        let mut reader = self.shared.wal.reader(from);
        while at < end {
            // Files are not read on a thread that serves requests.
            let read = tokio::task::spawn_blocking(move || {
                let group = reader.next();
                (reader, group)
            });
            let (again, group) = match read.await {
                Ok(read) => read,
                Err(error) => return Progress::Stopped(at, error.to_string()),
            };
            reader = again;
            match group {
                Ok(Some(group)) => {
                    if let Err(why) = self.commit(&group).await {
                        return Progress::Stopped(at, why);
                    }
                    at = group.end();
                }
                Ok(None) => break,
                Err(ReadError::Truncated { first, .. }) if first > at => {
                    // Of these only the keys are left, without their tenants.
                    tracing::warn!(from = %at, to = %first, "keys of truncated records cannot be committed");
                    at = first;
                    reader = self.shared.wal.reader(at);
                }
                Err(error) => return Progress::Stopped(at, error.to_string()),
            }
        }
        Progress::End
    }

    /// Commits the keys of a group, where their window lasts.
    async fn commit(&self, group: &Group) -> Result<(), String> {
        let now = UnixMillis::now();
        let mut commits: Vec<(TenantId, (Commit, u64))> = Vec::new();
        for (_, record) in group.records() {
            let Some(mark) = record.key else { continue };
            let Some(rest_ms) = self.shared.rest(record.event_id, now) else { continue };
            let tenant = TenantId::new(record.tenant).map_err(|error| error.to_string())?;
            let settled = match record.status {
                Stored::Accepted => Settled::Accepted,
                Stored::Quarantined => Settled::Quarantined,
            };
            let (key, fingerprint) = (DedupKey(mark.key), Fingerprint(mark.fingerprint));
            let commit = Commit { key, fingerprint, event_id: record.event_id, settled };
            commits.push((tenant, (commit, rest_ms)));
        }
        for of_one in commits.chunk_by(|(one, _), (other, _)| one == other) {
            for some in of_one.chunks(TOGETHER) {
                self.commit_some(some).await?;
            }
        }
        Ok(())
    }

    /// Commits keys of one tenant.
    async fn commit_some(&self, some: &[(TenantId, (Commit, u64))]) -> Result<(), String> {
        let Some((tenant, _)) = some.first() else { return Ok(()) };
        let shared = &self.shared;
        // Nobody's: a claim that is met is that of the process before, or one that did not last.
        let holder = Holder { tenant: tenant.clone(), owner: Owner([0; 16]) };
        let commits: Vec<(Commit, u64)> = some.iter().map(|(_, commit)| *commit).collect();
        let pipeline = shared.commands.settle(&holder, &commits, false, &[]);
        shared.link.up().await;
        let until = Instant::now() + PAUSES.1;
        let replies = shared.link.run(&[&shared.commands.commit], &pipeline, until).await;
        let replies = replies.map_err(|error| error.to_string())?;
        for ((commit, _), reply) in commits.iter().zip(&replies) {
            match commands::committed(&holder, commit, reply)? {
                Committed::Again => {}
                Committed::Ours | Committed::Taken | Committed::Gone => {
                    shared.stats.made_up_for();
                }
                Committed::Twice(first) => shared.stored_twice(tenant, commit, &first),
            }
        }
        Ok(())
    }

    /// Makes the position durable where it has moved, and lets the log forget what is below.
    async fn keep_position(&mut self) {
        let settled = self.shared.appends.settled(&self.shared.wal);
        if self.cursor.written() == Some(settled) {
            return;
        }
        let mut cursor = self.cursor.clone();
        let writing = tokio::task::spawn_blocking(move || cursor.write(settled).map(|()| cursor));
        let written = writing.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match written {
            Ok(cursor) => {
                self.cursor = cursor;
                self.shared.hold.release_before(settled);
            }
            Err(error) => tracing::warn!(%error, "position of committed keys not written"),
        }
    }
}
