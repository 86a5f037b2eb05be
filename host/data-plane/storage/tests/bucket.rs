//! Files in a bucket, where answers are lost, servers are away, and others write as well: through the
//! public API, with a real server and a wire to it that the tests hold in their hands.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_storage::manifest::{Entry, from_line};
use tidegate_storage::{
    BucketOptions, FlushError, Layout, Layouts, OpenError, PlaceError, Storage, StorageOptions,
};
use tidegate_testkit::redis::wire::{Fate, Way};
use tidegate_testkit::{Wire, s3};
use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::{Record, RecordBatch, Stored, Wal, WalOptions};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

struct NoFields;

impl Layouts for NoFields {
    fn layout(&self, _: &str, _: &str, _: &Digest) -> Arc<Layout> {
        Arc::default()
    }
}

/// A bucket, and a wire to its server.
struct Bucket {
    name: String,
    wire: Wire,
}

impl Bucket {
    fn new() -> Self {
        let server = s3::shared();
        Self { name: server.create_bucket(), wire: Wire::to(&server.address()) }
    }

    fn options(&self, folder: &Path) -> StorageOptions {
        let (key, secret) = s3::shared().credentials();
        let mut options = StorageOptions::new(folder.join("storage"));
        options.retry_after = Duration::from_millis(1);
        options.retry_at_most = Duration::from_millis(20);
        options.bucket = Some(BucketOptions {
            endpoint: format!("http://127.0.0.1:{}", self.wire.port()),
            access_key_id: key.to_owned(),
            secret_access_key: secret.to_owned(),
            ..BucketOptions::new(format!("s3://{}/events", self.name))
        });
        options
    }

    fn open(&self, node: &Node) -> Result<Storage, OpenError> {
        let (opened, _) = Storage::open(self.options(node.folder.path()), Arc::new(NoFields))?;
        opened.start(node.wal.clone())
    }

    fn entries(&self) -> Vec<Entry> {
        let keys = s3::shared().keys(&self.name, "events/manifest/");
        let lines = keys.iter().map(|key| s3::shared().get(&self.name, key).unwrap());
        lines.map(|line| from_line(&line).unwrap()).collect()
    }

    /// Rows of published files, each of which is as the manifest says; and no other files.
    fn rows(&self) -> u64 {
        let entries = self.entries();
        let files: Vec<_> = entries.iter().flat_map(|entry| &entry.files).collect();
        for file in &files {
            let bytes = s3::shared().get(&self.name, &format!("events/{}", file.path)).unwrap();
            assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (file.bytes, file.sha256));
        }
        assert_eq!(s3::shared().keys(&self.name, "events/accepted/").len(), files.len());
        files.iter().map(|file| file.rows).sum()
    }
}

/// A folder with a log.
struct Node {
    wal: Wal,
    /// Dropped last: the log writes to it until it is closed.
    folder: tempfile::TempDir,
}

fn open_wal(folder: &Path) -> Wal {
    let mut options = WalOptions::new(folder.join("wal"));
    options.low_water_bytes = 0;
    options.segment_bytes = 64 << 10;
    options.group_bytes = 32 << 10;
    Wal::open(options, &mut |_| ()).unwrap().0
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { wal: open_wal(folder.path()), folder }
    }

    /// Appends events of a tenant.
    fn append(&self, tenant: &str, count: u64) {
        let mut batch = RecordBatch::default();
        for n in 0..count {
            let original = format!("{{\"n\":{n}}}");
            let record = Record {
                event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, n),
                status: Stored::Accepted,
                tenant,
                event_type: "t",
                revision: Digest([1; 32]),
                key: None,
                event_time: None,
                original: original.as_bytes(),
                patches: b"",
                findings: b"",
                context: b"",
            };
            batch.push(&record).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.wal.append(batch, None)).unwrap();
    }

    /// The log still has what was not published.
    fn has(&self, from: Lsn) {
        assert!(self.wal.reader(from).next().unwrap().is_some());
    }
}

fn until(storage: &Storage, is_so: impl Fn(&Storage) -> bool) {
    let limit = Instant::now() + LONG;
    while !is_so(storage) {
        assert!(Instant::now() < limit, "{:?}", storage.stats());
        std::thread::yield_now();
    }
}

fn why(result: Result<Lsn, FlushError>) -> String {
    match result {
        Err(FlushError::Timeout { failing: Some(why) }) => why,
        other => panic!("{other:?}"),
    }
}

/// Cuts the connection before the answer to the next put of a key with this part gets through.
fn lose_answer(wire: &Wire, part: &'static str) {
    let mut is_asked = false;
    let mut is_lost = false;
    wire.watch(move |way, bytes| {
        let head = String::from_utf8_lossy(bytes);
        match way {
            Way::ToServer => is_asked |= head.starts_with("PUT ") && head.contains(part),
            Way::ToClient if is_asked && !is_lost => {
                is_lost = true;
                return Fate::Cut;
            }
            Way::ToClient => {}
        }
        Fate::Pass
    });
}

#[test]
fn a_put_whose_answer_was_lost_is_known_for_our_own() {
    for part in ["/writer.json", "/accepted/", "/manifest/"] {
        let (bucket, node) = (Bucket::new(), Node::new());
        lose_answer(&bucket.wire, part);
        let storage = bucket.open(&node).unwrap();
        node.append("acme", 10);
        assert_eq!(storage.flush(LONG), Ok(Lsn(10)), "{part}");
        assert_eq!((storage.stats().failures, bucket.rows()), (0, 10), "{part}");
    }
}

#[test]
fn other_content_under_a_name_is_told_and_not_replaced() {
    let (bucket, node) = (Bucket::new(), Node::new());
    let storage = bucket.open(&node).unwrap();
    node.append("acme", 10);
    storage.flush(LONG).unwrap();
    let path = bucket.entries().remove(0).files.remove(0).path;
    drop(storage);

    let (bucket, node) = (Bucket::new(), Node::new());
    let storage = bucket.open(&node).unwrap();
    let key = format!("events/{path}");
    s3::shared().put(&bucket.name, &key, b"of somebody else");
    node.append("acme", 10);
    until(&storage, |storage| storage.stats().lag == 10);
    let told = why(storage.flush(SHORT));
    assert!(
        told.contains("is there already, with other content") && told.contains(&path),
        "{told}"
    );
    assert_eq!(s3::shared().get(&bucket.name, &key).unwrap(), b"of somebody else");
    node.has(Lsn(0));
    s3::shared().remove(&bucket.name, &key);
    assert_eq!(storage.flush(LONG), Ok(Lsn(10)));
    assert_eq!(bucket.rows(), 10);
}

#[test]
fn a_prefix_has_one_folder() {
    let (bucket, first, second) = (Bucket::new(), Node::new(), Node::new());
    let storage = bucket.open(&first).unwrap();
    let refused = |node| match bucket.open(node).map(drop) {
        Err(OpenError::Place(PlaceError::OtherWriter { place })) => {
            assert_eq!(place, Path::new(&format!("s3://{}/events", bucket.name)));
        }
        other => panic!("{other:?}"),
    };
    refused(&second);
    assert!(matches!(bucket.open(&first).map(drop), Err(OpenError::Locked { .. })));
    first.append("acme", 10);
    assert_eq!(storage.flush(LONG), Ok(Lsn(10)));
    drop(storage);
    refused(&second);
    let storage = bucket.open(&first).unwrap();
    first.append("acme", 5);
    assert_eq!(storage.flush(LONG), Ok(Lsn(15)));
    assert_eq!(bucket.rows(), 15);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            std::fs::copy(&path, &target).map(drop).unwrap()
        }
    }
}

/// A copied folder has the same name in it, so both start; the manifest lets one of them go on.
#[test]
fn of_two_writers_with_one_name_the_second_stops_and_loses_nothing() {
    let (bucket, first) = (Bucket::new(), Node::new());
    let storage = bucket.open(&first).unwrap();
    first.append("acme", 10);
    storage.flush(LONG).unwrap();
    let folder = tempfile::tempdir().unwrap();
    copy(&first.folder.path().join("storage"), &folder.path().join("storage"));
    let second = Node { wal: open_wal(folder.path()), folder };
    second.append("acme", 10);
    let other = bucket.open(&second).unwrap();

    first.append("acme", 5);
    assert_eq!(storage.flush(LONG), Ok(Lsn(15)));
    second.append("other", 7);
    until(&other, |other| other.stats().lag == 7);
    other.flush(Duration::ZERO).unwrap_err();
    until(&other, |other| other.stats().failing.is_some());
    let told = other.stats().failing.unwrap();
    assert!(told.starts_with("another process writes to s3://"), "{told}");
    let refused = other.flush(SHORT).unwrap_err();
    assert!(matches!(refused, FlushError::Timeout { .. }), "{refused}");
    assert_eq!(other.stats().lag, 7);
    second.has(Lsn(10));
    drop(other);
    let refused = bucket.open(&second).map(drop);
    assert!(
        matches!(refused, Err(OpenError::Place(PlaceError::OtherWriter { .. }))),
        "{refused:?}"
    );

    drop(storage);
    let storage = bucket.open(&first).unwrap();
    first.append("acme", 1);
    assert_eq!(storage.flush(LONG), Ok(Lsn(16)));
    assert_eq!(bucket.rows(), 16);
}

#[test]
fn while_the_server_is_away_rows_stay_in_the_log_and_then_it_goes_on_by_itself() {
    let (bucket, node) = (Bucket::new(), Node::new());
    let storage = bucket.open(&node).unwrap();
    node.append("acme", 10);
    storage.flush(LONG).unwrap();
    bucket.wire.watch(|_, _| Fate::Cut);
    bucket.wire.cut();
    node.append("acme", 20);
    storage.flush(Duration::ZERO).unwrap_err();
    until(&storage, |storage| storage.stats().failures > 1);
    node.append("acme", 30);
    let stats = storage.stats();
    assert!(stats.failing.is_some_and(|why| why.contains("s3://")));
    assert_eq!((stats.published_end, stats.lag), (Lsn(10), 50));
    node.has(Lsn(10));
    bucket.wire.release();
    assert_eq!(storage.flush(LONG), Ok(Lsn(60)));
    // What a try has left is there until the next start.
    drop(storage);
    let storage = bucket.open(&node).unwrap();
    assert_eq!((storage.stats().rows, bucket.rows()), (60, 60));
    assert_eq!(storage.stats().failing, None);
}

#[test]
fn a_server_that_is_away_at_the_start_is_told() {
    let (bucket, node) = (Bucket::new(), Node::new());
    bucket.wire.watch(|_, _| Fate::Cut);
    let told = bucket.open(&node).map(drop).unwrap_err().to_string();
    assert!(told.contains("/events/writer.json"), "{told}");
    bucket.wire.release();
    bucket.open(&node).unwrap();
    let missing = Bucket { name: "there-is-none".to_owned(), ..bucket };
    let told = missing.open(&Node::new()).map(drop).unwrap_err().to_string();
    assert!(told.contains("NoSuchBucket"), "{told}");
}

/// An operator hands a prefix over: to a folder that has the log, and nothing else.
#[test]
fn a_folder_without_a_manifest_copies_the_buckets() {
    let (bucket, node) = (Bucket::new(), Node::new());
    let storage = bucket.open(&node).unwrap();
    for _ in 0..3 {
        node.append("acme", 10);
        storage.flush(LONG).unwrap();
    }
    drop(storage);
    std::fs::remove_dir_all(node.folder.path().join("storage")).unwrap();
    let refused = bucket.open(&node).map(drop);
    assert!(
        matches!(refused, Err(OpenError::Place(PlaceError::OtherWriter { .. }))),
        "{refused:?}"
    );
    s3::shared().remove(&bucket.name, "events/writer.json");

    // With a gap nobody knows what is published.
    let second = "events/manifest/00000000000000000002.json";
    let line = s3::shared().get(&bucket.name, second).unwrap();
    s3::shared().remove(&bucket.name, second);
    let refused = bucket.open(&node).map(drop).unwrap_err().to_string();
    assert!(refused.contains("an entry is missing"), "{refused}");
    s3::shared().put(&bucket.name, second, &line);

    let storage = bucket.open(&node).unwrap();
    node.append("acme", 5);
    assert_eq!(storage.flush(LONG), Ok(Lsn(35)));
    assert_eq!((storage.stats().rows, bucket.rows()), (35, 35));
}
