//! What a failed message is told, by what became of the calls that had it.

use std::time::Duration;

use tidegate_sinks::{Failure, Sink as _};
use tidegate_testkit::KinesisFake;
use tidegate_testkit::kinesis_fake::{Outcome, Reply};

use crate::support::{Event, Rig, STREAM, eventually, number, options, reports};

const SOON: Duration = Duration::from_millis(150);
const LATEST: Duration = Duration::from_millis(1000);

/// `(why, is there a time to come back, may it be stored)`
fn errored(failure: Failure) -> (String, bool, bool) {
    match failure {
        Failure::Errored { why, retry_after, unknown } => {
            (why.to_string(), retry_after.is_some(), unknown)
        }
        rejected @ Failure::Rejected { .. } => panic!("{rejected:?}"),
    }
}

#[test]
fn what_became_of_a_call_decides_what_is_known() {
    let throttled = "ProvisionedThroughputExceededException";
    let cases = [
        (Reply::Entries(vec![Outcome::Throttle]), throttled, true, false),
        (Reply::Entries(vec![Outcome::Fail]), "InternalFailure", false, false),
        (Reply::Error(400, throttled), throttled, true, false),
        (Reply::Error(400, "KMSThrottlingException"), "KMSThrottlingException", true, false),
        (Reply::Error(400, "LimitExceededException"), "LimitExceededException", true, false),
        (Reply::Error(400, "AccessDeniedException"), "AccessDeniedException", false, false),
        (Reply::Error(500, "InternalFailure"), "InternalFailure", false, true),
        (Reply::Error(503, "ServiceUnavailable"), "ServiceUnavailable", false, true),
        (Reply::Cut, "", false, true),
        (Reply::StoreAndCut, "", false, true),
    ];
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

fn check((reply, expected_why, comes_back, unknown): (Reply, &str, bool, bool)) {
    let fake = KinesisFake::start(&[STREAM]);
    // The pause is longer than the message may take, so no call has it when its time is over.
    let mut options = options(&fake.endpoint());
    (options.retry_first, options.retry_most) = (2 * LATEST, 2 * LATEST);
    let rig = Rig::start(options);
    assert_eq!(rig.reports(&[Event::new("k", 0)]), []);
    let again = reply.clone();
    fake.script(move |_| again.clone());
    let (why, has_time, is_unknown) = errored(rig.failure(&Event::new("k", 1).within(LATEST)));
    assert!(why.contains(expected_why), "{reply:?}: {why}");
    assert_eq!((has_time, is_unknown), (comes_back, unknown), "{reply:?}: {why}");
    let failing = rig.sink.failing().unwrap_or_else(|| panic!("{reply:?} is no trouble"));
    assert!(failing.contains(STREAM) && failing.contains(expected_why), "{failing}");
    fake.script(|_| Reply::Store);
    assert_eq!(rig.reports(&[Event::new("k", 2)]), []);
    assert_eq!(rig.sink.failing(), None);
}

#[test]
fn throttling_is_counted() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|call| match call.number {
        0 => Reply::Entries(vec![Outcome::Throttle, Outcome::Throttle]),
        1 => Reply::Error(400, "ProvisionedThroughputExceededException"),
        _ => Reply::Store,
    });
    let mut options = options(&fake.endpoint());
    options.batch.records = 2;
    options.batch.linger = Duration::from_secs(1);
    let rig = Rig::start(options);
    assert_eq!(rig.reports(&[Event::new("a", 1), Event::new("b", 2)]), []);
    let row = "tidegate_kinesis_records_total{sink=\"main\",outcome=\"throttled\"}";
    assert_eq!(rig.counter(row), 2);
    let row = "tidegate_kinesis_failed_calls_total{sink=\"main\",reason=\"throttled\"}";
    assert_eq!(rig.counter(row), 1);
    assert_eq!(rig.counter("tidegate_kinesis_records_total{sink=\"main\",outcome=\"stored\"}"), 2);
}

#[test]
fn a_call_that_hangs_is_given_up_and_may_have_been_carried_out() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|call| if call.number == 0 { Reply::Hold } else { Reply::Store });
    let mut options = options(&fake.endpoint());
    options.call_timeout = Duration::from_millis(200);
    let rig = Rig::start(options);
    let told = rig.send(&[Event::new("k", 1)]);
    fake.wait_for_calls(2);
    assert_eq!(reports(&told), [], "the second try is stored");
    fake.release();
    eventually("the first try is stored too", || fake.stored(STREAM).len() == 2);
    let row = "tidegate_kinesis_failed_calls_total{sink=\"main\",reason=\"unanswered\"}";
    assert_eq!(rig.counter(row), 1);
}

#[test]
fn a_message_in_a_call_that_hangs_is_reported_in_time_and_nothing_overtakes_it() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|call| if call.number == 0 { Reply::Hold } else { Reply::Store });
    let rig = Rig::start(options(&fake.endpoint()));
    let told = rig.send(&[Event::new("k", 1).within(SOON)]);
    fake.wait_for_held(1);
    let next = rig.send(&[Event::new("k", 2)]);
    let other = rig.send(&[Event::new("other", 3)]);
    assert_eq!(reports(&other), [], "another key goes on");
    let mut failures = reports(&told);
    assert_eq!(errored(failures.remove(0).1), ("no answer yet".to_owned(), false, true));
    assert_eq!(fake.calls().len(), 2, "the second of its key waits");
    fake.release();
    assert_eq!(reports(&next), []);
    let stored = fake.stored(STREAM);
    let stored: Vec<usize> = stored.iter().map(|record| number(&record.data)).collect();
    assert_eq!(stored, [3, 1, 2]);
}

#[test]
fn what_was_never_sent_is_not_stored() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.stop();
    let rig = Rig::start(options(&fake.endpoint()));
    let (why, comes_back, unknown) = errored(rig.failure(&Event::new("k", 1).within(SOON)));
    assert_eq!((comes_back, unknown), (false, false), "{why}");
    assert!(rig.sink.failing().is_some());
}

#[test]
fn a_record_in_a_call_that_is_stored_and_then_cut_is_there_twice() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.script(|call| if call.number == 0 { Reply::StoreAndCut } else { Reply::Store });
    let rig = Rig::start(options(&fake.endpoint()));
    assert_eq!(rig.reports(&[Event::new("k", 1)]), []);
    assert_eq!(fake.stored(STREAM).len(), 2);
}
