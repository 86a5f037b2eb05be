//! Streams that come late, go, may not be looked at, and those for dead letters.

use std::time::Duration;

use tidegate_kinesis::{KinesisOptions, KinesisSink, OptionsError};
use tidegate_sinks::{Failure, Sink as _};
use tidegate_testkit::KinesisFake;
use tidegate_testkit::kinesis_fake::Reply;

use crate::support::{DEAD, Event, Rig, STREAM, eventually, options, reports};

#[test]
fn a_stream_that_is_not_there_yet_is_waited_for() {
    let fake = KinesisFake::start(&[]);
    let rig = Rig::start(options(&fake.endpoint()));
    let told = rig.send(&[Event::new("k", 1)]);
    eventually("it says why", || {
        rig.sink.failing().is_some_and(|why| why.contains("ResourceNotFoundException"))
    });
    fake.set_stream(STREAM, |_| {});
    assert_eq!(reports(&told), []);
    eventually("it works", || rig.sink.failing().is_none());
    fake.remove_stream(STREAM);
    let told = rig.send(&[Event::new("k", 2)]);
    eventually("it says why again", || rig.sink.failing().is_some());
    fake.set_stream(STREAM, |_| {});
    assert_eq!(reports(&told), []);
}

#[test]
fn a_server_that_stops_and_starts_gets_everything() {
    let fake = KinesisFake::start(&[STREAM]);
    let rig = Rig::start(options(&fake.endpoint()));
    assert_eq!(rig.reports(&[Event::new("k", 0)]), []);
    for round in 1..4 {
        fake.stop();
        let told = rig.send(&[Event::new("k", round), Event::new("other", round)]);
        eventually("it is told", || rig.sink.failing().is_some());
        fake.restart();
        assert_eq!(reports(&told), []);
        assert_eq!(rig.sink.failing(), None);
    }
    assert_eq!(fake.stored_by_key(STREAM)["k"].len(), 4);
}

#[test]
fn where_a_stream_may_not_be_looked_at_it_is_written_to_all_the_same() {
    let fake = KinesisFake::start(&[STREAM]);
    fake.set_hidden(true);
    let rig = Rig::start(options(&fake.endpoint()));
    eventually("it says so", || {
        rig.sink.failing().is_some_and(|why| why.contains("AccessDeniedException"))
    });
    assert_eq!(rig.reports(&[Event::new("k", 1)]), []);
    assert_eq!(rig.sink.failing(), None, "it stores");
    let failure = rig.failure(&Event { body: vec![b' '; 1 << 20], ..Event::new("k", 2) });
    assert!(matches!(failure, Failure::Rejected { code: "too-large", .. }), "{failure:?}");
    // A record that is refused is found here too.
    fake.set_stream(STREAM, |stream| stream.secret_record_bytes = Some(1000));
    let failure = rig.failure(&Event { body: vec![b'1'; 1000], ..Event::new("k", 3) });
    assert!(matches!(failure, Failure::Rejected { code: "refused", .. }), "{failure:?}");
}

#[test]
fn what_a_stream_says_of_itself_is_read_again_and_again() {
    let fake = KinesisFake::start(&[STREAM]);
    let mut options = options(&fake.endpoint());
    options.look_every = Duration::from_millis(10);
    let rig = Rig::start(options);
    let row = |name: &str| format!("tidegate_kinesis_{name}{{sink=\"main\",stream=\"events\"}}");
    for (kib, shards, hours) in [(1024, 1, 24), (2048, 4, 168), (10_240, 8, 12)] {
        fake.set_stream(STREAM, |stream| {
            stream.max_record_kib = Some(kib);
            (stream.shards, stream.retention_hours) = (shards, hours);
        });
        let expected = [
            format!("{} {}", row("record_limit_bytes"), kib * 1024),
            format!("{} {shards}", row("shards")),
            format!("{} {}", row("retention_seconds"), hours * 3600),
        ];
        eventually("it is known", || {
            let text = rig.told();
            expected.iter().all(|line| text.lines().any(|found| found == line))
        });
    }
}

#[test]
fn dead_letters_have_a_stream_of_their_own_or_are_rejected() {
    let fake = KinesisFake::start(&[STREAM, DEAD]);
    let letter = Event { is_dead: true, ..Event::new("k", 1) };
    let mut with = options(&fake.endpoint());
    with.dead_letters = Some(format!("arn:aws:kinesis:us-east-1:000000000000:stream/{DEAD}"));
    let rig = Rig::start(with);
    // The stream for events is in trouble, that for dead letters is not.
    fake.script(|call| {
        if call.stream == STREAM { Reply::Error(500, "InternalFailure") } else { Reply::Store }
    });
    let told = rig.send(&[Event::new("k", 2)]);
    assert_eq!(rig.reports(std::slice::from_ref(&letter)), []);
    fake.script(|_| Reply::Store);
    assert_eq!(reports(&told), []);
    assert_eq!((fake.stored(STREAM).len(), fake.stored(DEAD).len()), (1, 1));
    let record: serde_json::Value = serde_json::from_slice(&fake.stored(DEAD)[0].data).unwrap();
    assert_eq!(record["tidegatedeadreason"], "refused");
    assert_eq!(record["data"], serde_json::json!({ "n": 1 }));
    let rig = Rig::start(options(&fake.endpoint()));
    let failure = rig.failure(&letter);
    assert!(matches!(failure, Failure::Rejected { code: "no-dead-letters", .. }), "{failure:?}");
}

#[test]
fn a_sink_needs_a_runtime_and_good_options() {
    let start = |options| KinesisSink::start(options).map(drop);
    assert_eq!(start(KinesisOptions::new("events")), Err(OptionsError::NoRuntime));
    let bad = start(KinesisOptions::new("no stream"));
    assert_eq!(bad, Err(OptionsError::NotAStream("no stream".to_owned())));
}

#[test]
fn an_https_endpoint_is_spoken_to_in_tls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = Rig::start(options(&format!("https://{}", listener.local_addr().unwrap())));
    let told = rig.send(&[Event::new("k", 1).within(Duration::from_millis(500))]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut first = [0; 3];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(first[..2], [22, 3], "a handshake, of TLS 1");
    drop((stream, listener));
    let failures = reports(&told);
    let [(0, Failure::Errored { unknown: false, .. })] = failures.as_slice() else {
        panic!("{failures:?}")
    };
}
