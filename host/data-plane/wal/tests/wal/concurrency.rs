//! Group commit: who is answered when, what is written together, and many threads at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_types::Lsn;
use tidegate_wal::{AppendError, LsnRange, WalOptions};

use crate::disks::test_disk::{Op, TestDisk};
use crate::support::{self, append, batch, events, open, options, wait};

fn gated(directory: &std::path::Path) -> (WalOptions, Arc<TestDisk>) {
    let disk = Arc::new(TestDisk::default());
    (WalOptions { disk: Arc::<TestDisk>::clone(&disk), ..options(directory) }, disk)
}

#[test]
fn an_answer_waits_for_its_sync_and_the_next_group_for_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = gated(directory.path());
    let (wal, _, _) = open(options).unwrap();
    disk.wait_for(Op::Rename, 2);
    disk.take_order();
    disk.stop_syncs(true);
    let mut first = Box::pin(wal.append(batch(&events(0, &[10])), None));
    disk.wait_for_gate();
    let later: Vec<_> =
        (1..9).map(|number| wal.append(batch(&events(number, &[10, 10])), None)).collect();
    let nobody = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.as_mut().poll(nobody).is_pending());
    assert_eq!(wal.durable_end(), Lsn(0));
    assert_eq!(support::read_from(&wal, Lsn(0)), []);
    assert_eq!(disk.take_order(), [Op::Write], "nothing is written behind an unsynced group");
    disk.stop_syncs(false);
    assert_eq!(wait(first), Ok(LsnRange { first: Lsn(0), end: Lsn(1) }));
    for (number, answer) in (0..).zip(later) {
        let first = Lsn(1 + 2 * number);
        assert_eq!(wait(answer), Ok(LsnRange { first, end: Lsn(first.0 + 2) }));
    }
    // What came while the first was synced went together.
    assert_eq!(disk.take_order(), [Op::Sync, Op::Write, Op::Sync]);
    let stats = wal.stats();
    assert_eq!((stats.groups, stats.records, stats.syncs.count), (2, 17, 2));
}

#[test]
fn groups_and_queue_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let (mut options, disk) = gated(directory.path());
    options.queue_bytes = 4096;
    let (wal, _, _) = open(options).unwrap();
    disk.wait_for(Op::Rename, 2);
    disk.stop_syncs(true);
    let first = wal.append(batch(&events(0, &[10])), None);
    disk.wait_for_gate();
    let answers: Vec<_> =
        (0..40).map(|number| wal.append(batch(&events(number * 11, &[300])), None)).collect();
    assert!(wal.stats().queued_bytes <= 4096);
    disk.stop_syncs(false);
    wait(first).unwrap();
    let answers: Vec<_> = answers.into_iter().map(wait).collect();
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((4..10).contains(&taken), "{taken}");
    assert!(answers[taken..].iter().all(|answer| *answer == Err(AppendError::Overloaded)));
    let stats = wal.stats();
    assert_eq!(stats.refused_overloaded, 40 - taken as u64);
    assert!(stats.groups >= 3, "groups of at most 2048 bytes: {}", stats.groups);
    assert_eq!(stats.queued_bytes, 0);
    assert!(append(&wal, &events(50, &[10])).is_ok(), "it is taken in again");
}

#[test]
fn a_late_batch_is_not_written_and_others_of_its_group_are() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = gated(directory.path());
    let (wal, _, _) = open(options).unwrap();
    disk.wait_for(Op::Rename, 2);
    disk.stop_syncs(true);
    let first = wal.append(batch(&events(0, &[10])), None);
    disk.wait_for_gate();
    let latest = Instant::now() + Duration::from_millis(1);
    let late = wal.append(batch(&events(1, &[10])), Some(latest));
    let timely = wal.append(batch(&events(2, &[10])), Some(latest + Duration::from_secs(3600)));
    while Instant::now() <= latest {
        std::thread::yield_now();
    }
    disk.stop_syncs(false);
    assert!(wait(first).is_ok());
    assert_eq!(wait(late), Err(AppendError::Expired));
    assert_eq!(wait(timely), Ok(LsnRange { first: Lsn(1), end: Lsn(2) }));
    assert_eq!(wal.stats().expired, 1);
    wal.seal_and_close();
    let (_, _, told) = open(support::options(directory.path())).unwrap();
    let kept = [events(0, &[10]), events(2, &[10])].concat();
    assert_eq!(told.records, support::expected(0, &kept));
}

#[test]
fn dropping_the_future_does_not_cancel_the_append() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    drop(wal.append(batch(&events(0, &[10])), None));
    assert_eq!(wal.wait_durable(Lsn(0), Duration::from_secs(60)), Lsn(1));
    assert_eq!(support::read_from(&wal, Lsn(0)).len(), 1);
}

#[test]
fn many_threads_append_while_one_reads() {
    const THREADS: u64 = 8;
    const BATCHES: u64 = 150;
    let directory = tempfile::tempdir().unwrap();
    let (wal, _, _) = open(options(directory.path())).unwrap();
    let all = THREADS * BATCHES * 2;
    let mut ranges = Vec::new();
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let wal = wal.clone();
                scope.spawn(move || {
                    let numbers = (0..BATCHES).map(|one| (thread * BATCHES + one) * 2);
                    let append = |number| (append(&wal, &events(number, &[20, 30])), number);
                    numbers.map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        let reader = wal.clone();
        let tail = scope.spawn(move || {
            let mut tail = reader.reader(Lsn(0));
            let mut read = Vec::new();
            while (read.len() as u64) < all {
                reader.wait_durable(tail.position(), Duration::from_secs(60));
                while let Some(group) = tail.next().unwrap() {
                    read.extend(group.entries().map(|(lsn, entry)| (lsn, support::id_of(&entry))));
                }
            }
            read
        });
        for appender in appenders {
            let mine = appender.join().unwrap();
            assert!(mine.iter().map(|(range, _)| range.unwrap().first).is_sorted());
            ranges.extend(mine);
        }
        let read = tail.join().unwrap();
        ranges.sort_by_key(|(range, _)| range.unwrap().first);
        let in_order = ranges.iter().flat_map(|(_, number)| events(*number, &[20, 30]));
        assert_eq!(read, support::expected(0, &in_order.collect::<Vec<_>>()));
    });
    assert_eq!(wal.durable_end(), Lsn(all));
    let stats = wal.stats();
    assert_eq!(stats.records, all);
    assert!(stats.groups <= THREADS * BATCHES);
}
