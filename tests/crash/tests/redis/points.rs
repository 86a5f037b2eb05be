//! A gateway is killed at each step between claim and answer. The wire to its Redis sees each step
//! before it is done, and kills the gateway there and then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tidegate_crash::{log, stored};
use tidegate_testkit::redis::wire::{Fate, Way, is_claim, is_commit};
use tidegate_testkit::{Gateway, Redis, Tenant, Wire};

use crate::{duplicates, settings, wait_until};

/// Where the gateway dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The claim never gets to Redis.
    BeforeClaim,
    /// Redis has the claim, and the log has nothing.
    AfterClaim,
    /// The log has the event, and Redis has the claim.
    BeforeCommit,
    /// Redis has the commit, and nobody has been answered.
    AfterCommit,
    /// The answer is out.
    AfterAnswer,
}

const POINTS: [Point; 5] = [
    Point::BeforeClaim,
    Point::AfterClaim,
    Point::BeforeCommit,
    Point::AfterCommit,
    Point::AfterAnswer,
];

/// Events of one request.
const EVENTS: usize = 20;

/// What a claim lasts, and how long Redis may take on a busy machine.
const SHORT: [(&str, &str); 3] = [
    ("DEDUP__LEASE", "2s"),
    ("INGRESS__REQUEST_TIMEOUT", "2s"),
    ("REDIS__RESPONSE_TIMEOUT", "500ms"),
];

fn tenant(gateway: &Gateway) -> Tenant {
    let tenant = Tenant::create(gateway, "acme");
    let revision = json!({ "default_type": "event", "event_types": { "event": { "key": "/id" } } });
    tenant.activate(gateway, &revision);
    tenant
}

fn events(name: &str) -> Vec<Value> {
    (0..EVENTS).map(|number| json!({ "id": format!("{name}-{number}") })).collect()
}

/// Posts until each event is taken; answers the event ids.
fn settle(gateway: &Gateway, tenant: &Tenant, events: &[Value]) -> Vec<String> {
    let mut ids = vec![String::new(); events.len()];
    wait_until("every event is taken", || {
        let response = tenant.post_batch(gateway, events);
        if response.status == 503 {
            return false;
        }
        assert_eq!(response.status, 202, "{}", response.text());
        let body = response.json();
        let receipts = body["receipts"].as_array().unwrap();
        for (id, receipt) in ids.iter_mut().zip(receipts) {
            match receipt["status"].as_str().unwrap() {
                "accepted" | "duplicate" => {
                    let told = receipt["event_id"].as_str().unwrap().to_owned();
                    assert!(id.is_empty() || *id == told, "one id for one event: {body}");
                    *id = told;
                }
                "retry" => {}
                other => panic!("{other}: {body}"),
            }
        }
        ids.iter().all(|id| !id.is_empty())
    });
    ids
}

/// Has the gateway killed at a point of the request that comes next. `true` once it is.
fn arm(wire: &Wire, gateway: &Gateway, point: Point) -> Arc<AtomicBool> {
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap();
    let (killed, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let for_test = Arc::clone(&killed);
    wire.watch(move |way, bytes| {
        let is_there = match (point, way) {
            (Point::BeforeClaim, Way::ToServer) => is_claim(bytes),
            (Point::BeforeCommit, Way::ToServer) => is_commit(bytes),
            (Point::AfterClaim, Way::ToServer) => {
                told.fetch_or(is_claim(bytes), Ordering::SeqCst);
                false
            }
            (Point::AfterCommit, Way::ToServer) => {
                told.fetch_or(is_commit(bytes), Ordering::SeqCst);
                false
            }
            (Point::AfterClaim | Point::AfterCommit, Way::ToClient) => told.load(Ordering::SeqCst),
            (Point::BeforeClaim | Point::BeforeCommit, Way::ToClient) | (Point::AfterAnswer, _) => {
                false
            }
        };
        if is_there && !killed.swap(true, Ordering::SeqCst) {
            kill_process(pid, Signal::KILL).unwrap();
        }
        if killed.load(Ordering::SeqCst) { Fate::Cut } else { Fate::Pass }
    });
    for_test
}

/// Posts events and dies at a point.
fn die(wire: &Wire, gateway: &mut Gateway, tenant: &Tenant, events: &[Value], point: Point) {
    let killed = arm(wire, gateway, point);
    let answer = tenant.post_batch_on(&mut gateway.connect(), events);
    if point == Point::AfterAnswer {
        assert_eq!(answer.unwrap().status, 202);
        gateway.kill();
    } else {
        assert!(answer.is_err(), "{point:?}: it is dead: {answer:?}");
        assert!(killed.load(Ordering::SeqCst));
        assert!(!gateway.wait_end().success());
    }
    wire.release();
    wire.cut();
}

/// How often each key is stored, by all gateways together.
fn counts(gateways: [&Gateway; 2]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in gateways.iter().flat_map(|gateway| stored::read(gateway.folder())) {
        *counts.entry(event.key()).or_default() += 1;
    }
    counts
}

/// The gateway is back before its claims end: nothing is lost and nothing is stored twice, wherever it
/// died, and the other gateway answers with the same ids.
#[test]
fn back_at_once() {
    let (redis, expected) = (Redis::start(), ["torn tail", "redis cannot be used"]);
    let wire = Wire::to(&redis.address());
    let (through, direct) = (redis.url_by(wire.port()), redis.url());
    let mut one = Gateway::start_with(&settings(&through, &SHORT));
    let mut other = Gateway::start_with(&settings(&direct, &SHORT));
    let (of_one, of_other) = (tenant(&one), tenant(&other));
    for point in POINTS {
        let events = events(&format!("{point:?}"));
        die(&wire, &mut one, &of_one, &events, point);
        one.restart();
        let ids = settle(&one, &of_one, &events);
        assert_eq!(settle(&other, &of_other, &events), ids, "{point:?}");
        assert_eq!((duplicates(&one), duplicates(&other)), (0, 0), "{point:?}");
    }
    assert!(one.terminate() && other.terminate(), "{}", one.log());
    let counts = counts([&one, &other]);
    assert_eq!(counts.len(), POINTS.len() * EVENTS);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    log::assert_quiet(&one.log(), &expected);
    log::assert_quiet(&other.log(), &expected);
}

/// The gateway is away for longer than its claims last, and the events are sent to the other one. Only
/// where it died between append and commit is there a second copy, and each of them is counted when the
/// gateway is back.
#[test]
fn away_for_longer_than_the_lease() {
    let (redis, expected) = (Redis::start(), ["torn tail", "redis cannot be used", "stored twice"]);
    let wire = Wire::to(&redis.address());
    let (through, direct) = (redis.url_by(wire.port()), redis.url());
    let mut one = Gateway::start_with(&settings(&through, &SHORT));
    let mut other = Gateway::start_with(&settings(&direct, &SHORT));
    let (of_one, of_other) = (tenant(&one), tenant(&other));
    let all = Mutex::new(BTreeMap::new());
    for point in POINTS {
        let events = events(&format!("{point:?}"));
        die(&wire, &mut one, &of_one, &events, point);
        let ids = settle(&other, &of_other, &events);
        one.restart();
        assert_eq!(settle(&one, &of_one, &events), ids, "{point:?}: what was told stays");
        let copies = if point == Point::BeforeCommit { EVENTS } else { 0 };
        assert_eq!((duplicates(&one), duplicates(&other)), (copies as u64, 0), "{point:?}");
        all.lock().unwrap().extend(events.iter().map(|event| {
            (event["id"].as_str().unwrap().to_owned(), if copies > 0 { 2 } else { 1 })
        }));
    }
    assert!(one.terminate() && other.terminate(), "{}", one.log());
    assert_eq!(counts([&one, &other]), all.into_inner().unwrap());
    log::assert_quiet(&one.log(), &expected);
    log::assert_quiet(&other.log(), &expected);
}
