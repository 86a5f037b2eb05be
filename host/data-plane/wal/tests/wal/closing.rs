//! Opening and closing: options, the lock, seals, and what is refused.

use std::time::Duration;

use tidegate_types::Lsn;
use tidegate_wal::{AppendError, LsnRange, OpenError, RecordBatch, WalOptions};

use crate::disks::test_disk::{Op, TestDisk};
use crate::support::{self, append, events, files, frames, open, options, wait};

#[test]
fn options_out_of_bounds_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    type Change = fn(&mut WalOptions);
    let cases: [(&str, Change); 8] = [
        ("segment_bytes", |options| options.segment_bytes = 4095),
        ("segment_bytes", |options| options.segment_bytes = (1 << 30) + 1),
        ("max_bytes", |options| options.max_bytes = 3 * 4096 - 1),
        ("group_bytes", |options| options.group_bytes = 0),
        ("group_bytes", |options| options.group_bytes = 4096 - 127),
        ("queue_bytes", |options| options.queue_bytes = 2047),
        ("seal_after", |options| options.seal_after = Duration::ZERO),
        ("", |options| options.group_bytes = 4096 - 128),
    ];
    for (expected, change) in cases {
        let mut options = options(directory.path());
        change(&mut options);
        match open(options) {
            Ok(_) => assert_eq!(expected, ""),
            Err(OpenError::Options { what, .. }) => assert_eq!(expected, what),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    assert!(matches!(open(options(directory.path())), Err(OpenError::Locked { .. })));
    let clone = wal.clone();
    drop(wal);
    assert!(matches!(open(options(directory.path())), Err(OpenError::Locked { .. })));
    drop(clone);
    assert!(open(options(directory.path())).is_ok());
}

#[test]
fn a_closed_log_takes_nothing_and_lets_readers_finish() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    append(&wal, &events(0, &[5, 6])).unwrap();
    let waiter = wal.clone();
    let waiter = std::thread::Builder::new()
        .spawn(move || waiter.wait_durable(Lsn(2), Duration::from_secs(600)))
        .unwrap();
    wal.seal_and_close();
    wal.seal_and_close();
    assert_eq!(waiter.join().unwrap(), Lsn(2));
    assert_eq!(append(&wal, &events(2, &[5])), Err(AppendError::Closed));
    assert_eq!(support::read_from(&wal, Lsn(0)), support::expected(0, &events(0, &[5, 6])));
}

#[test]
fn the_last_group_is_sealed_when_idle_and_on_closing() {
    let directory = tempfile::tempdir().unwrap();
    let disk = std::sync::Arc::new(TestDisk::default());
    let mut options = options(directory.path());
    options.disk = std::sync::Arc::<TestDisk>::clone(&disk);
    options.seal_after = Duration::from_millis(1);
    let (wal, _, _) = open(options).unwrap();
    // A recovered log and the prepared segment need two syncs, a group and its seal two more.
    disk.wait_for(Op::Rename, 2);
    append(&wal, &events(0, &[5, 6])).unwrap();
    disk.wait_for(Op::Sync, 4);
    let file = std::fs::read(&files(directory.path(), ".wal")[0]).unwrap();
    let counts: Vec<_> = frames(&file).iter().map(|frame| frame.2).collect();
    assert_eq!(counts, [0, 2, 0]);
    wal.seal_and_close();
    assert_eq!(wal.stats().seals, 1, "what is sealed is not sealed again");

    let (wal, _, _) = open(support::options(directory.path())).unwrap();
    append(&wal, &events(2, &[5])).unwrap();
    wal.seal_and_close();
    assert_eq!(wal.stats().seals, 1);
    let file = std::fs::read(&files(directory.path(), ".wal")[0]).unwrap();
    let counts: Vec<_> = frames(&file).iter().map(|frame| frame.2).collect();
    assert_eq!(counts, [2, 0, 1, 0], "recovery keeps the records and seals them");
}

#[test]
fn batches_of_any_size_up_to_a_segment() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    let here = |end| LsnRange { first: Lsn(end), end: Lsn(end) };
    assert_eq!(wait(wal.append(RecordBatch::default(), None)), Ok(here(0)));
    assert_eq!(wal.durable_end(), Lsn(0));
    // A record of these events has 119 or more bytes beside its original.
    for bytes in [0, 2000, 3800, 3900, 4096] {
        let event = events(7, &[bytes]);
        let fits = support::batch(&event).bytes().len() <= 4096 - 128;
        match append(&wal, &event) {
            Ok(_) => assert!(fits, "{bytes}"),
            Err(error) => assert!(!fits && error == AppendError::TooLarge, "{bytes} {error}"),
        }
    }
    let end = wal.durable_end();
    assert_eq!(end, Lsn(3));
    assert_eq!(wait(wal.append(RecordBatch::default(), None)), Ok(here(3)));
    assert_eq!(support::read_from(&wal, Lsn(0)).len(), 3);
}

#[test]
fn a_smaller_segment_size_still_opens_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let large = || WalOptions { segment_bytes: 64 << 10, ..options(directory.path()) };
    let (wal, _, _) = open(large()).unwrap();
    let all = events(0, &[500; 60]);
    for one in all.chunks(2) {
        append(&wal, one).unwrap();
    }
    drop(wal);
    let (wal, report, told) = open(options(directory.path())).unwrap();
    assert_eq!((report.first, report.next), (Lsn(0), Lsn(60)));
    assert_eq!(told.records, support::expected(0, &all));
    append(&wal, &events(60, &[500])).unwrap();
    assert_eq!(support::read_from(&wal, Lsn(59)).len(), 2);
}

#[test]
fn what_is_read_from_the_middle_of_a_group_is_its_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    let all = events(0, &[5; 9]);
    for group in all.chunks(3) {
        append(&wal, group).unwrap();
    }
    for from in 0..=9 {
        let expected = support::expected(from, &all[from as usize..]);
        assert_eq!(support::read_from(&wal, Lsn(from)), expected);
    }
    let mut beyond = wal.reader(Lsn(10));
    assert!(beyond.next().unwrap().is_none());
    append(&wal, &events(9, &[5, 5])).unwrap();
    let group = beyond.next().unwrap().unwrap();
    assert_eq!((group.first(), group.end()), (Lsn(10), Lsn(11)));
    assert_eq!(group.entries().count(), 1);
}
