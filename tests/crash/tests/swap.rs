//! Rules are swapped under load, again and again: no event is lost or judged twice, no batch is
//! judged by two revisions, and each is judged by a revision that was active meanwhile (P3).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tidegate_crash::{Stored, answers, log, seed, stored};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::{EventId, Finding, Severity, Status};

const SWAPS: usize = 1000;
const THREADS: usize = 3;
const NAMES: [&str; 3] = ["red", "green", "blue"];

/// A revision that leaves its name in each event's findings and delivered form; `green` holds
/// events back.
fn revision(name: &str) -> Value {
    let severity = if name == "green" { "soft_fail" } else { "warn" };
    json!({
        "default_type": "thing",
        "event_types": { "thing": { "key": "/id" } },
        "rules": [
            { "name": "present", "component": "required", "config": { "fields": [{ "pointer": "/id", "type": "text" }] } },
            { "name": "seen", "component": "expectations", "config": { "expectations": [
                { "name": name, "field": "/id", "expect": { "set": ["none"] }, "severity": severity }] } },
            { "name": "mark", "component": "normalize", "config": { "steps": [{ "set": "/judge", "constant": name }] } }
        ]
    })
}

/// A request and what it was told.
struct Exchange {
    sent: Instant,
    answered: Instant,
    events: Vec<(String, EventId, Status, Vec<Finding>)>,
}

/// An activation: the revision, when it was asked for, and when it was answered.
struct Activation {
    digest: String,
    asked: Instant,
    answered: Instant,
}

#[test]
fn every_event_is_judged_once_by_one_active_revision() {
    let seed = seed();
    let mut gateway = Gateway::start_with(&[("STORAGE__FLUSH_AFTER", "200ms")]);
    let tenant = Tenant::create(&gateway, "swap");
    let asked = Instant::now();
    let names: HashMap<String, &str> =
        NAMES.into_iter().map(|name| (tenant.activate(&gateway, &revision(name)), name)).collect();
    assert_eq!(names.len(), NAMES.len());
    // Which of the three is active before the load begins is of no concern to it.
    let last = tenant.activate(&gateway, &revision("blue"));
    let mut activations = vec![Activation { digest: last, asked, answered: Instant::now() }];

    let (stop, exchanges) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for thread in 0..THREADS {
            let (gateway, tenant, stop, exchanges) = (&gateway, &tenant, &stop, &exchanges);
            let random = StdRng::seed_from_u64(seed + 1 + thread as u64);
            scope.spawn(move || {
                let done = post(gateway, tenant, thread, random, stop);
                exchanges.lock().expect("no poster panicked").extend(done);
            });
        }
        swap(&gateway, &tenant, &names, StdRng::seed_from_u64(seed), &mut activations);
    });
    assert!(gateway.terminate(), "{}", gateway.log());
    let exchanges = exchanges.into_inner().expect("no poster panicked");
    check(&exchanges, &activations, &names, stored::read(gateway.folder()));
    log::assert_quiet(&gateway.log(), &[]);
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn post(
    gateway: &Gateway,
    tenant: &Tenant,
    thread: usize,
    mut random: StdRng,
    stop: &AtomicBool,
) -> Vec<Exchange> {
    let mut connection = gateway.connect();
    let (mut done, mut next) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let size = random.random_range(1..60);
        let keys: Vec<String> =
            (next..next + size).map(|number| format!("{thread}-{number}")).collect();
        next += size;
        let events: Vec<Value> = keys.iter().map(|key| json!({ "id": key })).collect();
        let sent = Instant::now();
        let response = tenant.post_batch_on(&mut connection, &events).expect("the gateway stays");
        let answered = Instant::now();
        let receipts = answers::receipts(&response, keys.len()).expect("the gateway has room");
        let told = keys.into_iter().zip(receipts);
        let events = told
            .map(|(key, receipt)| (key, receipt.event_id, receipt.status, receipt.findings))
            .collect();
        done.push(Exchange { sent, answered, events });
    }
    done
}

fn swap(
    gateway: &Gateway,
    tenant: &Tenant,
    names: &HashMap<String, &str>,
    mut random: StdRng,
    activations: &mut Vec<Activation>,
) {
    let mut digests: Vec<&String> = names.keys().collect();
    digests.sort();
    for _ in 0..SWAPS {
        let active =
            activations.last().map(|activation| activation.digest.clone()).unwrap_or_default();
        let others: Vec<_> = digests.iter().filter(|digest| ***digest != active).collect();
        // Rolling back can end at the first revision; there are three before the load begins.
        let path = if random.random_ratio(1, 4) && activations.len() > 3 {
            format!("/v1/tenants/{}/rollback", tenant.id)
        } else {
            let digest = others[random.random_range(0..others.len())];
            format!("/v1/tenants/{}/revisions/{digest}/activate", tenant.id)
        };
        let asked = Instant::now();
        let answer = gateway.admin("POST", &path, "application/json", b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let digest = answer.json()["digest"].as_str().expect("a digest").to_owned();
        activations.push(Activation { digest, asked, answered: Instant::now() });
    }
}

fn check(
    exchanges: &[Exchange],
    activations: &[Activation],
    names: &HashMap<String, &str>,
    stored: Vec<Stored>,
) {
    let count = stored.len();
    let mut stored: HashMap<String, Stored> =
        stored.into_iter().map(|event| (event.key(), event)).collect();
    assert_eq!(stored.len(), count, "no event is stored twice");
    let mut judges: HashMap<&str, usize> = HashMap::new();
    for exchange in exchanges {
        let mut digests = Vec::new();
        for (key, event_id, status, findings) in &exchange.events {
            let event = stored.remove(key).unwrap_or_else(|| panic!("{key} is lost"));
            let name = names.get(&event.revision).expect("a revision of this test");
            check_judgement(&event, name);
            assert_eq!(
                (event.event_id, event.status(), &event.findings),
                (*event_id, *status, findings),
                "{key}"
            );
            *judges.entry(name).or_default() += 1;
            digests.push(event.revision);
        }
        digests.dedup();
        assert_eq!(digests.len(), 1, "one revision judges a batch");
        assert!(
            was_active(&digests[0], exchange, activations),
            "{} was not active",
            names[&digests[0]]
        );
    }
    assert!(
        stored.is_empty(),
        "what nobody was told of: {:?}",
        stored.keys().take(10).collect::<Vec<_>>()
    );
    assert!(
        NAMES.iter().all(|name| judges.contains_key(name)),
        "all revisions had load: {judges:?}"
    );
    println!("{} batches, events by judge: {judges:?}", exchanges.len());
}

fn check_judgement(event: &Stored, name: &str) {
    let severity = if name == "green" { Severity::Soft } else { Severity::Warn };
    let found: Vec<_> = event
        .findings
        .iter()
        .map(|finding| (finding.rule.as_str(), &*finding.code, finding.severity))
        .collect();
    assert_eq!(found, [("seen", name, severity)]);
    assert_eq!(event.delivered, json!({ "id": event.key(), "judge": name }));
    assert_eq!(event.quarantined, name == "green");
}

/// A revision may judge from when its activation is asked for until the next one is answered.
fn was_active(digest: &str, exchange: &Exchange, activations: &[Activation]) -> bool {
    activations.iter().enumerate().any(|(place, activation)| {
        let next = activations.get(place + 1);
        activation.digest == digest
            && activation.asked <= exchange.answered
            && next.is_none_or(|next| exchange.sent <= next.answered)
    })
}
