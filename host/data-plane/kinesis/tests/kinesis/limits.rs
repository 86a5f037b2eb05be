//! At, below and above each limit, at servers that hold callers to them.

use std::time::Duration;

use tidegate_kinesis::{KinesisOptions, Ordering};
use tidegate_sinks::{Failure, Reports, Sink as _};
use tidegate_testkit::KinesisFake;

use crate::support::{Event, PATIENCE, Rig, STREAM, bare, of_size, options, reports};

const MIB: usize = 1024 * 1024;

/// Nothing is sent before the batch is full, or [`together`] says so.
fn patient(endpoint: &str) -> KinesisOptions {
    let mut options = bare(options(endpoint));
    options.batch.linger = Duration::from_secs(10);
    options
}

fn together(rig: &Rig, events: &[Event]) -> Reports {
    let told = rig.send(events);
    assert!(rig.sink.flush(PATIENCE));
    reports(&told)
}

fn assert_too_large(reports: &Reports, size: usize, limit: usize) {
    let [(_, Failure::Rejected { code: "too-large", why })] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    assert!(why.contains(&size.to_string()) && why.contains(&limit.to_string()), "{why}");
}

#[test]
fn a_record_may_be_as_large_as_its_stream_says() {
    for (kib, limit) in
        [(None, MIB), (Some(1024), MIB), (Some(2048), 2 * MIB), (Some(10_240), 10 * MIB)]
    {
        let fake = KinesisFake::start(&[STREAM]);
        fake.set_stream(STREAM, |stream| stream.max_record_kib = kib);
        let mut options = bare(options(&fake.endpoint()));
        options.batch.bytes = 10 * MIB;
        let rig = Rig::start(options);
        // Once one is stored, the limit is known or will be asked for again.
        fake.wait_for_looks(1);
        for size in [limit - 1, limit] {
            assert_eq!(rig.reports(&[of_size("key", size)]), [], "{size} of {limit}");
        }
        assert_too_large(&rig.reports(&[of_size("key", limit + 1)]), limit + 1, limit);
        assert_eq!(fake.stored(STREAM).len(), 2);
        assert_eq!(fake.calls().len(), 2, "the fake refused nothing");
    }
}

#[test]
fn the_key_is_a_part_of_the_record() {
    let fake = KinesisFake::start(&[STREAM]);
    let rig = Rig::start(bare(options(&fake.endpoint())));
    fake.wait_for_looks(1);
    let long = "k".repeat(200);
    assert_eq!(rig.reports(&[of_size(&long, MIB)]), []);
    assert_too_large(&rig.reports(&[of_size(&long, MIB + 1)]), MIB + 1, MIB);
    // Longer than Kinesis takes: cut.
    assert_eq!(
        rig.reports(&[Event { body: b"{}".to_vec(), ..Event::new("é".repeat(300), 1) }]),
        []
    );
    assert!(fake.stored(STREAM).iter().any(|record| record.key == "é".repeat(256)));
}

#[test]
fn a_call_has_at_most_500_records() {
    for (count, expected) in
        [(499, vec![499]), (500, vec![500]), (501, vec![500, 1]), (1000, vec![500, 500])]
    {
        let fake = KinesisFake::start(&[STREAM]);
        let rig = Rig::start(patient(&fake.endpoint()));
        let events: Vec<Event> = (0..count).map(|n| Event::new(format!("k{n}"), n)).collect();
        assert_eq!(together(&rig, &events), []);
        let mut counts: Vec<usize> = fake.calls().iter().map(|call| call.entries.len()).collect();
        counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        assert_eq!(counts, expected);
        assert_eq!(fake.stored(STREAM).len(), count);
    }
}

#[test]
fn a_call_has_at_most_5_mib_or_10_where_records_are_large() {
    for (kib, most) in [(None, 5 * MIB), (Some(2048), 10 * MIB)] {
        for (over, expected) in [(0, 1), (1, 2)] {
            let fake = KinesisFake::start(&[STREAM]);
            fake.set_stream(STREAM, |stream| stream.max_record_kib = kib);
            let mut options = patient(&fake.endpoint());
            options.ordering = Ordering::None;
            options.batch.bytes = 10 * MIB;
            let rig = Rig::start(options);
            fake.wait_for_looks(1);
            let count = most / MIB;
            let mut events = vec![of_size("k", MIB - 100); count];
            events.push(of_size("k", 100 * count + over));
            assert_eq!(together(&rig, &events), []);
            let calls = fake.calls();
            assert_eq!(calls.len(), expected, "{most} + {over}");
        }
    }
}

#[test]
fn a_record_that_a_stream_refuses_without_having_said_so_is_found() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.set_stream(STREAM, |stream| stream.secret_record_bytes = Some(1000));
    let rig = Rig::start(patient(&fake.endpoint()));
    fake.wait_for_looks(1);
    let events: Vec<Event> =
        (0..20).map(|n| of_size(&format!("k{n}"), if n == 13 { 1001 } else { 1000 })).collect();
    let told = together(&rig, &events);
    let [(13, Failure::Rejected { code: "refused", why })] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(why.contains("1001"), "{why}");
    assert_eq!(fake.stored(STREAM).len(), 19);
}
