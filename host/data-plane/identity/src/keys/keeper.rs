//! Keeps the keys of one issuer: fetched in the background when they have an age, and sooner where a
//! token names a key that is not among them, but never more often than once in an interval. What
//! tokens ask for cannot make it more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::identity as metrics;
use tidegate_types::Digest;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::jwk::Unusable;
use super::source::{FetchError, Pace, Source};
use super::transport::Transport;
use crate::{Bounds, KeySet, KeySource};

/// The keys of one issuer, and the task that fetches them.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    issuer: String,
    source: Source,
    pace: Pace,
    max_age: Duration,
    loaded: ArcSwapOption<Loaded>,
    looks: Mutex<Looks>,
    asked: Notify,
    /// Looks that have ended.
    ended: watch::Sender<u64>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

struct Loaded {
    keys: KeySet,
    content: Digest,
    /// When they were asked for.
    at: Instant,
}

/// Looks at the source.
#[derive(Default)]
struct Looks {
    last: Option<Instant>,
    runs: bool,
    /// Somebody has asked for one since the last began.
    wanted: bool,
}

impl Keeper {
    /// Begins to fetch. To be called within a runtime.
    pub(crate) fn start(
        issuer: &str,
        source: &KeySource,
        transport: &Transport,
        bounds: &Bounds,
    ) -> Self {
        let source = Source::new(source, transport, bounds);
        let shared = Arc::new(Shared {
            issuer: issuer.to_owned(),
            pace: source.pace(bounds),
            source,
            max_age: bounds.max_age,
            loaded: ArcSwapOption::empty(),
            looks: Mutex::default(),
            asked: Notify::new(),
            ended: watch::Sender::new(0),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let task = tokio::spawn(Arc::clone(&shared).run());
        Self { shared, task }
    }

    /// Calls with the keys, where there are some that are not too old.
    pub(crate) fn with_keys<T>(&self, call: impl FnOnce(&KeySet) -> T) -> Option<T> {
        let loaded = self.shared.loaded.load();
        let loaded = loaded.as_ref().filter(|loaded| loaded.at.elapsed() <= self.shared.max_age);
        loaded.map(|loaded| call(&loaded.keys))
    }

    /// Notes that keys are missing, and waits for a look at the source that runs, or may begin now.
    /// Answers whether there was one since `ended` was taken.
    pub(crate) async fn look_again(
        &self,
        mut ended: watch::Receiver<u64>,
        patience: Duration,
    ) -> bool {
        if !self.shared.ask() {
            return false;
        }
        matches!(tokio::time::timeout(patience, ended.changed()).await, Ok(Ok(())))
    }

    /// How many looks have ended: to be taken before the keys are used, so that none is missed.
    pub(crate) fn ended(&self) -> watch::Receiver<u64> {
        self.shared.ended.subscribe()
    }

    /// As Prometheus reads it: the lines of three metrics.
    pub(crate) fn observe(&self) -> Observation {
        let loaded = self.shared.loaded.load();
        Observation {
            succeeded: self.shared.succeeded.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
            keys: self.with_keys(KeySet::len).unwrap_or(0),
            age: loaded.as_ref().map(|loaded| loaded.at.elapsed()),
        }
    }
}

/// What is told of an issuer's keys.
pub(crate) struct Observation {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// That may be used now.
    pub(crate) keys: usize,
    pub(crate) age: Option<Duration>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        let mut failing = false;
        loop {
            let begun = self.begin();
            let looked = self.look(begun).await;
            let next = match &looked {
                Ok(()) => {
                    self.succeeded.fetch_add(1, Ordering::Relaxed);
                    self.pace.refresh
                }
                Err(_) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    self.pace.interval
                }
            };
            self.tell(looked, &mut failing);
            self.locked().runs = false;
            self.ended.send_modify(|ended| *ended += 1);
            self.wait(begun, next).await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Instant {
        let begun = Instant::now();
        *self.locked() = Looks { last: Some(begun), runs: true, wanted: false };
        begun
    }

    /// Asks for a look; answers whether one runs, or begins now.
    fn ask(&self) -> bool {
        let mut looks = self.locked();
        if looks.runs {
            return true;
        }
        looks.wanted = true;
        self.asked.notify_one();
        looks.last.is_none_or(|last| last.elapsed() >= self.pace.interval)
    }

    /// Waits until the next look is due, or somebody asks for one and the interval is over.
    async fn wait(&self, begun: Instant, next: Duration) {
        let asked = async {
            loop {
                self.asked.notified().await;
                // The word may be of one who has been answered.
                if self.locked().wanted {
                    return;
                }
            }
        };
        let due = begun + next.max(self.pace.interval);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = asked => tokio::time::sleep_until((begun + self.pace.interval).into()).await,
        }
    }

    async fn look(&self, begun: Instant) -> Result<(), FetchError> {
        let bytes = self.source.read().await?;
        let content = Digest::of(&bytes);
        let before = self.loaded.load_full();
        let keys = match &before {
            Some(before) if before.content == content => before.keys.clone(),
            _ => self.read(bytes, before.as_ref().map(|before| &before.keys))?,
        };
        self.loaded.store(Some(Arc::new(Loaded { keys, content, at: begun })));
        Ok(())
    }

    fn read(&self, bytes: Vec<u8>, before: Option<&KeySet>) -> Result<KeySet, FetchError> {
        let keys = KeySet::parse_after(bytes, before.unwrap_or(&KeySet::default()))?;
        let issuer = self.issuer.as_str();
        tracing::info!(
            issuer,
            keys = keys.len(),
            left_out = keys.unusable.len(),
            "issuer's keys changed"
        );
        for why in &keys.unusable {
            if *why == Unusable::Secret {
                tracing::warn!(issuer, %why, "issuer's key left out");
            } else {
                tracing::info!(issuer, %why, "issuer's key left out");
            }
        }
        Ok(keys)
    }

    /// Logs when it begins to fail, and when it no longer does.
    fn tell(&self, looked: Result<(), FetchError>, failing: &mut bool) {
        let issuer = self.issuer.as_str();
        match looked {
            Ok(()) if *failing => tracing::info!(issuer, "issuer's keys are fetched again"),
            Err(error) if !*failing => {
                let usable_ms = self.loaded.load().as_ref().map_or(0, |loaded| {
                    self.max_age.saturating_sub(loaded.at.elapsed()).as_millis()
                });
                tracing::warn!(issuer, %error, usable_ms, "issuer's keys not fetched");
                *failing = true;
                return;
            }
            Ok(()) | Err(_) => return,
        }
        *failing = false;
    }
}

impl Observation {
    /// What is told of an issuer.
    pub(crate) fn report(&self, issuer: &str, page: &mut Page) {
        page.put(&metrics::ISSUER_FETCHES, &[issuer, "succeeded"], self.succeeded);
        page.put(&metrics::ISSUER_FETCHES, &[issuer, "failed"], self.failed);
        page.put(&metrics::ISSUER_KEYS, &[issuer], self.keys);
        if let Some(age) = self.age {
            page.put(&metrics::ISSUER_KEYS_AGE, &[issuer], age.as_secs_f64());
        }
    }
}
