//! Idempotency keys in Redis, one Redis key for each, so that any node answers for any other.
//!
//! A *claim* is `SET key R… NX GET PX lease`. A *commit* is `SET key C… GET PX rest-of-the-window` as
//! long as the claim surely stands, so that it replaces nothing but the claim; afterwards, and from
//! the log, it is a script that leaves the commit of another event alone. A *release* is a script that
//! deletes the key where its value is still ours. All of a request goes in one pipeline each. `value`
//! has the bytes.
//!
//! # What the answer to a commit says
//!
//! | was there | what it means | done |
//! |---|---|---|
//! | our claim | the normal case | |
//! | nothing | the lease ran out, or Redis has forgotten | counted: reservation lost |
//! | another's claim | the lease ran out and somebody took the key; they will find our commit | counted: reservation lost |
//! | a commit of the same event | told twice, as after an answer that got lost | |
//! | a commit of another event | the event is stored twice | counted, logged; the earlier commit stays, or is put back where Redis had lost our claim |
//!
//! An event is durable before it is committed, so the commit stands whoever holds a mere claim: it is
//! the log that is true. A commit that came earlier stays: its outcome has been told.
//!
//! # What is told later
//!
//! A claim whose answer is not known is released in the background (`releases`), as long as its lease
//! would last. A commit that fails is made up for from the log, and so is what a process before this
//! one did not come to (`catch_up`): a durable position in the log says below which all is committed.
//! Until the log has been read up to where it was when the node started, no key can be claimed.

mod appends;
mod catch_up;
mod commands;
mod releases;
mod sent;
mod settle;
mod stats;
mod value;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_dedup::{
    AppendToken, BoxFuture, Claim, Commit, Found, Holder, Owner, Settling, SharedKeys, Unavailable,
    Wanted,
};
use tidegate_telemetry::Page;
use tidegate_wal::{Cursor, Hold, Wal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connection::{Link, LinkError};
use appends::Appends;
use catch_up::CatchUp;
use commands::Commands;
use releases::Releases;
use sent::Sent;
use stats::{Operation, Stats};

/// Of the lease the part that is left for writing and syncing, and for clocks that differ.
const MARGIN_DIVISOR: u32 = 10;

/// The longest wait that a claim in flight asks of a client, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

/// How long the store may take to end its background work when the node stops.
const CLOSING: Duration = Duration::from_secs(5);

/// How keys are kept.
#[derive(Clone, Debug)]
pub struct RedisKeysOptions {
    /// What all keys begin with.
    pub prefix: String,
    /// How long an outcome is kept, from the millisecond of its event's id.
    pub window: Duration,
    /// How long a claim stands that is neither committed nor released.
    pub lease: Duration,
    /// The file with the position in the log below which all is committed.
    pub cursor_file: PathBuf,
}

/// The keys of all nodes in one Redis.
pub struct RedisKeys {
    shared: Arc<Shared>,
    releases: Releases,
    sent: Sent,
    recovered: watch::Receiver<bool>,
    closing: watch::Sender<bool>,
    catching_up: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What requests and background tasks share.
struct Shared {
    link: Link,
    commands: Commands,
    wal: Wal,
    /// Keeps what is not committed in the log.
    hold: Hold,
    appends: Appends,
    stats: Stats,
    window: Duration,
    lease: Duration,
    /// The first half of every owner's mark, and the number of the next.
    process: [u8; 8],
    next_owner: AtomicU64,
}

impl RedisKeys {
    /// Opens the store, within a runtime: reads where the log has to be read from, holds the log there,
    /// and starts to catch up. Does not wait for Redis.
    ///
    /// # Errors
    /// Where there is no randomness to be had.
    pub fn start(link: Link, wal: Wal, options: RedisKeysOptions) -> std::io::Result<Arc<Self>> {
        let mut process = [0; 8];
        getrandom::fill(&mut process).map_err(std::io::Error::other)?;
        let (cursor, from) = Cursor::open(options.cursor_file, &[link.place(), &options.prefix]);
        let hold = wal.hold(from);
        let shared = Arc::new(Shared {
            link,
            commands: Commands::new(&options.prefix),
            appends: Appends::new(from),
            wal,
            hold,
            stats: Stats::default(),
            window: options.window,
            lease: options.lease,
            process,
            next_owner: AtomicU64::new(0),
        });
        let (recovered_sender, recovered) = watch::channel(false);
        let (closing, close) = watch::channel(false);
        let catch_up = CatchUp::new(Arc::clone(&shared), cursor, recovered_sender, close);
        let catching_up = tokio::spawn(catch_up.run());
        let releases = Releases::start(Arc::clone(&shared));
        let catching_up = tokio::sync::Mutex::new(Some(catching_up));
        let sent = Sent::default();
        Ok(Arc::new(Self { shared, releases, sent, recovered, closing, catching_up }))
    }

    async fn ask(&self, holder: &Holder, keys: &[Wanted]) -> Result<Vec<Found>, Unavailable> {
        let refuse = |detail: &str, may_hold| Unavailable { detail: detail.to_owned(), may_hold };
        if !*self.recovered.borrow() {
            return Err(refuse("the gateway is settling the keys of its log", false));
        }
        let shared = &self.shared;
        let pipeline = shared.commands.claim(holder, keys, shared.lease);
        let replies = shared.link.send(&pipeline, shared.link.deadline()).await;
        let replies = replies.map_err(|error| {
            let detail = match error {
                LinkError::Down(_) => "the store of idempotency keys cannot be used right now",
                LinkError::Timeout | LinkError::Lost => {
                    "the store of idempotency keys did not answer in time"
                }
            };
            refuse(detail, error.may_have_run())
        })?;
        let found = commands::found(holder, replies, RETRY_AFTER_MS);
        found.map_err(|why| {
            shared.link.note_refusal("claim", &why);
            refuse("the store of idempotency keys refused the request", true)
        })
    }
}

impl SharedKeys for RedisKeys {
    fn mint_owner(&self) -> Owner {
        let number = self.shared.next_owner.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut owner = [0; 16];
        let halves = self.shared.process.iter().chain(&number);
        owner.iter_mut().zip(halves).for_each(|(to, from)| *to = *from);
        Owner(owner)
    }

    fn lease_deadline(&self, sent: Instant) -> Instant {
        let lease = self.shared.lease;
        sent + (lease - lease / MARGIN_DIVISOR)
    }

    fn claim<'a>(
        &'a self,
        holder: &'a Holder,
        keys: &'a [Wanted],
    ) -> BoxFuture<'a, Result<Vec<Found>, Unavailable>> {
        Box::pin(async move {
            let begun = Instant::now();
            let found = self.ask(holder, keys).await;
            self.shared.stats.took(Operation::Claim, begun.elapsed());
            if found.is_err() {
                self.shared.stats.unavailable(keys.len() as u64);
            }
            found
        })
    }

    fn answered(&self, answers: &[Claim]) {
        self.shared.stats.answered(answers);
    }

    fn settle<'a>(&'a self, holder: &'a Holder, settling: Settling<'a>) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let begun = Instant::now();
            let until = self.shared.link.deadline();
            let told = self.shared.settle(holder, settling, until).await;
            self.shared.stats.took(Operation::Settle, begun.elapsed());
            if !told.releases {
                self.release_later(holder.clone(), settling.releases.to_vec());
            }
            told.commits
        })
    }

    fn release_later(&self, holder: Holder, keys: Vec<Wanted>) {
        let until = Instant::now() + self.shared.lease;
        if !self.releases.offer(holder, keys, until) {
            self.shared.stats.release_dropped();
        }
    }

    fn begin_append(&self) -> AppendToken {
        self.shared.appends.begin(&self.shared.wal)
    }

    fn end_append(&self, append: AppendToken) {
        self.shared.appends.end(append);
    }

    fn commit_later(&self, append: AppendToken) {
        self.shared.appends.commit_later(append, Instant::now());
    }

    fn abandon_append(&self, append: AppendToken, latest: Instant) {
        // By then the log has written it or never will.
        let settled = latest + self.shared.lease / MARGIN_DIVISOR;
        self.shared.appends.commit_later(append, settled);
    }

    fn commit_sent_later(&self, holder: Holder, commits: Vec<Commit>) {
        self.sent.commit(&self.shared, holder, commits);
    }

    fn recovered(&self) -> BoxFuture<'_, ()> {
        let mut recovered = self.recovered.clone();
        Box::pin(async move { drop(recovered.wait_for(|recovered| *recovered).await) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.closing.send_replace(true);
            let Some(task) = self.catching_up.lock().await.take() else { return };
            let ending = async {
                self.releases.close().await;
                task.await
            };
            match tokio::time::timeout(CLOSING, ending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "keys were not settled to the end"),
                Err(_) => tracing::warn!("keys are settled at the next start"),
            }
        })
    }

    fn failing(&self) -> Option<String> {
        if let Some(reason) = self.shared.link.failing() {
            return Some(format!("Redis cannot be used: {reason}"));
        }
        (!*self.recovered.borrow()).then(|| "the keys of the log are being settled".to_owned())
    }

    fn report(&self, page: &mut Page) {
        self.shared.stats.report(self.shared.appends.open(), page);
    }
}
