//! The worker over a real log and real files, one turn at a time: each stored event exactly once,
//! whatever fails and wherever the process ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tidegate_types::{Digest, EventId};
use tidegate_wal::{Action, Disposition, Record, RecordBatch, Stored, WalOptions};

use super::*;
use crate::layout::{Kind, Layout};
use crate::manifest;
use crate::publish::{Step, Steps};
use crate::storage::Opened;

/// Revision 2 has one field more than the others.
struct ByRevision;

impl Layouts for ByRevision {
    fn layout(&self, _: &str, _: &str, revision: &Digest) -> Arc<Layout> {
        let names = if revision.0[0] == 2 { &["n", "m"][..] } else { &["n"] };
        let members = names.iter().map(|name| ((*name).to_owned(), Kind::Integer));
        Arc::new(Layout::new(members.collect::<BTreeMap<_, _>>()))
    }
}

/// What happens at the step with the given number, counted from the opening of the storage.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Fail(u64, io::ErrorKind),
    Kill(u64),
}

/// Steps that opening a storage takes.
const OPENING: u64 = 2;

fn steps(fault: Option<Fault>) -> Steps {
    let mut count = 0;
    Steps::new(move |step| {
        let number = count;
        count += 1;
        match fault {
            Some(Fault::Fail(at, kind)) if at == number => Err(io::Error::from(kind)),
            Some(Fault::Kill(at)) if at == number => std::panic::panic_any(step),
            _ => Ok(()),
        }
    })
}

struct World {
    wal: Wal,
    options: StorageOptions,
    appended: u64,
    now: Instant,
    /// Dropped last: the log writes to it until it is closed.
    folder: tempfile::TempDir,
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
        options.segment_bytes = 64 << 10;
        options.group_bytes = 32 << 10;
        let (wal, _) = Wal::open(options, &mut |_| ()).unwrap();
        let options = StorageOptions::new(folder.path().join("storage"));
        Self { folder, wal, options, appended: 0, now: Instant::now() }
    }

    fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Appends one group of records; they vary in kind, status, tenant, type, date and revision.
    fn append(&mut self, count: u64) {
        let mut batch = RecordBatch::default();
        for n in self.appended..self.appended + count {
            let original = format!("{{\"n\":{n}}}");
            let day = UnixMillis(1_357_016_400_000 + n % 3 * 86_400_000);
            let record = Record {
                event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, n),
                status: if n % 5 == 0 { Stored::Quarantined } else { Stored::Accepted },
                tenant: if n % 7 == 0 { "other" } else { "acme" },
                event_type: "nasty/../type",
                revision: Digest([if n % 11 == 0 { 2 } else { 1 }; 32]),
                key: None,
                event_time: (n % 4 != 0).then_some(day),
                original: original.as_bytes(),
                patches: b"",
                findings: b"",
                context: b"",
            };
            match action(n) {
                None => batch.push(&record).unwrap(),
                Some(action) => {
                    let at = UnixMillis(1_700_000_000_000);
                    let one = Disposition { action, by: "me", reason: "so", at, record };
                    batch.push_disposition(&one).unwrap();
                }
            }
        }
        self.appended += count;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.wal.append(batch, None)).unwrap();
    }

    fn start(&self, fault: Option<Fault>) -> Process {
        let shared = Arc::new(Shared::default());
        let layouts = Arc::new(ByRevision);
        let (opened, _) = Opened::with_steps(self.options.clone(), layouts, steps(fault)).unwrap();
        let (worker, lock) = opened.into_worker(self.wal.clone(), Arc::clone(&shared)).unwrap();
        Process { worker, shared, _lock: lock }
    }

    /// One turn that publishes all; `Err` where it failed, `None` where the process was killed.
    fn flush(&self, process: &mut Process) -> Option<Result<(), WorkError>> {
        process.shared.ask(self.wal.durable_end());
        catch_unwind(AssertUnwindSafe(|| process.worker.turn(self.now))).ok()
    }

    /// Every record exactly once, in the right place; and no files but the published ones.
    fn check(&self) {
        let entries = manifest::read(&self.storage()).unwrap();
        let (mut found, mut decided) = (BTreeMap::new(), BTreeMap::new());
        let mut paths = Vec::new();
        for file in entries.iter().flat_map(|entry| &entry.files) {
            let bytes = std::fs::read(self.storage().join(&file.path)).unwrap();
            assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (file.bytes, file.sha256));
            paths.push(file.path.clone());
            let whole = self.storage().join(&file.path);
            if file.path.starts_with("dispositions/") {
                assert!(file.path.contains("/event_date=2023-11-14/"), "{}", file.path);
                for lsn in read_positions(&whole) {
                    *decided.entry(lsn).or_insert(0) += 1;
                }
                continue;
            }
            let rows = read_rows(&whole);
            assert_eq!(rows.len() as u64, file.rows);
            for (lsn, n) in rows {
                let released = file.path.ends_with("-released.parquet");
                assert_eq!(released, action(n).is_some(), "{}", file.path);
                let quarantined = file.path.starts_with("quarantine/");
                assert_eq!(quarantined, n % 5 == 0 && !released, "{}", file.path);
                assert_eq!(file.path.contains("tenant=other/"), n % 7 == 0, "{}", file.path);
                assert!(file.path.contains("/type=nasty%2F..%2Ftype/"), "{}", file.path);
                *found.entry((lsn, n)).or_insert(0) += 1;
            }
        }
        let is_event = |n: &u64| action(*n) != Some(Action::Discarded);
        let expected = (0..self.appended).filter(is_event).map(|n| ((n, n), 1));
        assert_eq!(found, expected.collect::<BTreeMap<_, _>>());
        let expected = (0..self.appended).filter(|n| action(*n).is_some()).map(|n| (n, 1));
        assert_eq!(decided, expected.collect::<BTreeMap<_, _>>());
        paths.sort();
        assert_eq!(files(&self.storage()), paths);
    }
}

/// Some positions hold decisions about events.
fn action(n: u64) -> Option<Action> {
    (n % 9 == 4).then(|| Action::ALL[(n / 9 % 3) as usize])
}

fn read_positions(path: &Path) -> Vec<u64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut positions = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let lsn = batch.column_by_name("lsn").unwrap().as_primitive::<Int64Type>();
        positions.extend(lsn.values().iter().map(|lsn| *lsn as u64));
    }
    positions
}

fn read_rows(path: &Path) -> Vec<(u64, u64)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let lsn = batch.column_by_name("lsn").unwrap().as_primitive::<Int64Type>().clone();
        let event = batch.column_by_name("event").unwrap().as_struct().clone();
        let n = event.column_by_name("n").unwrap().as_primitive::<Int64Type>().clone();
        assert_eq!((lsn.null_count(), n.null_count()), (0, 0));
        rows.extend(lsn.values().iter().zip(n.values()).map(|(lsn, n)| (*lsn as u64, *n as u64)));
    }
    rows
}

/// All files below the folders of the data sets.
fn files(storage: &Path) -> Vec<String> {
    let mut folders = crate::publish::partition::ROOTS.map(|root| storage.join(root)).to_vec();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(storage).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn publishes_when_due_and_not_before() {
    let mut world = World::new();
    let mut process = world.start(None);
    world.append(10);
    let later = |seconds| world.now + Duration::from_secs(seconds);
    process.worker.turn(later(0)).unwrap();
    process.worker.turn(later(9)).unwrap();
    assert_eq!(manifest::read(&world.storage()).unwrap(), []);
    assert_eq!(process.worker.due_at(), Some(later(10)));
    process.worker.turn(later(10)).unwrap();
    assert_eq!(process.worker.due_at(), None);
    assert_eq!(process.shared.state().published_end, Lsn(10));
    world.check();
}

#[test]
fn publishes_at_the_bound_on_bytes() {
    let mut world = World::new();
    world.options.flush_bytes = 4000;
    world.append(100);
    let mut process = world.start(None);
    process.worker.turn(world.now).unwrap();
    let entries = manifest::read(&world.storage()).unwrap();
    assert!(entries.len() > 3, "{}", entries.len());
    assert!(world.flush(&mut process).unwrap().is_ok());
    world.check();
}

#[test]
fn publishes_at_the_bound_on_partitions() {
    let mut world = World::new();
    world.options.max_open_partitions = 2;
    world.append(50);
    let mut process = world.start(None);
    assert!(world.flush(&mut process).unwrap().is_ok());
    let entries = manifest::read(&world.storage()).unwrap();
    assert!(entries.iter().all(|entry| (1..=2).contains(&entry.files.len())));
    world.check();
}

#[test]
fn dates_come_from_the_event_or_from_the_receipt() {
    let mut world = World::new();
    world.append(24);
    let mut process = world.start(None);
    assert!(world.flush(&mut process).unwrap().is_ok());
    for file in manifest::read(&world.storage()).unwrap().iter().flat_map(|entry| &entry.files) {
        if file.path.starts_with("dispositions/") {
            continue;
        }
        for (_, n) in read_rows(&world.storage().join(&file.path)) {
            let day =
                if n % 4 == 0 { "2023-11-14".into() } else { format!("2013-01-0{}", n % 3 + 1) };
            assert!(file.path.contains(&format!("/event_date={day}/")), "{n} in {}", file.path);
        }
    }
    let layouts = files(&world.storage())
        .iter()
        .filter(|path| !path.starts_with("dispositions/") && !path.ends_with("-released.parquet"))
        .map(|path| path.rsplit('-').next().unwrap().to_owned())
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(layouts.len(), 2, "one file for each layout");
}

#[test]
fn a_kill_before_any_step_leaves_each_event_once() {
    let mut at = 0;
    loop {
        let mut world = World::new();
        world.append(6);
        let mut first = world.start(None);
        assert!(world.flush(&mut first).unwrap().is_ok());
        drop(first);
        world.append(6);
        let mut killed = world.start(Some(Fault::Kill(OPENING + at)));
        let outcome = world.flush(&mut killed);
        drop(killed);
        if outcome.is_some() {
            break;
        }
        world.append(5);
        let mut next = world.start(None);
        assert!(world.flush(&mut next).unwrap().is_ok());
        world.check();
        at += 1;
    }
    assert!(at > 20, "{at} steps");
}

#[test]
fn a_failure_of_any_step_leaves_no_rubbish_and_is_tried_again() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let mut at = 0;
        loop {
            let mut world = World::new();
            world.append(6);
            let mut process = world.start(Some(Fault::Fail(OPENING + at, kind)));
            let outcome = world.flush(&mut process).unwrap();
            let Err(error) = outcome else { break };
            assert_eq!(error.is_full(), kind == io::ErrorKind::StorageFull, "{error}");
            let decided = manifest::read(&world.storage()).unwrap();
            let published = !files(&world.storage()).is_empty();
            assert!(published || decided.is_empty(), "step {at}");
            world.append(5);
            assert!(world.flush(&mut process).unwrap().is_ok(), "step {at}");
            assert_eq!(process.shared.state().totals.rows, 12, "a release has two rows");
            world.check();
            at += 1;
        }
        assert!(at > 20, "{at} steps");
    }
}

#[test]
fn rows_read_before_a_failure_of_the_log_are_not_taken_twice() {
    let mut world = World::new();
    let mut process = world.start(None);
    world.append(10);
    process.worker.turn(world.now).unwrap();
    world.append(10);
    let flip = || {
        for entry in std::fs::read_dir(world.folder.path().join("wal")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let text = b"\"n\":15";
            let found = bytes.windows(text.len()).position(|w| w == text || w == b"\"m\":15");
            if let Some(at) = found {
                bytes[at + 1] ^= b'n' ^ b'm';
                let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                io::Write::write_all(&mut file, &bytes).unwrap();
            }
        }
    };
    flip();
    let damaged = world.flush(&mut process).unwrap();
    assert!(matches!(damaged, Err(WorkError::Read(ReadError::Corrupt { .. }))), "{damaged:?}");
    flip();
    assert!(world.flush(&mut process).unwrap().is_ok());
    world.check();
}

#[test]
fn steps_come_in_their_order() {
    let mut world = World::new();
    world.append(30);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let steps = Steps::new(move |step| {
        teller.lock().unwrap().push(step);
        Ok(())
    });
    let shared = Arc::new(Shared::default());
    let (opened, _) =
        Opened::with_steps(world.options.clone(), Arc::new(ByRevision), steps).unwrap();
    let (mut worker, _lock) = opened.into_worker(world.wal.clone(), Arc::clone(&shared)).unwrap();
    told.lock().unwrap().clear();
    shared.ask(Lsn(30));
    worker.turn(world.now).unwrap();
    let told = told.lock().unwrap().clone();
    let last = |step| told.iter().rposition(|other| *other == step).unwrap();
    let first = |step| told.iter().position(|other| *other == step).unwrap();
    use Step::{AppendManifest, Published, Rename, SyncFile, SyncFolder, SyncManifest, WriteFile};
    for (before, after) in [
        (WriteFile, Rename),
        (SyncFile, Rename),
        (Rename, SyncFolder),
        (SyncFolder, AppendManifest),
        (AppendManifest, SyncManifest),
        (SyncManifest, Published),
    ] {
        assert!(last(before) < first(after), "{before:?} {after:?}");
    }
    let count = |step| told.iter().filter(|other| **other == step).count();
    assert_eq!((count(WriteFile), count(WriteFile)), (count(SyncFile), count(Rename)));
    // The folder of each file, and all above them, up to the storage folder.
    assert!(count(SyncFolder) > files(&world.storage()).len() / 2 + 4);
}

#[test]
fn the_log_forgets_what_is_published() {
    let mut world = World::new();
    let mut process = world.start(None);
    for _ in 0..6 {
        world.append(300);
        assert!(world.flush(&mut process).unwrap().is_ok());
    }
    let old = world.wal.reader(Lsn(0)).next();
    assert!(matches!(old, Err(ReadError::Truncated { .. })));
    world.check();
}

#[test]
fn foreign_files_stay_and_orphans_go() {
    let mut world = World::new();
    world.append(10);
    let mut process = world.start(None);
    assert!(world.flush(&mut process).unwrap().is_ok());
    drop(process);
    let some = PathBuf::from(files(&world.storage()).first().unwrap());
    let folder = world.storage().join(some.parent().unwrap());
    let orphans = ["part-1-2-x.parquet", "part-1-2-x.parquet.tmp"].map(|name| folder.join(name));
    let foreign = [folder.join("notes.txt"), world.storage().join("part-1-2-x.parquet")];
    for path in orphans.iter().chain(&foreign) {
        std::fs::write(path, "x").unwrap();
    }
    drop(world.start(None));
    assert!(orphans.iter().all(|path| !path.exists()));
    assert!(foreign.iter().all(|path| path.exists()));
}

#[derive(Clone, Debug)]
enum Move {
    Append(u64),
    Read,
    Flush,
    Restart(Option<Fault>),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let fault = prop_oneof![
        Just(None),
        (0..60u64).prop_map(|at| Some(Fault::Kill(OPENING + at))),
        (0..60u64).prop_map(|at| Some(Fault::Fail(OPENING + at, io::ErrorKind::StorageFull))),
    ];
    let one = prop_oneof![
        3 => (1..20u64).prop_map(Move::Append),
        1 => Just(Move::Read),
        3 => Just(Move::Flush),
        1 => fault.prop_map(Move::Restart),
    ];
    proptest::collection::vec(one, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_history_ends_with_each_event_once(moves in moves()) {
        let mut world = World::new();
        world.options.flush_bytes = 20_000;
        world.options.max_open_partitions = 6;
        let mut process = world.start(None);
        for one in moves {
            let outcome = match one {
                Move::Append(count) => {
                    world.append(count);
                    continue;
                }
                Move::Read => {
                    let turn = || process.worker.turn(world.now);
                    catch_unwind(AssertUnwindSafe(turn)).ok()
                }
                Move::Flush => world.flush(&mut process),
                Move::Restart(fault) => {
                    drop(process);
                    process = world.start(fault);
                    continue;
                }
            };
            if outcome.is_none() {
                drop(process);
                process = world.start(None);
            }
        }
        while world.flush(&mut process).is_none_or(|outcome| outcome.is_err()) {
            drop(process);
            process = world.start(None);
        }
        world.check();
        prop_assert_eq!(process.shared.state().published_end, Lsn(world.appended));
    }
}
