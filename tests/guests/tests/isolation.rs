//! A tenant whose rule never ends does not disturb another tenant: in the real gateway, under load.

#![allow(clippy::indexing_slicing, reason = "a failed step of a test is a panic")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_testkit::{Connection, Gateway, Tenant};

/// Connections that send to the rule that never ends.
const HOSTILE_CONNECTIONS: usize = 8;
const EVENTS: usize = 300;
/// No answer may take longer. Generous: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(5);

fn revision(rule: &Value) -> Value {
    json!({ "default_type": "thing", "event_types": { "thing": {} }, "rules": [rule] })
}

fn hostile_tenant(gateway: &Gateway) -> Tenant {
    let tenant = Tenant::create(gateway, "hostile");
    let job = tenant.upload_settled(gateway, "looping", tidegate_guests::HOSTILE);
    assert_eq!(job["state"], "admitted", "{job}");
    let rule = json!({ "name": "looping", "component": "looping", "config": { "mode": "loop" } });
    tenant.activate(gateway, &revision(&rule));
    tenant
}

fn neighbour(gateway: &Gateway) -> Tenant {
    let tenant = Tenant::create(gateway, "neighbour");
    let rule = json!({ "name": "required", "component": "required", "config": { "fields": [{ "pointer": "/id", "type": "integer" }] } });
    tenant.activate(gateway, &revision(&rule));
    tenant
}

/// Sends good and bad events one by one; answers how long each took, in order of length.
fn send(tenant: &Tenant, connection: &mut Connection) -> Vec<Duration> {
    let mut times = Vec::with_capacity(EVENTS);
    for at in 0..EVENTS {
        let good = at % 3 != 0;
        let event = if good { json!({ "id": at }) } else { json!({ "id": "none" }) };
        let started = Instant::now();
        let answer = connection
            .request("POST", "/v1/events", &tenant.headers(), event.to_string().as_bytes())
            .expect("an answer");
        times.push(started.elapsed());
        assert_eq!(answer.status, if good { 202 } else { 400 }, "{}", answer.text());
    }
    times.sort();
    times
}

/// Sends batches with one poison event until it is told to stop; answers how many were answered.
fn load(
    tenant: &Tenant,
    gateway: &Gateway,
    stop: &AtomicBool,
    answered: &AtomicUsize,
    begun: &SyncSender<()>,
) {
    let mut connection = gateway.connect();
    while !stop.load(Ordering::Relaxed) {
        let events = [json!({ "id": 1 }), json!({ "id": 2, "poison": true })];
        let answer = tenant.post_batch_on(&mut connection, &events).expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text());
        let receipts = answer.json()["receipts"].clone();
        assert_eq!(receipts[0]["status"], "accepted", "{receipts}");
        assert_eq!(receipts[1]["status"], "quarantined", "{receipts}");
        assert_eq!(receipts[1]["findings"][0]["code"], "rule-fault", "{receipts}");
        answered.fetch_add(1, Ordering::Relaxed);
        // Only the first is waited for.
        begun.try_send(()).ok();
    }
}

/// Stops the load also where the test fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_endless_loop_of_one_tenant_leaves_the_other_alone() {
    // Neither the breaker nor the tenant's share of the CPU is to spare the neighbour.
    let gateway = Gateway::start_with(&[
        ("PLUGINS__BREAKER_FAULTS", "1000000"),
        ("PLUGINS__BREAKER_PERCENT", "100"),
        ("PLUGINS__TENANT_CPU_SHARE", "1s"),
        ("PLUGINS__TENANT_CPU_BURST", "10m"),
    ]);
    let (hostile, neighbour) = (hostile_tenant(&gateway), neighbour(&gateway));
    let mut connection = gateway.connect();
    send(&neighbour, &mut connection);
    let quiet = send(&neighbour, &mut connection);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (begin, begun) = sync_channel(1);
    let disturbed = std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..HOSTILE_CONNECTIONS {
            scope.spawn(|| load(&hostile, &gateway, &stop, &answered, &begin));
        }
        begun.recv_timeout(Duration::from_secs(60)).expect("a hostile batch is answered");
        send(&neighbour, &mut connection)
    });
    let at = |times: &[Duration], percent: usize| times[(times.len() - 1) * percent / 100];
    for (when, times) in [("alone", &quiet), ("beside an endless loop", &disturbed)] {
        println!(
            "{when}: p50 {:?}, p99 {:?}, longest {:?}",
            at(times, 50),
            at(times, 99),
            at(times, 100)
        );
    }
    println!("{} hostile batches were answered", answered.load(Ordering::Relaxed));
    assert!(at(&disturbed, 100) < PATIENCE, "an answer took {:?}", at(&disturbed, 100));
}
