//! Both stores, and what requests do with them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate_dedup::{
    Claim, Dedup, DedupKey, DedupOptions, Fingerprint, HeldKeys, Keys, Moment, SharedKeys as _,
    Unavailable, Wanted,
};
use tidegate_redis::{Link, RedisKeys, RedisKeysOptions, RedisOptions};
use tidegate_telemetry::{Format, Page};
use tidegate_testkit::Redis;
use tidegate_types::{Digest, EventId, TenantId, UnixMillis};
use tidegate_wal::{KeyMark, Record, RecordBatch, Stored, Wal, WalOptions};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How keys are kept in a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    pub(crate) window: Duration,
    pub(crate) lease: Duration,
}

pub(crate) const LONG: Spans =
    Spans { window: Duration::from_secs(3600), lease: Duration::from_secs(30) };

/// A server for tests that do no harm to it. It need not write to its disk.
pub(crate) fn server() -> &'static Redis {
    static SERVER: LazyLock<Redis> = LazyLock::new(|| Redis::start_with(&[("appendonly", "no")]));
    &SERVER
}

pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test)
}

/// Runs a test over each of the stores.
pub(crate) fn on_both(spans: Spans, test: impl AsyncFn(&Keys)) {
    let options = DedupOptions { window: spans.window, lease: spans.lease, max_keys: 10_000 };
    run(test(&Keys::local(Dedup::new(options, Instant::now()))));
    run(async {
        let node = Node::start(&server().url(), spans).await;
        test(&node.keys).await;
    });
}

/// A prefix that no other test has.
pub(crate) fn new_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A node with a log and its keys in Redis.
pub(crate) struct Node {
    pub(crate) keys: Keys,
    pub(crate) wal: Wal,
    pub(crate) store: Arc<RedisKeys>,
    pub(crate) link: Link,
    pub(crate) prefix: String,
    folder: Option<TempDir>,
}

impl Node {
    /// Starts a node and waits until it answers.
    pub(crate) async fn start(url: &str, spans: Spans) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self::open(url, spans, &new_prefix(), folder);
        node.ready().await;
        node
    }

    /// Starts a node in a folder, without waiting for anything.
    pub(crate) fn open(url: &str, spans: Spans, prefix: &str, folder: TempDir) -> Self {
        let wal = open_wal(folder.path());
        let options = RedisOptions {
            url: url.to_owned(),
            connect_timeout: Duration::from_millis(500),
            response_timeout: Duration::from_millis(250),
        };
        let link = Link::start(&options).unwrap();
        let options = RedisKeysOptions {
            prefix: prefix.to_owned(),
            window: spans.window,
            lease: spans.lease,
            cursor_file: folder.path().join("committed-keys"),
        };
        let store = RedisKeys::start(link.clone(), wal.clone(), options).unwrap();
        let keys = Keys::shared(Arc::<RedisKeys>::clone(&store));
        Self { keys, wal, store, link, prefix: prefix.to_owned(), folder: Some(folder) }
    }

    pub(crate) async fn ready(&self) {
        eventually("the store answers", async || self.store.failing().is_none()).await;
    }

    /// Ends as a process ends that has time; answers its folder.
    pub(crate) async fn stop(self) -> TempDir {
        self.keys.close().await;
        self.die()
    }

    /// Ends without telling the store anything more; answers its folder.
    pub(crate) fn die(mut self) -> TempDir {
        self.wal.seal_and_close();
        self.folder.take().unwrap()
    }

    /// Appends an event with this key.
    pub(crate) async fn append(&self, number: u32, event_id: EventId) {
        let mut batch = RecordBatch::default();
        let (key, fingerprint) = (key(number).0, PAYLOAD.0);
        let record = Record {
            event_id,
            status: Stored::Accepted,
            tenant: "acme",
            event_type: "event",
            revision: Digest([0; 32]),
            key: Some(KeyMark { key, fingerprint }),
            event_time: None,
            original: b"{}",
            patches: b"",
            findings: b"",
            context: b"",
        };
        batch.push(&record).unwrap();
        self.wal.append(batch, None).await.unwrap();
    }

    /// A counter of the metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = Page::of(|page| {
            self.keys.report(page);
            self.link.report(page);
        });
        let text = page.text(Format::Prometheus);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

impl Drop for Node {
    /// The log ends before its folder does: a log that cannot write ends the process.
    fn drop(&mut self) {
        self.wal.seal_and_close();
    }
}

fn open_wal(folder: &Path) -> Wal {
    let mut options = WalOptions::new(folder.join("wal"));
    (options.segment_bytes, options.max_bytes) = (64 << 10, 16 << 20);
    (options.group_bytes, options.queue_bytes) = (16 << 10, 1 << 20);
    options.low_water_bytes = 0;
    Wal::open(options, &mut |_| {}).unwrap().0
}

pub(crate) const PAYLOAD: Fingerprint = Fingerprint([1; 16]);
pub(crate) const OTHER: Fingerprint = Fingerprint([2; 16]);

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn key(number: u32) -> DedupKey {
    DedupKey::of(&acme(), "", &number.to_string())
}

/// A new event id, received now.
pub(crate) fn new_id() -> EventId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    EventId::from_parts(UnixMillis::now(), 0, NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn wanted(keys: &[(u32, Fingerprint)]) -> Vec<Wanted> {
    let rows = keys.iter().enumerate().map(|(row, (number, fingerprint))| Wanted {
        row: u32::try_from(row).unwrap(),
        key: key(*number),
        fingerprint: *fingerprint,
    });
    rows.collect()
}

pub(crate) async fn try_claim(
    keys: &Keys,
    asked: &[(u32, Fingerprint)],
) -> Result<(HeldKeys, Vec<Claim>), Unavailable> {
    keys.claim(&acme(), &wanted(asked), Moment::now()).await
}

pub(crate) async fn claim(keys: &Keys, asked: &[(u32, Fingerprint)]) -> (HeldKeys, Vec<Claim>) {
    try_claim(keys, asked).await.unwrap()
}

/// What a claim of one key is answered; it is given back.
pub(crate) async fn look(keys: &Keys, number: u32) -> Claim {
    let (held, answers) = claim(keys, &[(number, PAYLOAD)]).await;
    held.release().await;
    answers[0]
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
