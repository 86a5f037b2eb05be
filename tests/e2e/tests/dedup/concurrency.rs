//! The same key from many at once: one of them has it, the others are told so.

use std::collections::BTreeMap;
use std::sync::Barrier;

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, receipts, revision};
use tidegate_testkit::{Gateway, Response, Tenant};

use crate::{Store, start, status};

const CONNECTIONS: usize = 32;

/// What each of the connections is answered when all send at the same moment.
fn at_once(
    gateway: &Gateway,
    send: impl Fn(usize, &mut tidegate_testkit::Connection) -> Response + Sync,
) -> Vec<Response> {
    let barrier = Barrier::new(CONNECTIONS);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let (barrier, send) = (&barrier, &send);
                let mut connection = gateway.connect();
                scope.spawn(move || {
                    barrier.wait();
                    send(n, &mut connection)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

fn post(tenant: &Tenant, connection: &mut tidegate_testkit::Connection, event: &Value) -> Response {
    connection
        .request("POST", "/v1/events", &tenant.headers(), event.to_string().as_bytes())
        .unwrap()
}

fn race(store: Store, settings: &[(&str, &str)], in_flight: u16) {
    let (gateway, tenant) = start(store, settings);
    tenant.activate(&gateway, &revision::audit());
    for round in 0..30 {
        let event = revision::audit_event(&format!("k-{round}"));
        let mut counts: BTreeMap<(u16, String), usize> = BTreeMap::new();
        for answer in at_once(&gateway, |_, connection| post(&tenant, connection, &event)) {
            let told = status(&answer);
            if told == (in_flight, "retry".to_owned()) {
                assert!(answer.header("retry-after").is_some(), "{}", answer.text());
                assert_eq!(answer.json()["status"], in_flight, "{}", answer.text());
                assert!(
                    answer.json()["retry_after_ms"]
                        .as_u64()
                        .is_some_and(|millis| (1..=1000).contains(&millis)),
                    "{}",
                    answer.text()
                );
            }
            *counts.entry(told).or_default() += 1;
        }
        assert_eq!(counts.remove(&(202, "accepted".to_owned())), Some(1), "{counts:?}");
        let others: usize = [(202, "duplicate"), (in_flight, "retry")]
            .iter()
            .filter_map(|(code, word)| counts.remove(&(*code, (*word).to_owned())))
            .sum();
        assert_eq!(others, CONNECTIONS - 1, "{counts:?}");
        assert_eq!(gateway.status()["wal"]["durable_lsn"], round + 1);
    }
    assert_quiet(&gateway);
}

/// Exactly one is accepted; the others are duplicates of it, or 409 with Retry-After.
fn one_key_from_many(store: Store) {
    race(store, &[], 409);
}

/// A10: the same with 503, for senders that retry on nothing else.
fn one_key_from_many_with_503(store: Store) {
    race(store, &[("INGRESS__IN_FLIGHT_STATUS", "503")], 503);
}

/// Whoever is first, the others with another payload are never accepted.
fn different_payloads_from_many(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    for round in 0..30 {
        let key = format!("k-{round}");
        let answers = at_once(&gateway, |n, connection| {
            post(&tenant, connection, &json!({ "key": key, "from": n }))
        });
        let told: Vec<_> = answers.iter().map(status).collect();
        assert_eq!(
            told.iter().filter(|told| **told == (202, "accepted".to_owned())).count(),
            1,
            "{told:?}"
        );
        let refused = |told: &&(u16, String)| {
            **told == (422, "conflict".to_owned()) || **told == (409, "retry".to_owned())
        };
        assert_eq!(told.iter().filter(refused).count(), CONNECTIONS - 1, "{told:?}");
    }
    assert_quiet(&gateway);
}

/// Batches that overlap, each in another order: every key is accepted once, and nobody waits for
/// ever.
fn overlapping_batches(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    let answers = at_once(&gateway, |n, connection| {
        let events: Vec<_> = (0..100).map(|at| json!({ "key": (at * 7 + n * 13) % 100 })).collect();
        tenant.post_batch_on(connection, &events).unwrap()
    });
    let mut accepted = 0;
    for answer in &answers {
        for receipt in receipts(answer) {
            match receipt["status"].as_str() {
                Some("accepted") => accepted += 1,
                Some("duplicate") => {}
                Some("retry") => assert!(receipt["retry_after_ms"].is_u64(), "{receipt}"),
                _ => panic!("{receipt}"),
            }
        }
    }
    assert_eq!(accepted, 100);
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 100);
    // Those who were told to come again find it settled.
    let events: Vec<_> = (0..100).map(|n| json!({ "key": n })).collect();
    assert_eq!(
        tidegate_e2e::statuses(&tenant.post_batch(&gateway, &events)),
        vec!["duplicate"; 100]
    );
    assert_quiet(&gateway);
}

crate::on_each_store!(
    one_key_from_many, one_key_from_many_with_503, different_payloads_from_many,
    overlapping_batches
);
