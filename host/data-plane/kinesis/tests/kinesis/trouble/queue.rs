//! Room, flushing, and the end of a sink.

use std::time::{Duration, Instant};

use tidegate_sinks::{Failure, Sink as _};
use tidegate_testkit::KinesisFake;
use tidegate_testkit::kinesis_fake::Reply;

use crate::support::{Event, PATIENCE, Rig, STREAM, options, reports};

fn events(count: usize) -> Vec<Event> {
    (0..count).map(|n| Event::new(format!("key-{n}"), n)).collect()
}

#[test]
fn a_full_queue_takes_fewer_and_tells_when_there_is_room() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|_| Reply::Hold);
    let mut options = options(&fake.endpoint());
    options.queue_messages = 3;
    let rig = Rig::start(options);
    rig.sink.wait_for_room(PATIENCE);
    let (taken, _told) = rig.try_send(&events(5));
    assert_eq!(taken, 3);
    assert_eq!(rig.counter("tidegate_kinesis_waiting_records{sink=\"main\"}"), 3);
    let (taken, _) = rig.try_send(&events(1));
    assert_eq!(taken, 0);
    let begun = Instant::now();
    rig.sink.wait_for_room(Duration::from_millis(30));
    assert!(begun.elapsed() >= Duration::from_millis(30), "there is none yet");
    fake.wait_for_held(1);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| rig.sink.wait_for_room(PATIENCE));
        fake.script(|_| Reply::Store);
        fake.release();
        waiting.join().unwrap();
    });
    assert!(rig.try_send(&events(1)).0 == 1, "there is room");
}

#[test]
fn a_queue_is_full_of_bytes_as_well() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|_| Reply::Hold);
    let mut options = options(&fake.endpoint());
    options.queue_bytes = 1 << 20;
    let rig = Rig::start(options);
    let large = |key: &str| {
        let body = format!("\"{}\"", "x".repeat(600_000)).into_bytes();
        Event { body, ..Event::new(key, 0) }
    };
    let (taken, _told) = rig.try_send(&[large("a"), large("b")]);
    assert_eq!(taken, 1);
    fake.wait_for_held(1);
    fake.script(|_| Reply::Store);
    fake.release();
    assert_eq!(rig.reports(&[large("b")]), []);
}

#[test]
fn flush_hurries_and_says_whether_all_is_reported() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|_| Reply::Hold);
    let mut options = options(&fake.endpoint());
    options.batch.linger = Duration::from_secs(10);
    let rig = Rig::start(options);
    assert!(rig.sink.flush(Duration::ZERO), "nothing is under way");
    let begun = Instant::now();
    let told = rig.send(&events(3));
    assert!(!rig.sink.flush(Duration::from_millis(20)));
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| rig.sink.flush(PATIENCE));
        fake.wait_for_held(1);
        fake.release();
        assert!(flushing.join().unwrap());
    });
    assert_eq!(reports(&told), []);
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waited for company");
}

#[test]
fn what_a_sink_has_when_it_ends_is_reported_as_errored() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|_| Reply::Hold);
    let rig = Rig::start(options(&fake.endpoint()));
    let told = rig.send(&[Event::new("a", 1), Event::new("a", 2), Event::new("b", 3)]);
    fake.wait_for_held(1);
    drop(rig);
    let failures = reports(&told);
    assert_eq!(failures.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
    for (_, failure) in failures {
        assert!(matches!(failure, Failure::Errored { unknown: true, .. }), "{failure:?}");
    }
}
