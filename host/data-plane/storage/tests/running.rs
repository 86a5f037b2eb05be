//! A storage as the gateway runs it: with its thread, over a real log, through the public API.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tidegate_storage::{FlushError, Layout, Layouts, OpenError, Storage, StorageOptions, manifest};
use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::{Record, RecordBatch, Stored, Wal, WalOptions};

const LONG: Duration = Duration::from_secs(60);

struct NoFields;

impl Layouts for NoFields {
    fn layout(&self, _: &str, _: &str, _: &Digest) -> Arc<Layout> {
        Arc::default()
    }
}

fn open_wal(folder: &Path) -> Wal {
    let mut options = WalOptions::new(folder.join("wal"));
    options.low_water_bytes = 0;
    options.segment_bytes = 64 << 10;
    options.group_bytes = 32 << 10;
    Wal::open(options, &mut |_| ()).unwrap().0
}

fn options(folder: &Path) -> StorageOptions {
    let mut options = StorageOptions::new(folder.join("storage"));
    options.retry_after = Duration::from_millis(1);
    options.retry_at_most = Duration::from_millis(20);
    options
}

fn start(folder: &Path, wal: &Wal) -> Storage {
    let (opened, _) = Storage::open(options(folder), Arc::new(NoFields)).unwrap();
    opened.start(wal.clone()).unwrap()
}

fn append(wal: &Wal, count: u64) {
    let mut batch = RecordBatch::default();
    for n in 0..count {
        let original = format!("{{\"n\":{n},\"padding\":\"{}\"}}", "x".repeat(100));
        let record = Record {
            event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, n),
            status: Stored::Accepted,
            tenant: "acme",
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
    runtime.block_on(wal.append(batch, None)).unwrap();
}

fn published_rows(folder: &Path) -> u64 {
    let entries = manifest::read(&folder.join("storage")).unwrap();
    entries.iter().flat_map(|entry| &entry.files).map(|file| file.rows).sum()
}

#[test]
fn flush_publishes_all_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wal = open_wal(folder);
    let storage = start(folder, &wal);
    assert_eq!(storage.flush(LONG), Ok(Lsn(0)));
    append(&wal, 100);
    assert_eq!(storage.flush(LONG), Ok(Lsn(100)));
    let stats = storage.stats();
    assert_eq!((stats.published_end, stats.files, stats.rows, stats.lag), (Lsn(100), 1, 100, 0));
    assert_eq!((stats.failing, stats.failures, stats.running), (None, 0, true));
    storage.close();
    assert!(!storage.stats().running);
    append(&wal, 50);
    assert_eq!(storage.flush(LONG), Err(FlushError::Closed));
    assert_eq!(storage.stats().lag, 50);
    drop(storage);
    wal.seal_and_close();
    drop(wal);

    let (opened, next) = Storage::open(options(folder), Arc::new(NoFields)).unwrap();
    assert_eq!(next, Lsn(100));
    let wal = open_wal(folder);
    let storage = opened.start(wal).unwrap();
    assert_eq!(storage.flush(LONG), Ok(Lsn(150)));
    assert_eq!(published_rows(folder), 150);
    assert_eq!(storage.stats().rows, 150);
}

#[test]
fn old_rows_are_published_without_being_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wal = open_wal(folder);
    let options = StorageOptions { flush_after: Duration::from_millis(1), ..options(folder) };
    let (opened, _) = Storage::open(options, Arc::new(NoFields)).unwrap();
    let storage = opened.start(wal.clone()).unwrap();
    append(&wal, 10);
    let limit = std::time::Instant::now() + LONG;
    while storage.stats().lag > 0 {
        assert!(std::time::Instant::now() < limit, "{:?}", storage.stats());
        std::thread::yield_now();
    }
    assert_eq!(published_rows(folder), 10);
}

#[test]
fn a_failing_disk_is_told_and_recovered_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wal = open_wal(folder);
    let storage = start(folder, &wal);
    // A file where a folder must be made.
    let blocker = folder.join("storage/accepted");
    std::fs::write(&blocker, "").unwrap();
    append(&wal, 10);
    let error = storage.flush(Duration::from_millis(300)).unwrap_err();
    assert!(
        matches!(&error, FlushError::Timeout { failing: Some(why) } if why.contains("accepted")),
        "{error}"
    );
    assert!(storage.stats().failures > 0 && storage.stats().failing.is_some());
    std::fs::remove_file(&blocker).unwrap();
    assert_eq!(storage.flush(LONG), Ok(Lsn(10)));
    assert_eq!(published_rows(folder), 10);
}

/// Mounts a memory file system, which takes a privilege that not every machine gives.
fn mount(arguments: &[&str], folder: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg("tmpfs").arg(folder).output();
    mounted.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_keeps_rows_in_the_log_and_passes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let disk = folder.join("storage");
    std::fs::create_dir(&disk).unwrap();
    if !mount(&["-t", "tmpfs", "-o", "size=64k"], &disk) {
        eprintln!("skipped: no right to mount a file system");
        return;
    }
    let wal = open_wal(folder);
    let storage = start(folder, &wal);
    append(&wal, 10);
    assert_eq!(storage.flush(LONG), Ok(Lsn(10)));
    let filler = disk.join("filler");
    let blocks = std::iter::successors(Some(16 << 10), |bytes| Some(bytes / 2)).take(15);
    for bytes in blocks {
        // Fills the disk to the last block.
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        while file.write_all(&vec![b'x'; bytes]).is_ok() {}
    }
    append(&wal, 20);
    let error = storage.flush(Duration::from_millis(300)).unwrap_err();
    assert!(
        matches!(&error, FlushError::Timeout { failing: Some(why) } if why.contains("No space")),
        "{error}"
    );
    assert_eq!((published_rows(folder), storage.stats().lag), (10, 20));
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(storage.flush(LONG), Ok(Lsn(30)));
    assert_eq!(published_rows(folder), 30);
    drop(storage);
    let unmounted = Command::new("umount").arg(&disk).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
}

#[test]
fn a_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wal = open_wal(folder);
    let storage = start(folder, &wal);
    let second = Storage::open(options(folder), Arc::new(NoFields)).map(|_| ());
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
    drop(storage);
    start(folder, &wal);
}

#[test]
fn a_log_that_does_not_belong_here_is_refused_before_anything_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wal = open_wal(folder);
    let storage = start(folder, &wal);
    for _ in 0..8 {
        append(&wal, 200);
        storage.flush(LONG).unwrap();
    }
    drop(storage);

    // The manifest is lost, and the log has forgotten what it said.
    let path = folder.join("storage/manifest.jsonl");
    let lines = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (opened, next) = Storage::open(options(folder), Arc::new(NoFields)).unwrap();
    assert_eq!(next, Lsn(0));
    let refused = opened.start(wal.clone()).map(|_| ());
    assert!(matches!(refused, Err(OpenError::Log { next: Lsn(0), .. })), "{refused:?}");

    // With it again, nothing is missing.
    std::fs::write(&path, &lines).unwrap();
    assert_eq!(start(folder, &wal).flush(LONG), Ok(Lsn(1600)));
    let files = manifest::read(&folder.join("storage")).unwrap();
    for file in files.iter().flat_map(|entry| &entry.files) {
        assert!(folder.join("storage").join(&file.path).exists(), "{}", file.path);
    }

    // Another log, with less in it than is published.
    let other = tempfile::tempdir().unwrap();
    let (opened, _) = Storage::open(options(folder), Arc::new(NoFields)).unwrap();
    let refused = opened.start(open_wal(other.path())).map(|_| ());
    assert!(
        matches!(refused, Err(OpenError::LogBehind { end: Lsn(0), next: Lsn(1600) })),
        "{refused:?}"
    );
}

#[test]
fn options_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let good = options(folder.path());
    for (bad, what) in [
        (StorageOptions { flush_bytes: 0, ..good.clone() }, "flush_bytes"),
        (StorageOptions { flush_bytes: 1 << 40, ..good.clone() }, "flush_bytes"),
        (StorageOptions { max_open_partitions: 0, ..good.clone() }, "max_open_partitions"),
        (StorageOptions { poll: Duration::ZERO, ..good.clone() }, "poll"),
        (StorageOptions { retry_at_most: Duration::MAX, ..good }, "retry_at_most"),
    ] {
        let refused = Storage::open(bad, Arc::new(NoFields)).map(|_| ());
        assert!(
            matches!(&refused, Err(OpenError::Options { what: found, .. }) if *found == what),
            "{refused:?}"
        );
    }
}
