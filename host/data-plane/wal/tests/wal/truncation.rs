//! Truncation: what goes, what stays of it, and what is noticed when more is missing.

use std::path::Path;
use std::sync::Arc;

use tidegate_types::{Lsn, UnixMillis};
use tidegate_wal::{Damage, OpenError, ReadError, Truncated, Wal, WalOptions};

use crate::disks::test_disk::{Op, TestDisk};
use crate::support::{self, Event, append, events, files, frames, open, options};

const ALL: UnixMillis = UnixMillis(0);

/// A log of several segments, ten groups of three events in each.
fn filled(directory: &Path) -> (Wal, Vec<Event>) {
    let (wal, _, _) = open(options(directory)).unwrap();
    let all = events(0, &[5; 120]);
    for group in all.chunks(3) {
        append(&wal, group).unwrap();
    }
    assert!(wal.stats().segments >= 4);
    (wal, all)
}

fn first(wal: &Wal) -> u64 {
    match wal.reader(Lsn(0)).next() {
        Err(ReadError::Truncated { first, .. }) => first.0,
        Ok(Some(group)) => group.first().0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_of_what_went_are_told_once_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, all) = filled(directory.path());
    let before = wal.stats();
    let done = wal.truncate_before(Lsn(70), ALL).unwrap();
    let after = wal.stats();
    let first = first(&wal);
    assert!(first > 0 && first <= 70);
    assert_eq!(before.segments - after.segments, done.segments);
    assert_eq!(after.sidecars, done.segments);
    assert_eq!(done.bytes, done.segments * 4096);
    assert_eq!(support::read_from(&wal, Lsn(first)).len() as u64, 120 - first);
    assert_eq!(wal.truncate_before(Lsn(70), ALL).unwrap(), Truncated::default());
    drop(wal);
    for _ in 0..2 {
        let (_, report, told) = open(options(directory.path())).unwrap();
        assert_eq!((report.first, report.next), (Lsn(first), Lsn(120)));
        let keyed: Vec<_> =
            all[..first as usize].iter().filter_map(|one| Some((one.mark()?, one.id()))).collect();
        let keys: Vec<_> = told.keys.iter().map(|(mark, id, _)| (*mark, *id)).collect();
        assert_eq!(keys, keyed);
        assert_eq!(keys.len() as u64, done.keys);
        for (_, id, status) in &told.keys {
            let number = id.received_at().0 - 1_700_000_000_000;
            Event { number, bytes: 5 }.record(|record| assert_eq!(record.status, *status));
        }
    }
}

#[test]
fn what_is_held_stays_until_it_is_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _) = filled(directory.path());
    let (held_early, held_late) = (wal.hold(Lsn(40)), wal.hold(Lsn(70)));
    assert_eq!((wal.releasable(Lsn(30)), wal.releasable(Lsn(100))), (Lsn(30), Lsn(40)));
    wal.truncate_before(Lsn(100), ALL).unwrap();
    let held = first(&wal);
    assert!((1..=40).contains(&held), "{held}");
    assert_eq!(support::read_from(&wal, Lsn(40)).len(), 80);
    held_early.release_before(Lsn(100));
    assert_eq!(wal.releasable(Lsn(100)), Lsn(70), "another still holds");
    held_early.release_before(Lsn(60));
    drop(held_late);
    assert_eq!(wal.releasable(Lsn(200)), Lsn(100), "a hold never goes back");
    wal.truncate_before(Lsn(100), ALL).unwrap();
    assert!(first(&wal) > 40);
}

#[test]
fn the_segment_that_is_written_to_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _) = filled(directory.path());
    wal.truncate_before(Lsn(u64::MAX), ALL).unwrap();
    assert_eq!(wal.stats().segments, 1);
    let from = first(&wal);
    assert!((1..120).contains(&from));
    append(&wal, &events(120, &[5])).unwrap();
    assert_eq!(support::read_from(&wal, Lsn(from)).len() as u64, 121 - from);
}

#[test]
fn the_newest_durable_records_stay_while_the_log_moves_to_another_segment() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(TestDisk::default());
    let options = WalOptions { disk: Arc::<TestDisk>::clone(&disk), ..options(directory.path()) };
    let (wal, _, _) = open(options).unwrap();
    append(&wal, &events(0, &[3000])).unwrap();
    disk.wait_for(Op::SyncDirectory, 3);
    let syncs = disk.count(Op::Sync);
    disk.stop_syncs(true);
    let moving = wal.append(support::batch(&events(1, &[3000])), None);
    // The writer syncs its first group in the other segment, the preparer the one after it. Were
    // the power to go now, nothing but the first segment would tell which position comes next.
    disk.wait_for(Op::Sync, syncs + 2);
    assert_eq!(wal.truncate_before(Lsn(1), ALL).unwrap(), Truncated::default());
    disk.stop_syncs(false);
    support::wait(moving).unwrap();
    assert_eq!(wal.truncate_before(Lsn(1), ALL).unwrap().segments, 1);
}

#[test]
fn keys_out_of_the_window_go_and_the_newest_sidecar_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _) = filled(directory.path());
    let at = |number: u64| UnixMillis(1_700_000_000_000 + number);
    wal.truncate_before(Lsn(100), at(45)).unwrap();
    let (kept, _) = (first(&wal), wal.stats());
    drop(wal);
    let (wal, _, told) = open(options(directory.path())).unwrap();
    assert!(told.keys.iter().all(|(_, id, _)| id.received_at() >= at(45)));
    assert!(told.keys.iter().any(|(_, id, _)| id.received_at() <= at(47)));
    // Nothing more goes, but the window moves on.
    wal.truncate_before(Lsn(0), at(1000)).unwrap();
    assert_eq!(wal.stats().sidecars, 1);
    drop(wal);
    assert_eq!(files(directory.path(), ".keys").len(), 1);
    let (_, report, _) = open(options(directory.path())).unwrap();
    assert_eq!(report.first.0, kept);
}

#[test]
fn segments_without_keys_in_the_window_leave_a_mark_of_where_the_log_begins() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _) = filled(directory.path());
    let done = wal.truncate_before(Lsn(100), UnixMillis(u64::MAX)).unwrap();
    assert!(done.segments > 1);
    assert_eq!((done.keys, wal.stats().sidecars), (0, 1));
    drop(wal);
    assert_eq!(open(options(directory.path())).unwrap().1.keys, 0);
    // The next segment vanishes: nobody truncated it.
    std::fs::remove_file(&files(directory.path(), ".wal")[0]).unwrap();
    match open(options(directory.path())) {
        Err(OpenError::Corrupt { case: Damage::Missing, .. }) => {}
        other => panic!("{other:?}", other = other.map(|(_, report, _)| report)),
    }
}

#[test]
fn a_lost_segment_is_noticed_wherever_it_was() {
    let original = tempfile::tempdir().unwrap();
    let (wal, _) = filled(original.path());
    wal.truncate_before(Lsn(30), ALL).unwrap();
    drop(wal);
    let mut segments = files(original.path(), ".wal");
    segments.retain(|path| !frames(&std::fs::read(path).unwrap()).is_empty());
    for (lost, segment) in segments.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        for path in files(original.path(), "") {
            std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
        }
        let path = directory.path().join(segment.file_name().unwrap());
        std::fs::remove_file(path).unwrap();
        let result = open(options(directory.path())).map(|(_, report, _)| report);
        let expected = if lost == 0 { Damage::Missing } else { Damage::Gap };
        match result {
            Err(OpenError::Corrupt { case, .. }) => assert_eq!(case, expected, "segment {lost}"),
            // Of the last one only the sinks' own position can tell.
            Ok(report) => assert!(lost == segments.len() - 1 && report.next < Lsn(120)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_reader_whose_position_went_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _) = filled(directory.path());
    let mut reader = wal.reader(Lsn(0));
    assert_eq!(reader.next().unwrap().unwrap().end(), Lsn(3));
    wal.truncate_before(Lsn(100), ALL).unwrap();
    match reader.next() {
        Err(ReadError::Truncated { lsn: Lsn(3), first }) => assert!(first > Lsn(3)),
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.position(), Lsn(3));
}
