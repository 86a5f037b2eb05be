//! Single cases: what is held in the log, what becomes of letters, what stops the forwarder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_types::{Lsn, UnixMillis};

use super::place::{Next, Place};
use super::{Routes, append, forwarder, open, wait_for};

fn events(from: u64, count: u64) -> Vec<(u64, String, bool)> {
    (from..from + count).map(|number| (number, "k".to_owned(), true)).collect()
}

#[test]
fn the_log_keeps_what_the_sink_lacks_and_the_cursor_lets_it_go() {
    let folder = tempfile::tempdir().unwrap();
    let wal = open(folder.path());
    let (place, routes) = (Place::new(100), Arc::new(Routes::default()));
    let running = forwarder(folder.path(), &wal, &place, &routes);
    append(&wal, &events(1, 10));
    assert_eq!(wal.releasable(Lsn(u64::MAX)), Lsn(0));
    wait_for("they are sent", || place.is_waited_for());
    wal.truncate_before(Lsn(u64::MAX), UnixMillis(0)).unwrap();
    while place.act(Next::Deliver).is_some() || running.stats().lag > 0 {}
    wait_for("the cursor is durable", || wal.releasable(Lsn(u64::MAX)) == Lsn(10));
    drop(running);
    // Begun anew, it goes on where it was.
    let again = forwarder(folder.path(), &wal, &place, &routes);
    append(&wal, &events(11, 1));
    wait_for("the next is there", || {
        place.act(Next::Deliver);
        again.stats().lag == 0
    });
    assert_eq!(place.state.lock().unwrap().topic.len(), 11);
}

#[test]
fn a_letter_that_is_too_large_goes_without_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let wal = open(folder.path());
    let (place, routes) = (Place::new(100), Arc::new(Routes::default()));
    let running = forwarder(folder.path(), &wal, &place, &routes);
    append(&wal, &events(1, 2));
    wait_for("all is acknowledged", || {
        place.act(Next::RejectTooLarge);
        running.stats().lag == 0
    });
    let state = place.state.lock().unwrap();
    assert!(state.topic.is_empty());
    assert_eq!(state.letters.len(), 2);
    for letter in &state.letters {
        assert_eq!(
            (letter.body.len(), letter.dead.clone()),
            (0, Some(("too-large".to_owned(), 1)))
        );
    }
    drop(state);
    assert_eq!(running.stats().lost_letters, 0);
}

#[test]
fn many_letters_of_one_kind_are_counted_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let wal = open(folder.path());
    let (place, routes) = (Place::new(1000), Arc::new(Routes::default()));
    let mut running = forwarder(folder.path(), &wal, &place, &routes);
    append(&wal, &events(1, 250));
    wait_for("all is acknowledged", || {
        while place.act(Next::Reject).is_some() {}
        running.stats().lag == 0
    });
    assert_eq!((running.stats().compacted, running.stats().lost_letters), (150, 0));
    // Its end writes what was counted.
    assert!(running.drain(Instant::now() + Duration::from_secs(1)));
    while place.act(Next::Deliver).is_some() {}
    let state = place.state.lock().unwrap();
    let stands: Vec<u64> =
        state.letters.iter().map(|letter| letter.dead.as_ref().unwrap().1).collect();
    assert_eq!((stands.len(), stands.iter().sum::<u64>()), (101, 250));
    let count = state.letters.iter().find(|letter| letter.dead.as_ref().unwrap().1 > 1).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&count.body).unwrap();
    assert_eq!(body["stands_for"], 150);
    assert_eq!(body["first_event_ids"].as_array().unwrap().len(), 100);
}

#[test]
fn an_event_whose_route_cannot_be_read_is_waited_for_and_not_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let wal = open(folder.path());
    let (place, routes) = (Place::new(100), Arc::new(Routes::default()));
    *routes.failing.lock().unwrap() = 3;
    let running = forwarder(folder.path(), &wal, &place, &routes);
    append(&wal, &events(1, 2));
    wait_for("it says why", || running.stats().stuck.is_some() || place.is_waited_for());
    wait_for("both are there", || {
        place.act(Next::Deliver);
        running.stats().lag == 0
    });
    assert_eq!(running.stats().stuck, None);
    assert_eq!(place.state.lock().unwrap().topic.len(), 2);
}
