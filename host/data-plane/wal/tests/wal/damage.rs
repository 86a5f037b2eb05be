//! Every byte of a small log flipped, every file cut at every length, and each case of the recovery
//! table: decided as the table says, never a silent skip.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_types::{Lsn, UnixMillis};
use tidegate_wal::{Damage, OpenError, Wal, WalOptions};

use crate::disks::test_disk::{Op, TestDisk};
use crate::support::{self, Event, append, events, files, frames, open, options};

/// The files of a log and what must be in it.
struct Sample {
    files: Vec<(String, Vec<u8>)>,
    /// Names of the segments that were written to.
    written: Vec<String>,
    first: u64,
    events: Vec<Event>,
}

/// What must happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Opens without so many of the last records; so many bytes of a segment are whole.
    Tear {
        lost: u32,
        offset: usize,
    },
    Refuse(&'static str),
}

const HEADER: Verdict = Verdict::Refuse("damage-header");

fn take(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let all = files(directory, "").into_iter().filter(|path| !path.ends_with("lock"));
    all.map(|path| (name(&path), std::fs::read(&path).unwrap())).collect()
}

fn put(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
    let directory = support::directory();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

impl Sample {
    fn new(directory: &Path, first: u64, events: Vec<Event>) -> Self {
        let files = take(directory);
        let segments = files.iter().filter(|(name, _)| name.ends_with(".wal"));
        let written = segments.filter(|(_, bytes)| !frames(bytes).is_empty());
        let written = written.map(|(name, _)| name.clone()).collect();
        Self { files, written, first, events }
    }

    fn file(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(other, _)| other == name).unwrap().1
    }

    fn last(&self) -> &str {
        self.written.last().unwrap()
    }

    /// The sample with one file changed.
    fn changed(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<(String, Vec<u8>)> {
        let mut files = self.files.clone();
        change(&mut files.iter_mut().find(|(other, _)| other == name).unwrap().1);
        files
    }

    /// What the table says of a byte that is not as it was.
    fn verdict(&self, name: &str, at: usize) -> Verdict {
        if name.ends_with(".keys") {
            return Verdict::Refuse("damage-sidecar");
        }
        if at < 64 {
            return HEADER;
        }
        let file = self.file(name);
        let frames = frames(file);
        let hit =
            frames.iter().position(|(start, length, _)| (*start..start + length).contains(&at));
        let followed = hit.is_some_and(|hit| hit + 1 < frames.len());
        let durable = u64::from_le_bytes(file[32..40].try_into().unwrap()) as usize;
        let end = frames.last().map_or(64, |(start, length, _)| start + length);
        let (offset, lost) = hit.map_or((end, 0), |hit| (frames[hit].0, frames[hit].2));
        match () {
            () if followed => Verdict::Refuse("damage-inside"),
            () if self.written[..self.written.len() - 1].iter().any(|other| other == name) => {
                Verdict::Refuse("damage-before")
            }
            () if offset < durable => Verdict::Refuse("damage-durable"),
            () => Verdict::Tear { lost, offset },
        }
    }

    fn check(&self, files: &[(String, Vec<u8>)], name: &str, expected: Verdict, what: &str) {
        let directory = put(files);
        match (open(options(directory.path())), expected) {
            (Ok((wal, report, told)), Verdict::Tear { lost, offset }) => {
                let kept = &self.events[..self.events.len() - lost as usize];
                assert_eq!(told.records, support::expected(self.first, kept), "{what}");
                let torn = report.torn.expect("a tear");
                let damaged = &files.iter().find(|(other, _)| other == name).unwrap().1;
                let tail = &damaged[offset..offset + torn.bytes as usize];
                assert_eq!(torn.offset, offset as u64, "{what}");
                assert_eq!(std::fs::read(&torn.copy).unwrap(), tail, "{what}");
                assert!(damaged[offset + tail.len()..].iter().all(|byte| *byte == 0));
                assert_eq!(wal.stats().torn_files, 1);
                self.check_goes_on(wal, directory.path(), kept);
            }
            (Err(error @ OpenError::Corrupt { case, .. }), Verdict::Refuse(label)) => {
                assert_eq!(case.to_string(), label, "{what}: {error}");
                assert!(error.to_string().contains(name), "{what}: {error}");
                assert!(take(directory.path()) == files, "{what}: nothing is changed");
            }
            (other, _) => {
                panic!("{what}: {expected:?}, not {:?}", other.map(|(_, report, _)| report));
            }
        }
    }

    /// What was cut stays cut, and the log can be written to and opened again.
    fn check_goes_on(&self, wal: Wal, directory: &Path, kept: &[Event]) {
        let mut kept = kept.to_vec();
        kept.extend(events(1000, &[9]));
        append(&wal, &kept[kept.len() - 1..]).unwrap();
        drop(wal);
        let (_, report, told) = open(options(directory)).unwrap();
        assert_eq!(told.records, support::expected(self.first, &kept));
        assert_eq!(report.torn, None);
    }
}

/// A log with a sidecar, two older segments, and one whose last group is sealed or not.
fn sample(sealed: bool) -> Sample {
    let directory = support::directory();
    let disk = Arc::new(TestDisk::default());
    let options = WalOptions { disk: Arc::<TestDisk>::clone(&disk), ..options(directory.path()) };
    let (wal, _, _) = open(options).unwrap();
    let all = events(0, &[300; 33]);
    for group in all.chunks(3) {
        append(&wal, group).unwrap();
    }
    wal.truncate_before(Lsn(9), UnixMillis(0)).unwrap();
    // Recovery syncs the directory twice, truncation too, and four segments were prepared.
    disk.wait_for(Op::SyncDirectory, 8);
    if sealed {
        wal.seal_and_close();
    }
    let sample = Sample::new(directory.path(), 9, all[9..].to_vec());
    assert_eq!(sample.written.len(), 3);
    let last = frames(sample.file(sample.last()));
    assert_eq!(last.last().unwrap().2 == 0, sealed);
    sample
}

fn label(verdict: Verdict) -> String {
    match verdict {
        Verdict::Tear { lost: 0, .. } => "tear without loss".to_owned(),
        Verdict::Tear { .. } => "tear of the last group".to_owned(),
        Verdict::Refuse(label) => label.to_owned(),
    }
}

fn flip_all(sample: &Sample, names: &[&str]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        let file = sample.file(name);
        let end = file.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        // All that was written, and some of the zeros behind it.
        for at in (0..end).chain((end..file.len()).step_by(97)) {
            let verdict = sample.verdict(name, at);
            let files = sample.changed(name, |bytes| bytes[at] ^= 1 << (at % 8));
            sample.check(&files, name, verdict, &format!("{name} flipped at {at}"));
            *counts.entry(label(verdict)).or_default() += 1;
        }
    }
    counts
}

#[test]
fn every_flipped_byte_of_an_unsealed_log() {
    let sample = sample(false);
    let names: Vec<_> = sample.files.iter().map(|(name, _)| name.as_str()).collect();
    let counts = flip_all(&sample, &names);
    println!("{counts:?}");
    let labels = [
        "damage-before", "damage-header", "damage-inside", "damage-sidecar",
        "tear of the last group", "tear without loss",
    ];
    assert_eq!(counts.keys().collect::<Vec<_>>(), labels);
}

#[test]
fn every_flipped_byte_of_a_sealed_segment() {
    let sample = sample(true);
    let counts = flip_all(&sample, &[sample.last()]);
    println!("{counts:?}");
    // Behind a seal no record can be taken for a tear.
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        ["damage-header", "damage-inside", "tear without loss"]
    );
}

#[test]
fn every_flipped_byte_of_what_recovery_wrote() {
    let before = sample(false);
    let directory = put(&before.files);
    drop(open(options(directory.path())).unwrap());
    let sample = Sample::new(directory.path(), before.first, before.events);
    let counts = flip_all(&sample, &[sample.last()]);
    println!("{counts:?}");
    let labels = ["damage-durable", "damage-header", "damage-inside", "tear without loss"];
    assert_eq!(counts.keys().collect::<Vec<_>>(), labels);
}

#[test]
fn every_cut_is_refused() {
    let sample = sample(false);
    for (name, file) in &sample.files {
        for length in 0..file.len() {
            let verdict = match length {
                _ if name.ends_with(".keys") => Verdict::Refuse("damage-sidecar"),
                0..64 => HEADER,
                _ => Verdict::Refuse("damage-length"),
            };
            let files = sample.changed(name, |bytes| bytes.truncate(length));
            sample.check(&files, name, verdict, &format!("{name} cut to {length}"));
        }
    }
}

#[test]
fn a_last_group_of_which_only_a_part_arrived_is_a_tear() {
    let sample = sample(false);
    let name = sample.last();
    let (start, length, lost) = *frames(sample.file(name)).last().unwrap();
    let tear = Verdict::Tear { lost, offset: start };
    // The last bytes of a frame may be padding, so stop before them.
    for at in start + 1..start + length - 8 {
        let files = sample.changed(name, |bytes| bytes[at..].fill(0));
        sample.check(&files, name, tear, &format!("nothing from {at} on arrived"));
        let files = sample.changed(name, |bytes| bytes[start..at].fill(0));
        sample.check(&files, name, tear, &format!("nothing up to {at} arrived"));
    }
    // Nothing of it: it was never there, and its append was never acknowledged.
    let files = sample.changed(name, |bytes| bytes[start..].fill(0));
    let directory = put(&files);
    let (_, report, _) = open(options(directory.path())).unwrap();
    assert_eq!(report.next.0, sample.first + sample.events.len() as u64 - u64::from(lost));
    assert_eq!(report.torn, None);
}

#[test]
fn whole_frames_in_the_wrong_place_are_a_gap() {
    let sample = sample(true);
    // The first and the third group of the segment in the middle have the same length.
    let name = sample.written[1].as_str();
    let places = frames(sample.file(name));
    let ((a, length, _), (b, other, _)) = (places[0], places[2]);
    assert_eq!(length, other);
    let files = sample.changed(name, |bytes| bytes.copy_within(b..b + length, a));
    sample.check(&files, name, Verdict::Refuse("gap"), "the third frame twice");
    let files = sample.changed(name, |bytes| bytes.copy_within(a..a + length, b));
    sample.check(&files, name, Verdict::Refuse("gap"), "the first frame twice");
}

#[test]
fn a_whole_frame_of_something_else_than_records_is_refused() {
    let sample = sample(true);
    let name = sample.last();
    let (start, length, _) = frames(sample.file(name))[0];
    for (at, xor, what) in [(start + 32, 1, "a record's length"), (start + 24, 1, "the count")] {
        let files = sample.changed(name, |bytes| {
            bytes[at] ^= xor;
            let crc = crc32c::crc32c(&bytes[start + 8..start + length]);
            bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        });
        sample.check(&files, name, Verdict::Refuse("damage-record"), what);
    }
}

#[test]
fn what_a_crash_left_over_is_cleared_away() {
    let before = sample(false);
    let directory = put(&before.files);
    drop(open(options(directory.path())).unwrap());
    // The segment that recovery has replaced comes back, and a file was not finished.
    std::fs::write(directory.path().join(before.last()), before.file(before.last())).unwrap();
    std::fs::write(directory.path().join("00000000000000000099.wal.tmp"), "half").unwrap();
    std::fs::write(directory.path().join("notes.txt"), "not the log's").unwrap();
    let (wal, report, told) = open(options(directory.path())).unwrap();
    assert_eq!(told.records, support::expected(before.first, &before.events));
    assert_eq!(report.torn, None);
    drop(wal);
    assert!(files(directory.path(), ".tmp").is_empty());
    assert!(!directory.path().join(before.last()).exists());
    assert!(directory.path().join("notes.txt").exists());
}

#[test]
fn old_torn_tails_go() {
    let directory = support::directory();
    for round in 0..20u64 {
        let (wal, _, _) = open(options(directory.path())).unwrap();
        append(&wal, &events(round, &[9])).unwrap();
        assert!(wal.stats().torn_files <= 16);
        drop(wal);
        let segment = &files(directory.path(), ".wal")[0];
        let mut bytes = std::fs::read(segment).unwrap();
        *bytes.last_mut().unwrap() = 1;
        std::fs::write(segment, bytes).unwrap();
    }
    let (wal, report, _) = open(options(directory.path())).unwrap();
    assert_eq!((wal.stats().torn_files, report.next), (16, Lsn(20)));
    assert_eq!(files(directory.path(), ".torn").len(), 16);
}

#[test]
fn only_unwritten_segments_are_no_log() {
    let sample = sample(false);
    let mut files = sample.files.clone();
    files.retain(|(name, _)| !sample.written.contains(name) && name.ends_with(".wal"));
    assert_eq!(files.len(), 1);
    let directory = put(&files);
    match open(options(directory.path())) {
        Err(OpenError::Corrupt { case: Damage::Missing, .. }) => {}
        other => panic!("{:?}", other.map(|(_, report, _)| report)),
    }
}
