//! Whatever the place does, and whenever the forwarder stops and starts: everything that goes to the
//! sink is there or is a dead letter, in the order of its key, and is there twice only where a failure
//! left it open or the forwarder began anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::place::{Next, Place};
use super::{Routes, append, counted, forwarder, open, wait_for};

#[derive(Clone, Debug)]
enum Step {
    /// Events to be appended: of each its key and whether it goes to the sink.
    Append(Vec<(u8, bool)>),
    Act(Next),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let event = (0u8..4, prop::bool::weighted(0.8));
    prop_oneof![
        4 => prop::collection::vec(event, 1..12).prop_map(Step::Append),
        12 => Just(Step::Act(Next::Deliver)),
        1 => Just(Step::Act(Next::Reject)),
        1 => Just(Step::Act(Next::RejectTooLarge)),
        1 => (0usize..4).prop_map(|kept| Step::Act(Next::Fail { kept })),
        1 => Just(Step::Restart),
    ]
}

fn check(steps: Vec<Step>, room: usize) {
    let folder = tempfile::tempdir().unwrap();
    let wal = open(folder.path());
    let (place, routes) = (Place::new(room), Arc::new(Routes::default()));
    let mut running = Some(forwarder(folder.path(), &wal, &place, &routes));
    let (mut next, mut due) = (1u64, BTreeMap::new());
    // Those that may be there more often than once.
    let (mut open_ones, mut restarts) = (BTreeSet::new(), 0usize);
    // Those that the place refused once: after a restart they may pass, long after their time.
    let mut rejected = BTreeSet::new();
    for step in steps {
        match step {
            Step::Append(events) => {
                let first = next;
                let numbered = |(at, (key, sent)): (usize, &(u8, bool))| {
                    (first + at as u64, format!("key-{key}"), *sent)
                };
                let events: Vec<_> = events.iter().enumerate().map(numbered).collect();
                next += events.len() as u64;
                append(&wal, &events);
                due.extend(
                    events.into_iter().filter(|(_, _, sent)| *sent).map(|(n, key, _)| (n, key)),
                );
            }
            Step::Act(next) => {
                // Gives the forwarder a chance, not more: what is done when nothing waits is nothing.
                let deadline = Instant::now() + Duration::from_millis(2);
                while !place.is_waited_for() && Instant::now() < deadline {
                    std::thread::yield_now();
                }
                if let Some((number, there)) = place.act(next) {
                    open_ones.extend(there);
                    if matches!(next, Next::Reject | Next::RejectTooLarge) {
                        rejected.insert(number);
                    }
                }
            }
            Step::Restart => {
                drop(running.take());
                // Whoever went away heard nothing of these.
                while place.act(Next::Fail { kept: 1 }).is_some() {}
                restarts += 1;
                running = Some(forwarder(folder.path(), &wal, &place, &routes));
            }
        }
    }
    let running = running.expect("it was started");
    wait_for("everything is acknowledged", || {
        while place.act(Next::Deliver).is_some() {}
        running.stats().lag == 0
    });
    let state = place.state.lock().unwrap();
    let topic = counted(state.topic.iter().map(|kept| kept.number));
    let letters = counted(state.letters.iter().map(|kept| kept.number));
    for number in due.keys() {
        assert!(topic.contains_key(number) || letters.contains_key(number), "{number} is lost");
    }
    for (number, count) in &topic {
        assert!(due.contains_key(number), "{number} does not go here");
        let most = 1 + restarts + usize::from(open_ones.contains(number)) * 16;
        assert!(*count <= most, "{number} is there {count} times");
    }
    if restarts == 0 {
        for (number, key) in &due {
            let twice = topic.get(number).copied().unwrap_or(0) > 1;
            assert!(!twice || open_ones.contains(number), "{number} of {key} is there twice");
        }
    }
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut first = BTreeSet::new();
    let in_time = |number: &u64| !rejected.contains(number);
    for kept in state.topic.iter().filter(|kept| in_time(&kept.number) && first.insert(kept.number))
    {
        assert_eq!(due.get(&kept.number), Some(&kept.key));
        let before = seen.insert(&kept.key, kept.number);
        assert!(
            before.is_none_or(|before| before < kept.number),
            "{} is out of order",
            kept.number
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_out_of_order_or_there_twice_without_a_reason(
        steps in prop::collection::vec(step(), 1..60),
        room in 1usize..12,
    ) {
        check(steps, room);
    }
}
