//! Keys outlive the process: the log is the truth, and the store of keys is rebuilt from it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::{problem, receipts, revision, statuses};
use tidegate_testkit::{Gateway, Tenant};

use crate::{Store, expect, start};

/// Settled keys of every kind, to be looked for after a restart.
struct Before {
    events: Vec<Value>,
    receipts: Vec<Value>,
}

fn fill(gateway: &Gateway, tenant: &Tenant) -> Before {
    tenant.activate(gateway, &revision::audit());
    let mut events: Vec<_> = (0..200).map(|n| revision::audit_event(&format!("k-{n}"))).collect();
    for event in events.iter_mut().step_by(3) {
        event["timestamp"] = json!("?");
    }
    events.push(json!({ "key": "rejected" }));
    let receipts = receipts(&tenant.post_batch(gateway, &events));
    assert_eq!(receipts[0]["status"], "quarantined");
    assert_eq!(
        (&receipts[1]["status"], &receipts[200]["status"]),
        (&json!("accepted"), &json!("rejected"))
    );
    Before { events, receipts }
}

/// Every settled key answers its first outcome, and only that of the rejected event is free.
fn check(gateway: &Gateway, tenant: &Tenant, before: &Before) {
    let after = receipts(&tenant.post_batch(gateway, &before.events));
    for (first, again) in before.receipts.iter().zip(&after) {
        if first["status"] == "rejected" {
            assert_eq!(again["status"], "rejected", "{again}");
            continue;
        }
        assert_eq!(again["status"], "duplicate", "{again}");
        assert_eq!(
            (&again["event_id"], &again["first_status"]),
            (&first["event_id"], &first["status"])
        );
        assert_eq!(again["received_at"], first["received_at"]);
    }
    let mut other = before.events[1].clone();
    other["more"] = json!(1);
    problem(&tenant.post(gateway, &other), 422, "key-conflict");
}

/// Waits until segments of the log are deleted, and their keys live in files of their own.
fn wait_for_sidecars(gateway: &Gateway) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let count = |ending: &str| {
        let files = std::fs::read_dir(gateway.folder().join("wal")).unwrap();
        files
            .filter(|file| {
                file.as_ref()
                    .is_ok_and(|file| file.path().extension().is_some_and(|found| found == ending))
            })
            .count()
    };
    while count("keys") == 0 {
        assert!(Instant::now() < deadline, "no segment is deleted, there are {}", count("wal"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// B9: after an orderly stop, once and again.
fn keys_outlive_a_stop(store: Store) {
    let (mut gateway, tenant) = start(store, &[]);
    let before = fill(&gateway, &tenant);
    for _ in 0..2 {
        assert!(gateway.terminate(), "{}", gateway.log());
        gateway.restart();
        check(&gateway, &tenant, &before);
    }
    tidegate_e2e::assert_quiet(&gateway);
}

/// B9: after a kill, also where the events have been published and the log has moved on.
fn keys_outlive_a_kill(store: Store) {
    let (mut gateway, tenant) = start(
        store,
        &[
            ("INGRESS__MAX_BODY_BYTES", "32KiB"),
            ("INGRESS__MAX_EVENT_BYTES", "32KiB"),
            ("WAL__GROUP_BYTES", "64KiB"),
            ("WAL__SEGMENT_BYTES", "256KiB"),
            ("WAL__MAX_BYTES", "8MiB"),
            ("STORAGE__FLUSH_AFTER", "50ms"),
        ],
    );
    let before = fill(&gateway, &tenant);
    gateway.kill();
    gateway.restart();
    check(&gateway, &tenant, &before);
    // More than one segment, so that the first ones are deleted and their keys live in sidecars.
    tenant.activate(&gateway, &revision::plain());
    for round in 0..40 {
        let events: Vec<_> = (0..100)
            .map(|n| json!({ "key": format!("more-{round}-{n}"), "text": "x".repeat(100) }))
            .collect();
        assert_eq!(statuses(&tenant.post_batch(&gateway, &events)), vec!["accepted"; 100]);
    }
    gateway.wait_published();
    wait_for_sidecars(&gateway);
    gateway.kill();
    gateway.restart();
    tenant.activate(&gateway, &revision::audit());
    check(&gateway, &tenant, &before);
    tenant.activate(&gateway, &revision::plain());
    expect(
        &tenant.post(&gateway, &json!({ "key": "more-0-0", "text": "x".repeat(100) })),
        202,
        "duplicate",
    );
    expect(
        &tenant.post(&gateway, &json!({ "key": "more-39-99", "text": "x".repeat(100) })),
        202,
        "duplicate",
    );
}

crate::on_each_store!(keys_outlive_a_stop, keys_outlive_a_kill);
