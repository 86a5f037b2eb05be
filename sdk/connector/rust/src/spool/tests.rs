//! The format against the table, and the spool against a list.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn table() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../conformance/spool.json")).unwrap()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn texts(list: &serde_json::Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn read_all(spool: &Spool) -> Vec<String> {
    let records = spool.read(10_000, 1 << 30).unwrap();
    records.into_iter().map(|(_, event)| String::from_utf8(event.to_vec()).unwrap()).collect()
}

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_name() != "lock");
    files
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn events_are_written_as_the_table_says() {
    let written = &table()["written"];
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 20).unwrap();
    for event in texts(&written["events"]) {
        assert!(spool.append(event.as_bytes()).unwrap());
    }
    spool.sync().unwrap();
    let file = folder.path().join(written["file"].as_str().unwrap());
    assert_eq!(std::fs::read(file).unwrap(), bytes_of(written["bytes"].as_str().unwrap()));
}

#[test]
fn folders_are_recovered_as_the_table_says() {
    for case in table()["recovered"].as_array().unwrap() {
        let (folder, name) = (tempfile::tempdir().unwrap(), &case["name"]);
        for (file, hex) in case["files"].as_object().unwrap() {
            std::fs::write(folder.path().join(file), bytes_of(hex.as_str().unwrap())).unwrap();
        }
        if let Some(position) = case["position"].as_str() {
            std::fs::write(folder.path().join("position"), position).unwrap();
        }
        let before = content(folder.path());
        let opened = Spool::open(folder.path(), 1 << 20);
        if let Some(word) = case["error"].as_str() {
            let Err(SpoolError::Damaged(what)) = opened else { panic!("{name}: it was opened") };
            assert!(what.contains(word), "{name}: {what}");
            assert_eq!(content(folder.path()), before, "{name}");
            continue;
        }
        let (spool, mut events) = (opened.unwrap(), texts(&case["events"]));
        assert_eq!(spool.torn_bytes, case["torn_bytes"].as_u64().unwrap(), "{name}");
        assert_eq!(spool.held().events, events.len(), "{name}");
        assert_eq!(read_all(&spool), events, "{name}");
        // What is added now stands where it can be read, behind what was recovered.
        spool.append(b"{\"new\":1}").unwrap();
        spool.sync().unwrap();
        assert_eq!(read_all(&spool), ["{\"new\":1}"], "{name}");
        drop(spool);
        events.push("{\"new\":1}".to_owned());
        let again = Spool::open(folder.path(), 1 << 20).unwrap();
        assert_eq!((read_all(&again), again.torn_bytes), (events, 0), "{name}");
    }
}

#[test]
fn a_folder_belongs_to_one_client() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 20).unwrap();
    assert!(matches!(Spool::open(folder.path(), 1 << 20), Err(SpoolError::InUse(_))));
    drop(spool);
    Spool::open(folder.path(), 1 << 20).unwrap();
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 20).unwrap();
    spool.append(b"{\"n\":1}").unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let real = std::mem::replace(&mut spool.state().file, full);
    assert!(spool.append(b"{\"n\":2}").is_err());
    assert_eq!(spool.held().events, 1);
    drop(real);
    drop(spool);
    assert_eq!(read_all(&Spool::open(folder.path(), 1 << 20).unwrap()), ["{\"n\":1}"]);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Read(usize, usize),
    /// Settles those of the open ones whose bit is set.
    Settle(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        11 => (0..300usize).prop_map(Step::Append),
        4 => (1..8usize, 1..2000usize).prop_map(|(events, bytes)| Step::Read(events, bytes)),
        4 => any::<u64>().prop_map(Step::Settle),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is lost, and what is settled in order never returns.
    #[test]
    fn it_does_what_a_list_does(
        steps in proptest::collection::vec(step(), 1..200),
        most in prop_oneof![Just(4096u64), Just(20_000)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), most).unwrap();
        let mut waiting: VecDeque<Vec<u8>> = VecDeque::new();
        let mut open: VecDeque<(usize, Vec<u8>, bool)> = VecDeque::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(length) => {
                    let event = format!("{n}:{}", "x".repeat(length)).into_bytes();
                    if spool.append(&event).unwrap() {
                        spool.sync().unwrap();
                        waiting.push_back(event);
                    } else {
                        prop_assert!(waiting.len() + open.len() > 0, "full, though it holds nothing");
                    }
                }
                Step::Read(events, bytes) => {
                    for (number, event) in spool.read(events, bytes).unwrap() {
                        prop_assert_eq!(Some(event.to_vec()), waiting.pop_front());
                        open.push_back((number, event.to_vec(), false));
                    }
                }
                Step::Settle(bits) => {
                    let mut numbers = Vec::new();
                    for (place, (number, _, settled)) in open.iter_mut().enumerate() {
                        if !*settled && bits & (1 << (place % 64)) != 0 {
                            *settled = true;
                            numbers.push(*number);
                        }
                    }
                    spool.settle(&numbers).unwrap();
                    while open.front().is_some_and(|(_, _, settled)| *settled) {
                        open.pop_front();
                    }
                }
                Step::Reopen => {
                    drop(spool);
                    spool = Spool::open(folder.path(), most).unwrap();
                    for (_, event, _) in open.drain(..).rev() {
                        waiting.push_front(event);
                    }
                }
            }
            prop_assert_eq!(spool.held().events, waiting.len() + open.len());
            let segments = content(folder.path()).into_iter();
            let segments = segments.filter(|(name, _)| name.ends_with(".segment"));
            prop_assert!(segments.map(|(_, bytes)| bytes.len() as u64).sum::<u64>() <= most);
        }
    }
}
