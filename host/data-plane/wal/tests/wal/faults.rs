//! Disks that fail or are full.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use tidegate_types::{Lsn, UnixMillis};
use tidegate_wal::disk::{Disk, SystemDisk};
use tidegate_wal::{AppendError, OpenError, TruncateError, Wal, WalOptions};

use crate::disks::test_disk::{Op, TestDisk};
use crate::support::{self, append, batch, events, files, open, options, wait};

/// A log on a disk that tests can break, and how often it was called broken.
fn breakable(directory: &Path) -> (WalOptions, Arc<TestDisk>, Arc<AtomicU64>) {
    let disk = Arc::new(TestDisk::default());
    let deaths = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&deaths);
    let options = WalOptions {
        disk: Arc::<TestDisk>::clone(&disk),
        on_fatal: Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        }),
        ..options(directory)
    };
    (options, disk, deaths)
}

/// Opens a log and waits until its threads have nothing to do.
fn open_quiet(options: WalOptions, disk: &TestDisk) -> Wal {
    let (wal, _, _) = open(options).unwrap();
    disk.wait_for(Op::SyncDirectory, 3);
    wal
}

#[test]
fn a_failing_write_or_sync_fails_everybody_once_and_is_not_tried_again() {
    for op in [Op::Write, Op::Sync] {
        let directory = tempfile::tempdir().unwrap();
        let (options, disk, deaths) = breakable(directory.path());
        let wal = open_quiet(options, &disk);
        append(&wal, &events(0, &[5])).unwrap();
        disk.stop_syncs(true);
        let first = wal.append(batch(&events(1, &[5])), None);
        disk.wait_for_gate();
        let waiting = wal.append(batch(&events(2, &[5])), None);
        disk.fail(op, Some(Errno::IO));
        let asked = disk.count(Op::Sync);
        disk.stop_syncs(false);
        // The write of the first was done before the disk broke.
        assert_eq!(wait(first).is_ok(), op == Op::Write, "{op:?}");
        assert_eq!(wait(waiting), Err(AppendError::Failed), "{op:?}");
        assert_eq!(append(&wal, &events(3, &[5])), Err(AppendError::Failed), "{op:?}");
        assert!(wal.truncate_before(Lsn(1), UnixMillis(0)).is_err());
        wal.seal_and_close();
        assert_eq!(deaths.load(Ordering::SeqCst), 1, "{op:?}");
        assert_eq!(disk.count(Op::Sync), asked, "{op:?}");
        let (_, report, _) = open(support::options(directory.path())).unwrap();
        assert!(report.next >= Lsn(1), "what was acknowledged is there");
    }
}

#[test]
fn a_disk_that_fails_while_a_segment_is_prepared_ends_the_log() {
    for op in [Op::Create, Op::Rename, Op::SyncDirectory] {
        let directory = tempfile::tempdir().unwrap();
        let (options, disk, deaths) = breakable(directory.path());
        let wal = open_quiet(options, &disk);
        disk.fail(op, Some(Errno::IO));
        let mut answers = Vec::new();
        for number in 0..4 {
            answers.push(append(&wal, &events(number, &[3000])));
        }
        // The first segment and the prepared one have room for two of these.
        assert_eq!(answers.last(), Some(&Err(AppendError::Failed)), "{op:?}");
        wal.seal_and_close();
        assert_eq!(deaths.load(Ordering::SeqCst), 1, "{op:?}");
    }
}

#[test]
fn a_disk_that_fails_while_segments_are_truncated_ends_the_log() {
    for op in [Op::Create, Op::Remove, Op::SyncDirectory] {
        let directory = tempfile::tempdir().unwrap();
        let (options, disk, deaths) = breakable(directory.path());
        let wal = open_quiet(options, &disk);
        append(&wal, &events(1, &[3000])).unwrap();
        append(&wal, &events(2, &[3000])).unwrap();
        disk.wait_for(Op::SyncDirectory, 4);
        disk.fail(op, Some(Errno::IO));
        let error = wal.truncate_before(Lsn(1), UnixMillis(0)).unwrap_err();
        assert!(matches!(error, TruncateError::Closed), "{op:?}");
        assert_eq!(deaths.load(Ordering::SeqCst), 1, "{op:?}");
        assert!(append(&wal, &events(3, &[5])).is_err());
    }
}

/// A disk whose sync panics, as a bug of ours would.
struct PanickingDisk(Arc<TestDisk>);

impl Disk for PanickingDisk {
    fn create(&self, path: &Path, bytes: u64) -> std::io::Result<std::fs::File> {
        self.0.create(path, bytes)
    }
    fn write_at(&self, file: &std::fs::File, bytes: &[u8], at: u64) -> std::io::Result<()> {
        assert!(bytes.len() != 32, "a seal is where this disk panics");
        self.0.write_at(file, bytes, at)
    }
    fn erase(&self, file: &std::fs::File, at: u64, bytes: u64) -> std::io::Result<()> {
        self.0.erase(file, at, bytes)
    }
    fn sync_data(&self, file: &std::fs::File) -> std::io::Result<()> {
        self.0.sync_data(file)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn sync_directory(&self, path: &Path) -> std::io::Result<()> {
        self.0.sync_directory(path)
    }
    fn free_bytes(&self, directory: &Path) -> std::io::Result<u64> {
        self.0.free_bytes(directory)
    }
}

#[test]
fn a_panic_of_the_writer_leaves_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let (mut options, disk, deaths) = breakable(directory.path());
    // A log that has records already: its recovered segment is not the size of a seal.
    let (wal, _, _) = open(support::options(directory.path())).unwrap();
    append(&wal, &events(0, &[5])).unwrap();
    drop(wal);
    options.disk = Arc::new(PanickingDisk(disk));
    options.seal_after = Duration::from_millis(1);
    let (wal, _, _) = open(options).unwrap();
    append(&wal, &events(1, &[5])).unwrap();
    // Ends only when the log does.
    wal.wait_durable(Lsn(u64::MAX), Duration::from_secs(600));
    assert_eq!(append(&wal, &events(2, &[5])), Err(AppendError::Failed));
    wal.seal_and_close();
    assert_eq!(deaths.load(Ordering::SeqCst), 1);
}

#[test]
fn a_write_without_room_is_taken_back_and_tried_again_later() {
    for error in [Errno::NOSPC, Errno::DQUOT] {
        let directory = tempfile::tempdir().unwrap();
        let (options, disk, deaths) = breakable(directory.path());
        let wal = open_quiet(options, &disk);
        append(&wal, &events(0, &[5])).unwrap();
        disk.fail(Op::Write, Some(error));
        for number in 1..4 {
            let refused = append(&wal, &events(number, &[900]));
            assert_eq!(refused, Err(AppendError::StorageFull), "{error:?}");
        }
        assert_eq!(support::read_from(&wal, Lsn(0)).len(), 1);
        // Now the process goes away: nothing half-written may be found.
        let copy = tempfile::tempdir().unwrap();
        for path in files(directory.path(), ".wal") {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let (_, report, _) = open(support::options(copy.path())).unwrap();
        assert_eq!((report.next, report.torn), (Lsn(1), None));
        // Or there is room again.
        disk.fail(Op::Write, None);
        append(&wal, &events(4, &[5])).unwrap();
        assert_eq!(wal.stats().refused_full, 3);
        drop(wal);
        assert_eq!(deaths.load(Ordering::SeqCst), 0);
        let (_, report, told) = open(support::options(directory.path())).unwrap();
        let kept = [events(0, &[5]), events(4, &[5])].concat();
        assert_eq!(told.records, support::expected(0, &kept));
        assert_eq!(report.torn, None);
    }
}

#[test]
fn below_the_low_water_mark_nothing_is_appended() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk, _) = breakable(directory.path());
    let wal = open_quiet(WalOptions { low_water_bytes: 1 << 20, ..options }, &disk);
    for (free, taken) in [(2 << 20, true), ((1 << 20) - 1, false), (0, false), (1 << 20, true)] {
        disk.set_free(free);
        assert_eq!(append(&wal, &events(1, &[5])).is_ok(), taken, "{free}");
    }
    // Recovery may use the reserve: a full disk does not keep the log from opening.
    wal.seal_and_close();
    let (options, disk, _) = breakable(directory.path());
    disk.set_free(0);
    let low = WalOptions { low_water_bytes: 1 << 20, ..options };
    let (wal, report, _) = open(low).unwrap();
    assert_eq!(report.next, Lsn(2));
    assert_eq!(append(&wal, &events(1, &[5])), Err(AppendError::StorageFull));
    disk.set_free(2 << 20);
    assert!(append(&wal, &events(1, &[5])).is_ok());
}

#[test]
fn without_room_for_another_segment_appends_wait_for_it_to_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk, _) = breakable(directory.path());
    let wal = open_quiet(options, &disk);
    disk.fail(Op::Create, Some(Errno::NOSPC));
    let taken = (0..10).take_while(|one| append(&wal, &events(*one, &[3000])).is_ok()).count();
    assert_eq!(taken, 2, "the first segment and the prepared one");
    assert_eq!(append(&wal, &events(20, &[3000])), Err(AppendError::StorageFull));
    // What still fits into the segment is taken.
    append(&wal, &events(21, &[5])).unwrap();
    assert!(matches!(wal.truncate_before(Lsn(1), UnixMillis(0)), Err(TruncateError::StorageFull)));
    assert_eq!(support::read_from(&wal, Lsn(0)).len(), 3, "nothing goes without its keys");
    disk.fail(Op::Create, None);
    append(&wal, &events(22, &[3000])).unwrap();
    assert_eq!(wal.truncate_before(Lsn(1), UnixMillis(0)).unwrap().segments, 1);
}

#[test]
fn at_its_own_limit_the_log_waits_for_truncation() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk, _) = breakable(directory.path());
    let wal = open_quiet(WalOptions { max_bytes: 5 * 4096, ..options }, &disk);
    let taken = (1..20).take_while(|one| append(&wal, &events(*one, &[3000])).is_ok()).count();
    assert_eq!(taken, 5);
    assert_eq!(wal.stats().segment_bytes, 5 * 4096);
    assert_eq!(append(&wal, &events(20, &[3000])), Err(AppendError::StorageFull));
    for number in 0..20 {
        wal.truncate_before(Lsn(number + 2), UnixMillis(u64::MAX)).unwrap();
        append(&wal, &events(30 + number, &[3000])).unwrap();
        assert!(wal.stats().segment_bytes <= 5 * 4096);
    }
    drop(wal);
    assert!(files(directory.path(), ".wal").len() <= 5);
}

#[test]
fn a_log_that_cannot_be_recovered_for_want_of_room_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    append(&wal, &events(0, &[5])).unwrap();
    drop(wal);
    let (broken, disk, _) = breakable(directory.path());
    disk.fail(Op::Create, Some(Errno::NOSPC));
    match open(broken) {
        Err(OpenError::Io { what: "make", path, .. }) => {
            assert!(path.to_string_lossy().ends_with(".wal"));
        }
        other => panic!("{:?}", other.map(|(_, report, _)| report)),
    }
    assert_eq!(open(options(directory.path())).unwrap().1.next, Lsn(1));
}

/// A file system of its own, gone with the value.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mount =
            std::process::Command::new("mount").args(arguments).arg(directory.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(directory))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmount.unwrap().success() || std::thread::panicking());
    }
}

#[test]
fn a_disk_that_is_really_full_refuses_and_recovers() {
    let Some(mount) = Mount::new(1 << 20) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let directory = mount.0.path().join("log");
    let real = || WalOptions {
        segment_bytes: 64 << 10,
        max_bytes: 64 << 20,
        disk: Arc::new(SystemDisk),
        ..options(&directory)
    };
    let (wal, _, _) = open(real()).unwrap();
    let ballast = mount.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 512 << 10]).unwrap();
    let sizes = [1500];
    let mut number = 0;
    let full = loop {
        match append(&wal, &events(number, &sizes)) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, AppendError::StorageFull);
    assert_eq!(append(&wal, &events(number, &sizes)), Err(AppendError::StorageFull));
    assert!(files(&directory, ".tmp").is_empty(), "no room is wasted");
    assert_eq!(support::read_from(&wal, Lsn(0)).len() as u64, number);
    std::fs::remove_file(&ballast).unwrap();
    for more in 0..100 {
        append(&wal, &events(number + more, &sizes)).unwrap();
    }
    drop(wal);
    let (_, report, told) = open(real()).unwrap();
    assert_eq!((report.next, report.torn), (Lsn(number + 100), None));
    let all = events(0, &vec![1500; number as usize + 100]);
    assert_eq!(told.records, support::expected(0, &all));
}

const CHILD: &str = "TIDEGATE_WAL_TEST_DIRECTORY";

/// Not a test by itself: the process that dies in the next test.
#[test]
fn dying_process() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let disk = Arc::new(TestDisk::default());
    let on_fatal = WalOptions::new(&directory).on_fatal;
    let options = options(Path::new(&directory));
    let wal =
        open_quiet(WalOptions { disk: Arc::<TestDisk>::clone(&disk), on_fatal, ..options }, &disk);
    append(&wal, &events(0, &[5])).unwrap();
    disk.fail(Op::Sync, Some(Errno::IO));
    let answer = append(&wal, &events(1, &[5]));
    assert_eq!(answer, Err(AppendError::Failed));
    wal.wait_durable(Lsn(u64::MAX), Duration::from_secs(600));
    wal.seal_and_close();
}

#[test]
fn a_failing_sync_ends_the_process_with_70() {
    let directory = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::dying_process"])
        .env(CHILD, directory.path())
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), Some(70));
    let (_, report, _) = open(options(directory.path())).unwrap();
    assert!(report.next >= Lsn(1));
}
