//! Entries that fail, in every pattern and by chance: what the stream has at the end, and in which order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tidegate_testkit::KinesisFake;
use tidegate_testkit::kinesis_fake::{Outcome, Reply};

use crate::support::{Event, Rig, STREAM, numbers, options};

/// Three records, two rounds, every pattern: 64 ways.
#[test]
fn only_entries_that_failed_go_again() {
    let fake = KinesisFake::start(&[STREAM]);
    let rig = Rig::start(options(&fake.endpoint()));
    for ways in 0..64usize {
        let keys: Vec<String> = (0..3).map(|key| format!("{ways}-{key}")).collect();
        let fails = move |key: &str, time: usize| {
            let key: usize = key.rsplit('-').next().unwrap().parse().unwrap();
            time < 2 && ways >> (3 * time + key) & 1 == 1
        };
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        let before = fake.calls().len();
        fake.script(move |call| {
            let outcome = |(key, _): &(String, Vec<u8>)| {
                let time = times.entry(key.clone()).or_default();
                *time += 1;
                match (fails(key, *time - 1), ways % 2) {
                    (false, _) => Outcome::Store,
                    (true, 0) => Outcome::Fail,
                    (true, _) => Outcome::Throttle,
                }
            };
            Reply::Entries(call.entries.iter().map(outcome).collect())
        });
        let events: Vec<Event> = keys.iter().map(|key| Event::new(key, ways)).collect();
        assert_eq!(rig.reports(&events), []);
        let calls = fake.calls();
        let sent = calls[before..].iter().flat_map(|call| &call.entries);
        let sent: Vec<&str> = sent.map(|(key, _)| key.as_str()).collect();
        let stored = fake.stored_by_key(STREAM);
        for key in &keys {
            let expected = match (fails(key, 0), fails(key, 1)) {
                (false, _) => 1,
                (true, false) => 2,
                (true, true) => 3,
            };
            assert_eq!(sent.iter().filter(|sent| *sent == key).count(), expected, "{ways} {key}");
            assert_eq!(stored[key].len(), 1);
        }
    }
    assert!(rig.counter("tidegate_kinesis_records_total{sink=\"main\",outcome=\"throttled\"}") > 0);
}

/// What a stream that does anything may do with the next call.
#[derive(Clone, Debug)]
enum Whim {
    Entries(u64),
    Error,
    Cut,
    StoreAndCut,
}

fn whim() -> impl Strategy<Value = Whim> {
    prop_oneof![
        6 => any::<u64>().prop_map(Whim::Entries),
        1 => Just(Whim::Error),
        1 => Just(Whim::Cut),
        1 => Just(Whim::StoreAndCut),
    ]
}

fn reply(whim: &Whim, entries: usize) -> (Reply, bool) {
    match whim {
        Whim::Entries(bits) => {
            let outcome = |at: usize| match bits >> (at % 32 * 2) & 3 {
                0 => Outcome::Fail,
                1 => Outcome::Throttle,
                _ => Outcome::Store,
            };
            (Reply::Entries((0..entries).map(outcome).collect()), false)
        }
        Whim::Error => (Reply::Error(500, "InternalFailure"), true),
        Whim::Cut => (Reply::Cut, true),
        Whim::StoreAndCut => (Reply::StoreAndCut, true),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Four senders at once, each with keys of its own, at a stream of whims.
    #[test]
    fn each_key_keeps_its_order_and_only_doubtful_records_are_there_twice(
        whims in proptest::collection::vec(whim(), 0..60),
        records in 1..12usize,
        calls in 1..5usize,
    ) {
        const SENDERS: usize = 4;
        const EACH: usize = 40;
        let fake = KinesisFake::start(&[STREAM]);
        let doubtful: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (mut whims, seen) = (whims.into_iter(), Arc::clone(&doubtful));
        fake.script(move |call| {
            let Some(whim) = whims.next() else { return Reply::Store };
            let (reply, is_doubtful) = reply(&whim, call.entries.len());
            if is_doubtful {
                seen.lock().unwrap().extend(call.entries.iter().map(|(_, data)| data.clone()));
            }
            reply
        });
        let mut options = options(&fake.endpoint());
        (options.batch.records, options.calls, options.queue_messages) = (records, calls, 30);
        let rig = Rig::start(options);
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let rig = &rig;
                scope.spawn(move || {
                    let events: Vec<Event> = (0..EACH)
                        .map(|n| Event::new(format!("{sender}-{}", n % 3), n))
                        .collect();
                    assert_eq!(rig.reports(&events), []);
                });
            }
        });
        let doubtful = doubtful.lock().unwrap();
        let stored = fake.stored_by_key(STREAM);
        for records in stored.values() {
            for (at, data) in records.iter().enumerate() {
                let again = records[at + 1..].contains(data);
                prop_assert!(!again || doubtful.contains(data));
            }
        }
        for (key, numbers) in numbers(&stored) {
            prop_assert!(numbers.is_sorted(), "{} {:?}", key, numbers);
            let mut once = numbers;
            once.dedup();
            let residue: usize = key.rsplit('-').next().unwrap().parse().unwrap();
            let expected: Vec<usize> = (0..EACH).filter(|n| n % 3 == residue).collect();
            prop_assert_eq!(once, expected);
        }
        prop_assert_eq!(stored.len(), SENDERS * 3);
    }
}
