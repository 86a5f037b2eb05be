//! The store at its edges: threads, restoring from a log, clocks that go back, lost leases.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_dedup::{
    Claim, Dedup, DedupKey, DedupOptions, Fingerprint, Moment, Restored, Settled,
};
use tidegate_types::{EventId, TenantId, UnixMillis};

const START: UnixMillis = UnixMillis(1_700_000_000_000);
const HOUR_MS: u64 = 3_600_000;
const PAYLOAD: Fingerprint = Fingerprint([1; 16]);

fn store(max_keys: usize) -> (Dedup, Instant) {
    let started = Instant::now();
    (Dedup::new(DedupOptions { max_keys, ..DedupOptions::default() }, started), started)
}

fn key(number: usize) -> DedupKey {
    DedupKey::of(&TenantId::new("acme").unwrap(), "", &number.to_string())
}

fn at(started: Instant, ms: u64) -> Moment {
    Moment { wall: UnixMillis(START.0 + ms), steady: started + Duration::from_millis(ms) }
}

fn id(ms: u64) -> EventId {
    EventId::from_parts(UnixMillis(START.0 + ms), 0, 7)
}

/// Claims and commits a key whose event was received at `ms`.
fn store_one(dedup: &Dedup, number: usize, started: Instant, ms: u64) {
    let mut claims = dedup.claims();
    let now = at(started, ms);
    assert_eq!(claims.claim(0, key(number), PAYLOAD, now), Claim::New, "key {number}");
    claims.hand_over(now.wall).unwrap().commit_row(0, id(ms), Settled::Accepted);
}

#[test]
fn one_of_many_threads_gets_each_key() {
    const THREADS: usize = 8;
    const KEYS: usize = 500;
    let (dedup, started) = store(KEYS);
    let barrier = Barrier::new(THREADS);
    let wins: Vec<AtomicUsize> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut claims = dedup.claims();
                for (number, wins) in wins.iter().enumerate() {
                    if number % 50 == 0 {
                        barrier.wait();
                    }
                    match claims.claim(number as u32, key(number), PAYLOAD, at(started, 0)) {
                        Claim::New => {
                            wins.fetch_add(1, Ordering::SeqCst);
                        }
                        other => assert!(matches!(other, Claim::InFlight { .. }), "{other:?}"),
                    }
                }
                barrier.wait();
            });
        }
    });
    assert!(wins.iter().all(|wins| wins.load(Ordering::SeqCst) == 1));
    assert_eq!(dedup.stats().keys, 0, "every guard was dropped");
    assert_eq!(dedup.stats().released, KEYS as u64);
}

#[test]
fn requests_that_fail_and_retry_commit_each_key_once() {
    const THREADS: usize = 4;
    const KEYS: usize = 300;
    let (dedup, started) = store(KEYS);
    let commits: Vec<AtomicUsize> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (dedup, commits) = (&dedup, &commits);
            scope.spawn(move || {
                for (number, commits) in commits.iter().enumerate() {
                    for attempt in 0.. {
                        let mut claims = dedup.claims();
                        match claims.claim(0, key(number), PAYLOAD, at(started, 1)) {
                            Claim::New if (attempt + thread + number) % 3 == 0 => drop(claims),
                            Claim::New => {
                                let mut handed = claims.hand_over(at(started, 1).wall).unwrap();
                                commits.fetch_add(1, Ordering::SeqCst);
                                handed.commit_row(0, id(1), Settled::Accepted);
                                break;
                            }
                            Claim::Committed { event_id, first } => {
                                assert_eq!((event_id, first), (id(1), Settled::Accepted));
                                break;
                            }
                            Claim::InFlight { .. } => thread::yield_now(),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
    });
    assert!(commits.iter().all(|commits| commits.load(Ordering::SeqCst) == 1));
    assert_eq!(dedup.stats().keys, KEYS as u64);
}

#[test]
fn full_is_an_answer_and_ends_with_the_window() {
    let (dedup, started) = store(100);
    for number in 0..100 {
        store_one(&dedup, number, started, number as u64);
    }
    let mut claims = dedup.claims();
    assert_eq!(claims.claim(0, key(100), PAYLOAD, at(started, HOUR_MS - 1)), Claim::Full);
    let replay = claims.claim(1, key(0), PAYLOAD, at(started, HOUR_MS - 1));
    assert_eq!(
        replay,
        Claim::Committed { event_id: id(0), first: Settled::Accepted },
        "nothing was evicted"
    );
    assert_eq!(
        claims.claim(2, key(100), PAYLOAD, at(started, HOUR_MS)),
        Claim::New,
        "key 0 has expired, in whichever shard"
    );
    assert_eq!(claims.claim(3, key(101), PAYLOAD, at(started, HOUR_MS)), Claim::Full);
    assert_eq!(dedup.stats().full, 2);
}

#[test]
fn memory_follows_the_window_and_not_the_time() {
    let (dedup, started) = store(20_000);
    for number in 0..100_000 {
        // 10,000 keys per window.
        store_one(&dedup, number, started, number as u64 * HOUR_MS / 10_000);
    }
    let keys = dedup.stats().keys;
    assert!((10_000..11_000).contains(&keys), "{keys}");
}

#[test]
fn a_key_used_again_outlives_the_end_of_its_first_window() {
    let (dedup, started) = store(100);
    let in_one_shard = |number: u8| DedupKey([0, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let store_it = |number, ms| {
        let mut claims = dedup.claims();
        assert_eq!(claims.claim(0, in_one_shard(number), PAYLOAD, at(started, ms)), Claim::New);
        claims.hand_over(at(started, ms).wall).unwrap().commit_row(0, id(ms), Settled::Accepted);
    };
    (0..10).for_each(|number| store_it(number, 0));
    store_it(9, HOUR_MS); // The first expiries of the shard are still being worked off.
    (0..9).for_each(|number| store_it(number, HOUR_MS + 1));
    for number in 0..10 {
        let answer =
            dedup.claims().claim(0, in_one_shard(number), PAYLOAD, at(started, HOUR_MS + 2));
        assert!(matches!(answer, Claim::Committed { .. }), "{number}: {answer:?}");
    }
    assert_eq!(dedup.stats().keys, 10);
}

#[test]
fn a_lost_lease_is_told_before_the_append_and_spoils_nothing() {
    let (dedup, started) = store(100);
    let mut slow = dedup.claims();
    assert_eq!(slow.claim(0, key(0), PAYLOAD, at(started, 0)), Claim::New);
    assert_eq!(slow.claim(1, key(1), PAYLOAD, at(started, 0)), Claim::New);
    assert_eq!(slow.lease_deadline(), Some(started + Duration::from_secs(30)));

    let mut quick = dedup.claims();
    assert_eq!(
        quick.claim(0, key(1), PAYLOAD, at(started, 29_999)),
        Claim::InFlight { retry_after_ms: 1 }
    );
    assert_eq!(quick.claim(0, key(1), PAYLOAD, at(started, 30_000)), Claim::New);
    let mut quick = quick.hand_over(at(started, 30_000).wall).unwrap();
    assert_eq!(slow.hand_over(at(started, 30_000).wall).err().map(|lost| lost.row), Some(1));
    quick.commit_row(0, id(30_000), Settled::Quarantined);

    let mut later = dedup.claims();
    let expected = Claim::Committed { event_id: id(30_000), first: Settled::Quarantined };
    assert_eq!(later.claim(0, key(1), PAYLOAD, at(started, 30_001)), expected);
    assert_eq!(
        later.claim(0, key(0), PAYLOAD, at(started, 30_001)),
        Claim::New,
        "the slow request let go of it"
    );
}

#[test]
fn what_the_log_has_is_never_taken_over() {
    let (dedup, started) = store(100);
    let mut claims = dedup.claims();
    assert_eq!(claims.claim(0, key(0), PAYLOAD, at(started, 0)), Claim::New);
    let mut handed = claims.hand_over(START).unwrap();
    let mut other = dedup.claims();
    let late = at(started, 5 * HOUR_MS);
    assert!(matches!(other.claim(0, key(0), PAYLOAD, late), Claim::InFlight { .. }));
    handed.commit_row(0, id(5 * HOUR_MS - 1), Settled::Accepted);
    assert!(matches!(other.claim(0, key(0), PAYLOAD, late), Claim::Committed { .. }));
}

#[test]
fn the_log_refills_the_store() {
    let now = UnixMillis(START.0 + HOUR_MS);
    let restore = |dedup: &Dedup, number, ms| {
        dedup.restore(key(number), PAYLOAD, id(ms), Settled::Quarantined, now)
    };
    let (dedup, started) = store(2);
    assert_eq!(restore(&dedup, 0, 0), Restored::Expired);
    assert_eq!(restore(&dedup, 0, 1), Restored::Kept);
    assert_eq!(restore(&dedup, 1, 900), Restored::Kept);
    assert_eq!(restore(&dedup, 2, 901), Restored::Full);
    assert_eq!(
        restore(&dedup, 1, 300),
        Restored::Kept,
        "the earlier event is kept, in either order"
    );
    assert_eq!(restore(&dedup, 1, 500), Restored::Kept);

    let mut claims = dedup.claims();
    let first = Claim::Committed { event_id: id(300), first: Settled::Quarantined };
    assert_eq!(claims.claim(0, key(1), PAYLOAD, at(started, HOUR_MS)), first);
    assert_eq!(
        claims.claim(1, key(1), Fingerprint([2; 16]), at(started, HOUR_MS)),
        Claim::Conflict
    );
    assert_eq!(
        claims.claim(2, key(1), PAYLOAD, at(started, HOUR_MS + 300)),
        Claim::New,
        "the window runs from the id"
    );
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_up_the_rest() {
    let (dedup, started) = store(50);
    let ahead = EventId::from_parts(UnixMillis(START.0 + 100 * HOUR_MS), 0, 7);
    for number in 0..10 {
        assert_eq!(
            dedup.restore(key(number), PAYLOAD, ahead, Settled::Accepted, START),
            Restored::Kept
        );
    }
    for number in 10..1000 {
        store_one(&dedup, number, started, number as u64 * HOUR_MS / 20);
    }
    assert_eq!(dedup.stats().full, 0);
}
