//! Any sequence of operations, with and without power cuts, against a model that is a list.
//!
//! The promises: what was acknowledged is there, in order and unchanged; of what was in doubt whole
//! batches are there, a prefix; nothing else is; in-window keys survive truncation; and a log that
//! has only lost power always opens.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_types::{Lsn, UnixMillis};
use tidegate_wal::{AppendError, TruncateError, Wal, WalOptions};

use crate::disks::power_disk::{Cut, PowerDisk};
use crate::support::{self, Event, Told};

#[derive(Clone, Debug)]
enum Step {
    /// Batches that are enqueued together, each with the sizes of its events.
    Append(Vec<Vec<usize>>),
    /// Truncate before this percentage of the log, keeping the keys of the younger ones.
    Truncate {
        before: u64,
        keep: u64,
    },
    /// Read from this percentage of what is there.
    Read(u64),
    Reopen,
}

/// When and how the power goes away: after so many operations of the disk.
#[derive(Clone, Copy, Debug)]
struct Outage {
    after: u64,
    cut: Cut,
}

struct Harness {
    directory: PathBuf,
    shelf: PathBuf,
    outages: std::vec::IntoIter<Outage>,
    running: Option<(Wal, Arc<PowerDisk>, Option<Cut>)>,
    seal_after: Duration,
    /// Acknowledged events, by position.
    durable: Vec<Event>,
    /// Batches whose append has failed, in order.
    in_doubt: Vec<Vec<Event>>,
    next_number: u64,
    truncated_before: u64,
    keep_from: UnixMillis,
}

impl Harness {
    fn options(&self, disk: &Arc<PowerDisk>) -> WalOptions {
        WalOptions {
            disk: Arc::<PowerDisk>::clone(disk),
            on_fatal: Arc::new(|_| {}),
            seal_after: self.seal_after,
            ..support::options(&self.directory)
        }
    }

    /// Opens the log, however often the power goes away while it does, and checks what it tells.
    fn open(&mut self) {
        loop {
            let outage = self.outages.next();
            let lasts = outage.map_or(u64::MAX, |outage| outage.after);
            let disk = Arc::new(PowerDisk::new(&self.shelf, lasts));
            match support::open(self.options(&disk)) {
                Ok((wal, report, told)) => {
                    self.check_opened(report.first, report.next, &told);
                    self.running = Some((wal, disk, outage.map(|outage| outage.cut)));
                    return;
                }
                Err(error) => {
                    assert!(disk.is_off(), "the log did not open: {error}");
                    disk.cut(outage.expect("it went off").cut);
                }
            }
        }
    }

    fn check_opened(&mut self, first: Lsn, next: Lsn, told: &Told) {
        let mut doubtful = std::mem::take(&mut self.in_doubt).into_iter();
        while self.durable.len() < next.0 as usize {
            self.durable.extend(doubtful.next().expect("nothing that was never appended"));
        }
        assert_eq!(self.durable.len(), next.0 as usize, "acknowledged and whole batches only");
        assert!(first.0 <= self.truncated_before, "only what was to go is gone");
        let kept = &self.durable[first.0 as usize..];
        assert_eq!(told.records, support::expected(first.0, kept));
        let gone = &self.durable[..first.0 as usize];
        let told_keys: HashSet<_> = told.keys.iter().map(|(mark, id, _)| (*mark, *id)).collect();
        assert_eq!(told_keys.len(), told.keys.len(), "each key once");
        let known: HashSet<_> =
            gone.iter().filter_map(|one| Some((one.mark()?, one.id()))).collect();
        assert!(told_keys.is_subset(&known));
        for event in gone.iter().filter(|event| event.received_at() >= self.keep_from) {
            let Some(mark) = event.mark() else { continue };
            assert!(told_keys.contains(&(mark, event.id())), "key of {event:?}");
        }
    }

    fn wal(&self) -> Wal {
        self.running.as_ref().expect("it is open").0.clone()
    }

    /// Closes the log, or takes its power away and opens it again.
    fn close(&mut self) {
        let (wal, disk, cut) = self.running.take().expect("it is open");
        wal.seal_and_close();
        if disk.is_off() {
            disk.cut(cut.expect("it went off"));
        }
    }

    fn recover_if_off(&mut self) {
        if self.running.as_ref().is_some_and(|(_, disk, _)| disk.is_off()) {
            self.close();
            self.open();
        }
    }

    fn append(&mut self, batches: &[Vec<usize>]) {
        let wal = self.wal();
        let mut waiting = Vec::new();
        for sizes in batches {
            let events = support::events(self.next_number, sizes);
            self.next_number += events.len() as u64;
            waiting.push((wal.append(support::batch(&events), None), events));
        }
        for (answer, events) in waiting {
            match support::wait(answer) {
                Ok(range) => {
                    assert!(self.in_doubt.is_empty(), "no success after a failure");
                    assert_eq!(range.first.0, self.durable.len() as u64);
                    self.durable.extend(events);
                    assert_eq!(range.end.0, self.durable.len() as u64);
                    assert!(wal.durable_end() >= range.end);
                }
                Err(AppendError::Failed) => self.in_doubt.push(events),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn truncate(&mut self, before: u64, keep: u64) {
        let wal = self.wal();
        let before = self.durable.len() as u64 * before / 100;
        self.truncated_before = self.truncated_before.max(before);
        let keep = UnixMillis(1_700_000_000_000 + self.next_number * keep / 100);
        self.keep_from = self.keep_from.max(keep);
        match wal.truncate_before(Lsn(before), keep) {
            Ok(_) | Err(TruncateError::Closed) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn read(&self, percent: u64) {
        let wal = self.wal();
        // Everything that was not told to go can be read.
        let from = self.truncated_before.max(self.durable.len() as u64 * percent / 100);
        let read = support::read_from(&wal, Lsn(from));
        assert!(read.len() as u64 >= self.durable.len() as u64 - from);
        let expected = support::expected(from, &self.durable[from as usize..]);
        assert_eq!(read[..expected.len()], expected);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(batches) => self.append(batches),
            Step::Truncate { before, keep } => self.truncate(*before, *keep),
            Step::Read(percent) => self.read(*percent),
            Step::Reopen => {
                self.close();
                self.open();
            }
        }
        self.recover_if_off();
    }
}

fn run(steps: &[Step], outages: Vec<Outage>, seal_after: Duration) {
    let root = support::directory();
    let shelf = root.path().join("shelf");
    std::fs::create_dir(&shelf).unwrap();
    let mut harness = Harness {
        directory: root.path().join("log"),
        shelf,
        outages: outages.into_iter(),
        running: None,
        seal_after,
        durable: Vec::new(),
        in_doubt: Vec::new(),
        next_number: 0,
        truncated_before: 0,
        keep_from: UnixMillis(0),
    };
    harness.open();
    for step in steps {
        harness.step(step);
    }
    harness.close();
    harness.open();
    harness.close();
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        6 => proptest::collection::vec(0..60usize, 1..4),
        1 => proptest::collection::vec(600..900usize, 1..4),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => proptest::collection::vec(sizes(), 1..5).prop_map(Step::Append),
        3 => (0..=100u64, 0..=100u64).prop_map(|(before, keep)| Step::Truncate { before, keep }),
        2 => (0..=100u64).prop_map(Step::Read),
        1 => Just(Step::Reopen),
    ]
}

fn outage() -> impl Strategy<Value = Outage> {
    let cut = prop_oneof![
        1 => Just(Cut::Process),
        4 => any::<u64>().prop_map(|seed| Cut::Power { seed }),
    ];
    // Short ones hit recovery itself.
    (prop_oneof![0..20u64, 10..150u64], cut).prop_map(|(after, cut)| Outage { after, cut })
}

fn seal_after() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::from_secs(3600)), Just(Duration::from_micros(200))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn a_log_is_a_list(
        steps in proptest::collection::vec(step(), 1..40), seal_after in seal_after(),
    ) {
        run(&steps, Vec::new(), seal_after);
    }

    #[test]
    fn a_log_survives_losing_power_at_any_moment(
        steps in proptest::collection::vec(step(), 1..40),
        outages in proptest::collection::vec(outage(), 1..8),
        seal_after in seal_after(),
    ) {
        run(&steps, outages, seal_after);
    }
}
