//! A process that ends before any step, over a real server: whatever was put, each event is published
//! once, and nothing else stays.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tidegate_testkit::s3;
use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::{Record, RecordBatch, Stored, Wal, WalOptions};

use super::*;
use crate::layout::{Layout, Layouts};
use crate::manifest::from_line;
use crate::storage::Opened;
use crate::storage::options::StorageOptions;
use crate::worker::Worker;
use crate::worker::shared::Shared;

struct NoFields;

impl Layouts for NoFields {
    fn layout(&self, _: &str, _: &str, _: &Digest) -> Arc<Layout> {
        Arc::default()
    }
}

struct World {
    wal: Wal,
    options: StorageOptions,
    bucket: String,
    _folder: tempfile::TempDir,
}

struct Process {
    worker: Worker,
    shared: Arc<Shared>,
    _lock: File,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = WalOptions::new(folder.path().join("wal"));
        options.low_water_bytes = 0;
        let (wal, _) = Wal::open(options, &mut |_| ()).unwrap();
        let bucket = s3::shared().create_bucket();
        let (key, secret) = s3::shared().credentials();
        let mut options = StorageOptions::new(folder.path().join("storage"));
        options.bucket = Some(BucketOptions {
            endpoint: s3::shared().endpoint(),
            access_key_id: key.to_owned(),
            secret_access_key: secret.to_owned(),
            ..BucketOptions::new(format!("s3://{bucket}"))
        });
        Self { wal, options, bucket, _folder: folder }
    }

    /// Appends events of three tenants.
    fn append(&self, count: u64) {
        let mut batch = RecordBatch::default();
        for n in 0..count {
            let record = Record {
                event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, n),
                status: Stored::Accepted,
                tenant: ["a", "b", "c"][(n % 3) as usize],
                event_type: "nasty/../type",
                revision: Digest([1; 32]),
                key: None,
                event_time: None,
                original: b"{}",
                patches: b"",
                findings: b"",
                context: b"",
            };
            batch.push(&record).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.wal.append(batch, None)).unwrap();
    }

    fn start(&self, steps: Steps) -> Process {
        let shared = Arc::new(Shared::default());
        let (opened, _) =
            Opened::with_steps(self.options.clone(), Arc::new(NoFields), steps).unwrap();
        let (worker, lock) = opened.into_worker(self.wal.clone(), Arc::clone(&shared)).unwrap();
        Process { worker, shared, _lock: lock }
    }

    /// One turn that publishes all; `None` where the process was killed.
    fn flush(&self, process: &mut Process) -> Option<()> {
        process.shared.ask(self.wal.durable_end());
        catch_unwind(AssertUnwindSafe(|| process.worker.turn(Instant::now()).unwrap())).ok()
    }

    /// Whoever reads the bucket finds each event once; answers how many objects no entry names.
    fn check(&self, events: u64) -> usize {
        let get = |key: &str| s3::shared().get(&self.bucket, key).unwrap();
        let keys = s3::shared().keys(&self.bucket, "manifest/");
        let (mut next, mut rows, mut files) = (Lsn(0), 0, 0);
        for key in keys {
            let entry = from_line(&get(&key)).unwrap();
            assert_eq!((key, entry.first_lsn), (entry_path(entry.sequence), next));
            next = Lsn(entry.last_lsn.0 + 1);
            for file in entry.files {
                let bytes = get(&file.path);
                assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (file.bytes, file.sha256));
                rows += file.rows;
                files += 1;
            }
        }
        assert_eq!((next, rows), (Lsn(events), events));
        s3::shared().keys(&self.bucket, "accepted/").len() - files
    }
}

#[test]
fn a_kill_before_any_step_leaves_each_event_once_and_no_orphans() {
    let (mut at, mut orphans, mut killed_at) = (0, 0, Vec::new());
    loop {
        let world = World::new();
        world.append(6);
        let mut first = world.start(Steps::unhindered());
        world.flush(&mut first).unwrap();
        drop(first);
        world.append(6);
        let mut left = at + 2;
        let steps = Steps::new(move |step| match left {
            0 => std::panic::panic_any(step),
            _ => {
                left -= 1;
                Ok(())
            }
        });
        let mut killed = world.start(steps);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            killed.shared.ask(world.wal.durable_end());
            killed.worker.turn(Instant::now()).unwrap();
        }));
        drop(killed);
        let Err(step) = outcome else { break };
        let step = *step.downcast::<Step>().unwrap();
        let is_published = step == Step::Published;
        orphans += world.check(if is_published { 12 } else { 6 });
        killed_at.push(step);
        world.append(5);
        let mut next = world.start(Steps::unhindered());
        world.flush(&mut next).unwrap();
        assert_eq!(world.check(17), 0, "{step:?}");
        at += 1;
    }
    use Step::{Announce, AppendManifest, Published, SyncManifest, WriteFile};
    let steps =
        [WriteFile, WriteFile, WriteFile, AppendManifest, SyncManifest, Announce, Published];
    assert_eq!(killed_at, steps);
    // None, one, two, and three times all three.
    assert_eq!(orphans, 12);
}

/// The next try has the same range, so it meets the objects of the first.
#[test]
fn what_a_failed_try_has_put_is_taken_by_the_next_one() {
    let mut at = 0;
    loop {
        let world = World::new();
        world.append(9);
        let mut left = at + 2;
        let steps = Steps::new(move |_| {
            left -= 1;
            if left == -1 { Err(io::Error::other("no")) } else { Ok(()) }
        });
        let mut process = world.start(steps);
        process.shared.ask(world.wal.durable_end());
        let first = process.worker.turn(Instant::now());
        world.flush(&mut process).unwrap();
        assert_eq!(world.check(9), 0, "step {at}");
        if first.is_ok() {
            break;
        }
        at += 1;
    }
    assert_eq!(at, 7);
}

#[test]
fn orphans_go_and_what_is_not_ours_stays() {
    let world = World::new();
    world.append(6);
    let mut process = world.start(Steps::unhindered());
    world.flush(&mut process).unwrap();
    drop(process);
    let keys = s3::shared().keys(&world.bucket, "accepted/");
    let folder = keys.first().and_then(|key| key.rsplit_once('/')).unwrap().0;
    let orphan = format!("{folder}/part-1-2-x.parquet");
    let foreign = [format!("{folder}/notes.txt"), "part-1-2-x.parquet".to_owned()];
    for key in foreign.iter().chain([&orphan]) {
        s3::shared().put(&world.bucket, key, b"x");
    }
    drop(world.start(Steps::unhindered()));
    assert!(s3::shared().get(&world.bucket, &orphan).is_none());
    assert!(foreign.iter().all(|key| s3::shared().get(&world.bucket, key).is_some()));
}
